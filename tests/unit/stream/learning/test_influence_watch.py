"""Whether few teach much, and whether the bound leaves too little, is shown and said, with what to do."""

from __future__ import annotations

from typing import Any, cast

import pytest
from prometheus_client import CollectorRegistry

from eventlog.port import Record
from eventlog.topics import OUTCOMES
from online_models.placement_model import PlacementModel
from personalization.bounded import short_hash
from personalization.events.outcome import ClosingReason, Outcome, encode_outcome
from personalization.visitor.choice import Choice
from state.model_store import ModelPublisher
from stream.learning.influence_watch import LOOK_S, SHOWN_ARMS, InfluenceWatch
from stream.learning.placement_training import PlacementTraining
from tests.unit.stream.learning.test_learner import HERO, Bench

NOON_MS = 1_700_000_000_000
TOP, LEFT = "nextbest_arm_top_visitors_share", "nextbest_outcomes_bounded_share"


class Site:
    """A placement's model, and the watch over it."""

    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        self.now_s = 0.0
        self.watch = InfluenceWatch(self.registry, lambda: self.now_s)
        self.book = PlacementModel("hero")
        self.n = 0

    def teach(
        self, visitor: object, network: object = None, arm: str = "red", reward: float = 0.0, **terms: Any
    ) -> None:
        self.n += 1
        self.book.learn(
            Outcome(
                Choice(f"d{self.n}", "hero", 0, arm, 2**31),
                reward,
                ClosingReason.WINDOW,
                NOON_MS,
                NOON_MS,
                NOON_MS,
                unit=short_hash(str(visitor)),
                by="write",
                origin=short_hash(str(network)) if network is not None else b"",
                **terms,
            )
        )

    def warnings(self) -> list[str]:
        self.now_s += LOOK_S
        return self.watch.warnings(self.book)

    def shown(self, name: str = TOP, **labels: str) -> float | None:
        return self.registry.get_sample_value(name, {"placement": "hero", **labels})


@pytest.fixture
def site() -> Site:
    return Site()


def test_many_that_teach_alike_are_shown_and_no_warning(site: Site) -> None:
    for visitor in range(200):
        site.teach(visitor, network=visitor, reward=float(visitor % 2))
    assert site.warnings() == []
    assert site.shown(arm="red", of="outcomes") == pytest.approx(0.01)
    assert site.shown(arm="red", of="rewards") == pytest.approx(0.01)
    assert site.shown(LEFT) == 0.0


@pytest.mark.parametrize("free", [False, True])
def test_a_visitor_that_teaches_much_is_warned_of_unless_the_catalog_wants_it(site: Site, free: bool) -> None:
    for visitor in range(60):
        site.teach(visitor, free=free)
    for _ in range(60):
        site.teach("busy", free=free)
    warnings = site.warnings()
    assert site.shown(arm="red", of="outcomes") == 0.5
    assert len(warnings) == (0 if free else 1)
    if not free:
        assert "50% of the outcomes that hero learned of red" in warnings[0]
        assert "rewards_by: server" in warnings[0]


def test_a_visitor_that_brings_most_rewards_is_warned_of(site: Site) -> None:
    for visitor in range(1_000):
        site.teach(visitor, reward=float(visitor < 30))
    for _ in range(30):
        site.teach("busy", reward=1.0)
    (warning,) = site.warnings()
    assert "50% of the rewards that hero learned of red" in warning


def test_of_few_one_is_always_much_and_nothing_is_said(site: Site) -> None:
    for number in range(200):
        site.teach(number % 3)
    assert site.warnings() == []
    assert site.shown(arm="red", of="outcomes") is None


@pytest.mark.parametrize("n_networks", [1, 4])
def test_a_model_that_starves_behind_few_networks_says_so_and_what_helps(site: Site, n_networks: int) -> None:
    """An office, a carrier, a proxy that nobody named: every visitor comes from the same few networks."""
    for visitor in range(400):
        site.teach(visitor, network=visitor % n_networks)
    report = site.book.influence.intake.report()
    assert report.left_share == site.book.counts["bounded"] / 400
    assert report.left_share > 0.9
    (warning,) = site.warnings()
    assert site.shown(LEFT) == report.left_share
    for part in (
        f"{report.left_share:.0%}",
        "hero",
        f"{n_networks} networks",
        "NEXTBEST_TRUSTED_PROXIES",
        "influence: free",
    ):
        assert part in warning


def test_a_proxy_that_is_named_or_a_server_starves_nothing(site: Site) -> None:
    for visitor in range(400):
        site.teach(visitor, network=f"behind the proxy {visitor % 200}")
        site.teach(visitor)
    assert site.warnings() == []
    assert site.book.counts["bounded"] == 0


def test_so_many_arms_are_shown_and_no_more_and_those_that_fell_behind_are_not(site: Site) -> None:
    for arm in range(SHOWN_ARMS + 5):
        for visitor in range(100 + arm):
            site.teach(visitor, arm=f"arm-{arm:02}")
    site.warnings()
    assert site.shown(arm="arm-24", of="outcomes") is not None
    assert site.shown(arm="arm-04", of="outcomes") is None
    for visitor in range(100):
        site.teach(f"new-{visitor}", arm="arm-04")
    site.warnings()
    assert site.shown(arm="arm-04", of="outcomes") is not None
    series = [sample for metric in site.registry.collect() for sample in metric.samples if sample.name == TOP]
    assert len(series) == SHOWN_ARMS


def test_a_look_is_not_taken_at_every_outcome(site: Site) -> None:
    for visitor in range(200):
        site.teach(visitor)
    site.watch.look(site.book)
    before = site.shown(arm="red", of="outcomes")
    for _ in range(200):
        site.teach("busy")
    site.watch.look(site.book)
    assert site.shown(arm="red", of="outcomes") == before
    site.now_s += LOOK_S
    site.watch.look(site.book)
    assert site.shown(arm="red", of="outcomes") == 0.5 + 1 / 400


def test_what_is_learned_elsewhere_is_not_shown_here(site: Site) -> None:
    for visitor in range(200):
        site.teach(visitor)
    site.watch.look(site.book)
    site.watch.forget("hero")
    site.watch.forget("hero")
    assert site.shown(arm="red", of="outcomes") is None
    assert site.shown(LEFT) is None
    site.watch.look(site.book)
    assert site.shown(LEFT) == 0.0


class WatchedBench(Bench):
    """A learner whose placements are shown in a registry of the test's."""

    def __init__(self) -> None:
        super().__init__()
        self.registry = CollectorRegistry()

    def placements(self) -> PlacementTraining:
        return PlacementTraining(cast(ModelPublisher, self.publisher), self.secret, self.registry)


async def test_the_learner_says_it_where_readyz_asks_and_until_it_has_lost_the_placement() -> None:
    bench = WatchedBench()
    for number in range(300):
        choice = Choice(f"d{number}", "hero", 0, "red", 2**31)
        unit, office = short_hash(str(number)), short_hash("office")
        outcome = Outcome(choice, 0.0, ClosingReason.WINDOW, NOON_MS, NOON_MS, unit=unit, by="write", origin=office)
        await bench.log.append([Record(OUTCOMES, "hero", encode_outcome(outcome))])
    learner = bench.learner()
    await learner.assigned([HERO], 1)
    await learner.process(bench.messages(0, 300, 1))
    await learner.publish()
    assert bench.registry.get_sample_value(LEFT, {"placement": "hero"}) == 295 / 300
    (warning,) = learner.warnings()
    assert "98% of the outcomes of hero" in warning
    await learner.assigned([], 2)
    assert learner.warnings() == []
    assert bench.registry.get_sample_value(LEFT, {"placement": "hero"}) is None

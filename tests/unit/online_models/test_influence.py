"""One visitor, and one network, move a model only so far in a day; nobody is left out for what others did."""

from __future__ import annotations

import random
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from online_models.frequent_items import FrequentItems
from online_models.influence import (
    LEAST_OF_NETWORK,
    LEAST_OF_VISITOR,
    LEAST_REWARD,
    MAX_ARMS,
    NETWORKS,
    OF_NETWORK,
    OF_VISITOR,
    Influence,
)
from online_models.placement_model import PlacementModel
from personalization.bounded import short_hash
from personalization.catalog.duration import DAY_MS
from personalization.events.outcome import ClosingReason, Outcome
from personalization.visitor.choice import Choice

NOON_MS = 1_700_000_000_000
FORGER = short_hash("forger's network")


class Page:
    """A placement's model, and outcomes by pages' keys."""

    def __init__(self, reward_range: tuple[float, float] = (0.0, 1.0)) -> None:
        self.model = PlacementModel("hero", reward_range=reward_range)
        self.n = 0

    def teach(self, reward: float = 0.0, **terms: Any) -> bool:
        self.n += 1
        outcome = Outcome(
            Choice(f"d{self.n}", "hero", 0, terms.pop("arm", "red"), 2**31),
            reward,
            ClosingReason.WINDOW,
            NOON_MS,
            terms.pop("closed_at_ms", NOON_MS),
            NOON_MS,
            unit=terms.pop("unit", short_hash(f"visitor-{self.n}")),
            by=terms.pop("by", "write"),
            origin=terms.pop("origin", short_hash(f"network-{self.n}")),
            **terms,
        )
        return self.model.learn(outcome)

    def honest(self, n: int, rate: float = 0.1) -> None:
        for number in range(n):
            assert self.teach(float(number % round(1 / rate) == 0)), "visitors from everywhere are never left out"


@pytest.fixture
def page() -> Page:
    return Page()


def test_one_visitor_teaches_a_share_of_a_day(page: Page) -> None:
    page.honest(3_000)
    taught = sum(page.teach(unit=b"visitor1") for _ in range(500))
    assert taught == OF_VISITOR * 3_000
    assert page.model.counts["bounded"] == 500 - taught
    assert page.model.arms["red"].exposures == 3_000 + taught, "the books count what was learned"


def test_one_network_teaches_a_share_of_an_arm(page: Page) -> None:
    page.honest(3_000, rate=0.1)
    assert sum(page.teach(origin=FORGER) for _ in range(500)) == OF_NETWORK * 3_000
    assert sum(page.teach(origin=FORGER, arm="blue") for _ in range(50)) == LEAST_OF_NETWORK, "a new arm"


def test_one_network_brings_an_arm_a_share_of_what_it_brings(page: Page) -> None:
    page.honest(1_000, rate=0.01)
    assert sum(page.teach(1.0, origin=FORGER) for _ in range(100)) == 1, "of ten clicks one more"
    assert not page.teach(0.0, origin=FORGER), "and then nothing, whatever it brought"
    assert page.teach(0.0, origin=FORGER, arm="green"), "of that arm"
    other = Page()
    other.honest(1_000, rate=0.1)
    assert sum(other.teach(1.0, origin=FORGER) for _ in range(100)) == OF_NETWORK * 100


@pytest.mark.parametrize("forged", [[1.0], [-1.0], [1.0, -1.0]], ids=["praise", "blame", "either"])
def test_blame_is_bounded_as_praise_is(forged: list[float]) -> None:
    """A network that sends -1 moves an arm as far as one that sends 1."""
    page = Page((-1.0, 1.0))
    page.honest(1_000, rate=0.1)
    taught = sum(page.teach(forged[number % len(forged)], origin=FORGER) for number in range(100))
    assert taught == OF_NETWORK * 100


def test_where_rewards_begin_above_none_the_least_is_none() -> None:
    page = Page((1.0, 5.0))
    for _ in range(1_000):
        assert page.teach(1.0)
    assert sum(page.teach(1.0, origin=FORGER) for _ in range(10)) == 10
    assert sum(page.teach(5.0, origin=FORGER) for _ in range(100)) == LEAST_REWARD


def test_whether_an_outcome_counts_does_not_depend_on_what_it_brought() -> None:
    """Else successes would be left and failures learned, and arms would seem worse the fewer networks come."""
    influence, rng, n, brought = Influence(), random.Random(1), 0, 0.0
    for number in range(3_000):
        reward, outcome = float(rng.random() < 0.5), taught(number, "red", network=f"office-{rng.randrange(60)}")
        if influence.is_beyond(outcome):
            continue
        influence.count(outcome, reward)
        n, brought = n + 1, brought + reward
    assert n < 500, "sixty networks bring an arm sixty rewards"
    assert brought / n == pytest.approx(0.5, abs=0.1)


def test_with_very_many_arms_a_network_has_hardly_more_of_each() -> None:
    """What is known of a network is short of the truth by a part of its arm, whatever the others are taught."""
    influence, n_arms, n_rounds, n_busy, forged = Influence(), 1_000, 40, 50, {"offer-7": 0, "offer-8": 0}
    for number in range(n_rounds):
        for arm in range(n_arms):
            influence.count(taught(number * n_arms + arm, arm=f"offer-{arm}"), 0.0)
        for more in range(n_busy):
            influence.count(taught(number * n_busy + more, arm="offer-7", of="more"), 0.0)
            for pushed in forged:
                forged[pushed] += learned_of(influence, pushed, number)
    of_busy = n_rounds * (1 + n_busy)
    assert OF_NETWORK * of_busy <= forged["offer-7"] <= (OF_NETWORK + n_arms / NETWORKS) * of_busy
    assert forged["offer-8"] == LEAST_OF_NETWORK, "though all arms together have forty thousand outcomes"
    assert sum(len(arm.networks) for arm in influence._arms.values()) <= 2 * NETWORKS


def test_of_more_arms_than_are_kept_the_heaviest_are() -> None:
    influence = Influence()
    for number in range(100):
        influence.count(taught(number, arm="busy"), 0.0)
    for number in range(MAX_ARMS):
        influence.count(taught(number, arm=f"made-up-{number}"), 0.0)
    assert len(influence._arms) <= MAX_ARMS
    assert influence._arms["busy"].outcomes == 100


def taught(number: int, arm: str, of: str = "honest", by: str = "write", network: str = "") -> Outcome:
    return Outcome(
        Choice(f"{of}-{number}", "hero", 0, arm, 2**31),
        0.0,
        ClosingReason.WINDOW,
        NOON_MS,
        NOON_MS,
        unit=short_hash(f"{of}-visitor-{number}"),
        by=by,
        origin=FORGER if of == "forger" else short_hash(network or f"{of}-network-{number}"),
    )


def learned_of(influence: Influence, arm: str, number: int) -> bool:
    """Whether one more of the forger's counts."""
    outcome = taught(number, arm, "forger")
    if influence.is_beyond(outcome):
        return False
    influence.count(outcome, 0.0)
    return True


def liked(page: Page) -> None:
    """Four of five of very many visitors liked what they were shown."""
    for number in range(3_000):
        assert page.teach(float(number % 5 != 0))
    assert page.model.drift_resets == 0


@pytest.mark.parametrize("believed", [False, True], ids=["by a page's key", "by a server's key"])
def test_a_flood_by_one_network_makes_a_model_forget_nothing(page: Page, believed: bool) -> None:
    """A network's share of a day may be fifty in a row; honest ones taught the arm three thousand times."""
    liked(page)
    for _ in range(50):
        assert page.teach(0.0, origin=FORGER, by="server" if believed else "write")
    assert page.model.drift_resets == (1 if believed else 0), "a server's word counts as often as it comes"
    assert page.model.adaptations["drift_inflations"] == 0


def test_nor_does_a_flood_that_hides_among_honest_ones(page: Page) -> None:
    liked(page)
    for number in range(200):
        assert page.teach(float(number % 5 != 0))
        page.teach(0.0, origin=FORGER)
    assert page.model.drift_resets == 0


def test_nor_one_by_a_visitor_who_changes_networks(page: Page) -> None:
    liked(page)
    assert sum(page.teach(0.0, unit=b"visitor1") for _ in range(50)) == OF_VISITOR * 3_000
    assert page.model.drift_resets == 0


@pytest.mark.parametrize(("denied", "within"), [(False, 40), (True, 100)])
def test_what_honest_visitors_show_is_noticed(page: Page, denied: bool, within: int) -> None:
    """At once; beside a network that denies it no later than its share of the day is used up."""
    liked(page)
    n = 0
    while not page.model.drift_resets and n < 200:
        n += 1
        if denied:
            page.teach(1.0, origin=FORGER)
        page.teach(0.0)
    assert n <= within


@pytest.mark.parametrize("way", ["server", "proxy"])
def test_who_is_honest_makes_arms_seem_as_good_as_if_nobody_were_bounded(way: str) -> None:
    """By a server, or through a named proxy from networks of which some are crowded: paired, eight seeds."""
    rates = {"red": 0.2, "green": 0.3, "blue": 0.5}
    ratios = []
    for seed in range(8):
        rng, influence = random.Random(seed), Influence()
        bounded, free = ({arm: [0, 0.0] for arm in rates} for _ in range(2))
        for number in range(800):
            arm = rng.choice(list(rates))
            reward, network = float(rng.random() < rates[arm]), int(rng.expovariate(1 / 60))
            outcome = taught(number, arm, by="server" if way == "server" else "write", network=f"crowd-{network}")
            sums = [free[arm]]
            if not influence.is_beyond(outcome):
                influence.count(outcome, reward)
                sums.append(bounded[arm])
            for each in sums:
                each[0], each[1] = each[0] + 1, each[1] + reward
        if way == "server":
            assert bounded == free, "a server is believed"
        ratios.append(sum(bounded[arm][1] / bounded[arm][0] * free[arm][0] / free[arm][1] for arm in rates) / 3)
    assert sum(ratios) / len(ratios) == pytest.approx(1.0, abs=0.02)


def test_somebody_has_to_be_the_first(page: Page) -> None:
    assert sum(page.teach(unit=b"visitor1") for _ in range(50)) == LEAST_OF_VISITOR


@pytest.mark.parametrize(
    "terms",
    [{"by": "server"}, {"origin": b""}, {"free": True}, {"unit": b"", "by": "server"}],
    ids=["a server's", "from no network", "where the catalog says so", "nobody's"],
)
def test_who_is_believed_is_not_bounded(page: Page, terms: dict[str, Any]) -> None:
    assert all(page.teach(1.0, **{"unit": b"visitor1", "origin": FORGER, **terms}) for _ in range(200))


def test_each_day_begins_anew_and_none_comes_back(page: Page) -> None:
    for _ in range(20):
        page.teach(unit=b"visitor1")
    assert page.teach(unit=b"visitor1", closed_at_ms=NOON_MS + DAY_MS)
    for _ in range(20):
        page.teach(unit=b"visitor1", closed_at_ms=NOON_MS + DAY_MS)
    assert not page.teach(unit=b"visitor1"), "what closes late counts for the day that is"


def test_what_stands_for_many_weighs_as_many(page: Page) -> None:
    """Above the log's capacity one outcome stands for sixty-four: bounds are of what was, not of what was kept."""
    for _ in range(100):
        page.teach(sample_weight=64.0)
    taught = sum(page.teach(sample_weight=64.0, unit=b"visitor1") for _ in range(100))
    assert taught == LEAST_OF_VISITOR


def test_what_is_beyond_is_known_and_taught_by_nobody_sent_again(page: Page) -> None:
    for _ in range(20):
        page.teach(unit=b"visitor1")
    before = dict(page.model.counts)
    page.n -= 1
    assert not page.teach(unit=b"visitor1", closed_at_ms=NOON_MS + DAY_MS), "the outcome that was left out"
    assert page.model.counts["duplicate"] == before.get("duplicate", 0) + 1


def test_a_model_that_raises_has_used_up_nothing(page: Page, monkeypatch: pytest.MonkeyPatch) -> None:
    def fails(*_: Any) -> None:
        raise ArithmeticError

    monkeypatch.setattr(page.model.model, "learn_one", fails)
    for _ in range(20):
        with pytest.raises(ArithmeticError):
            page.teach(unit=b"visitor1")
    monkeypatch.undo()
    assert sum(page.teach(unit=b"visitor1") for _ in range(20)) == LEAST_OF_VISITOR


def test_a_checkpoint_knows_who_taught_how_much(page: Page) -> None:
    page.honest(100)
    page.teach(1.0, origin=FORGER)
    for _ in range(20):
        page.teach(unit=b"visitor1")
    loaded = PlacementModel.load(page.model.dump())
    assert loaded.influence.dump() == page.model.influence.dump()
    page.model = loaded
    assert not page.teach(unit=b"visitor1")
    old = {name: value for name, value in page.model.dump().items() if name != "influence"}
    page.model = PlacementModel.load(old)
    assert page.teach(unit=b"visitor1"), "a checkpoint of before bounds nobody"


def test_a_checkpoint_that_knew_networks_of_all_arms_together_goes_on(page: Page) -> None:
    page.honest(1_000)
    state = page.model.dump()
    influence = state["influence"]
    influence["of_arms"] = {arm: sums[:2] for arm, sums in influence.pop("arms").items()}
    influence.update(networks=b"", earned=b"")
    del influence["intake"], state["concentration"]
    page.model = PlacementModel.load(state)
    assert sum(page.teach(origin=FORGER) for _ in range(100)) == OF_NETWORK * 1_000


@given(
    st.integers(1, 8),
    st.lists(st.tuples(st.integers(0, 30), st.floats(0.01, 100.0)), max_size=300),
)
def test_a_bounded_memory_never_says_too_much(size: int, came: list[tuple[int, float]]) -> None:
    seen, true = FrequentItems(size), dict.fromkeys(range(31), 0.0)
    for number, weight in came:
        seen.add(b"%08d" % number, weight)
        true[number] += weight
        assert len(seen) <= 2 * size
    everything = sum(true.values())
    loaded = FrequentItems.load(size, seen.dump())
    for number, whole in true.items():
        found = seen.of(b"%08d" % number)
        assert found == loaded.of(b"%08d" % number)
        assert found <= whole * (1 + 1e-9)
        assert found >= whole - everything / size - 1e-6 * everything


def test_of_very_many_visitors_none_is_left_out() -> None:
    """A day of a large site has far more visitors than are remembered."""
    page = Page()
    page.honest(5_000)
    assert page.model.counts["bounded"] == 0
    assert page.model.arms["red"].exposures == 5_000


def test_nobody_makes_an_outcome_of_theirs_stand_for_more(page: Page) -> None:
    """A visitor with too many open decisions has some closed, for which the others stand: as many as they like."""
    page.honest(1_000, rate=0.05)
    assert not page.teach(1.0, unit=b"visitor1", origin=FORGER, sample_weight=460.0, training_weight=460.0)
    assert not page.teach(0.0, unit=b"visitor1", sample_weight=50.0, training_weight=50.0)
    assert page.teach(0.0, sample_weight=64.0), "above the log's capacity everybody's stand for as many"


def test_what_is_known_of_long_ago_lends_nobody_weight(page: Page) -> None:
    """Else an arm of a year would take a year's two percent from one network each day."""
    days = 30
    for day in range(days):
        for number in range(100):
            page.teach(float(number < 10), closed_at_ms=NOON_MS + day * DAY_MS)
    taught = sum(page.teach(origin=FORGER, closed_at_ms=NOON_MS + (days - 1) * DAY_MS) for _ in range(100))
    assert taught <= max(LEAST_OF_NETWORK, OF_NETWORK * 200)


def test_nor_do_they_as_the_first_of_a_day(page: Page) -> None:
    heavy = {"unit": b"visitor1", "origin": FORGER, "sample_weight": 460.0, "training_weight": 460.0}
    assert not page.teach(1.0, **heavy), "of all days"
    page.honest(100)
    assert not page.teach(1.0, closed_at_ms=NOON_MS + DAY_MS, **heavy)
    assert page.teach(1.0, closed_at_ms=NOON_MS + DAY_MS)

"""The referee: promotes what would have brought more, takes back what does harm, and nothing else."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from personalization.catalog.catalog import Challenger, Content, Placement, PublishedCatalog, Standing
from personalization.catalog.compiled_catalog import CompiledCatalog, CompiledPlacement, compile_catalog
from personalization.catalog.policy_spec import PolicySpec
from personalization.catalog.sections.challengers import contest_of
from personalization.evaluation.experiment_report import TREATED, Difference
from personalization.evaluation.trial_sums import TrialSums
from stream.projecting.referee import Referee

N = 10_000.0
SINCE_MS = 5


def placement(**said: Any) -> Placement:
    challenger = Challenger(policy=PolicySpec(name="thompson"), promote="when_better")
    return Placement(**{"content": ("a", "b"), "default": "a", "challenger": challenger, "holdout": 0.1, **said})


def better(by: float) -> TrialSums:
    """The policy on trial would have been rewarded in .3 + ``by`` of the decisions, the one in force is in .3."""
    share = 0.3 + by
    return TrialSums(N, N, N, 0.0, N, N, 0.3 * N, 0.3 * N, share * N, share * N, 0.3 * share * N, share * N)


def difference(low: float, high: float, **said: Any) -> Difference:
    fields = {"metric": "reward", "kind": "share", "side": TREATED, "against": "control", **said}
    return Difference(low=low, high=high, words="worse than the control", **fields)


class World:
    """What a referee looks at, and what it did."""

    ready = True

    def __init__(
        self, spec: Placement, sums: TrialSums | None, standing: Standing | None = None, *found: Difference
    ) -> None:
        catalog = PublishedCatalog(
            placements={"hero": spec},
            content={"a": Content(body="a"), "b": Content(body="b")},
            standings={} if standing is None else {"hero": standing},
        )
        self.current: CompiledCatalog = compile_catalog(catalog, 4)
        self.sums, self.found = sums, found
        self.published: list[tuple[int, str, Standing]] = []
        self.told: list[tuple[str, str]] = []
        self.asked_since: list[int] = []

    async def trials(self, placement: str, now_ms: int) -> dict[int, TrialSums]:
        shadow = self.current.placements[placement].shadow
        return {} if self.sums is None or shadow is None else {shadow.trial: self.sums}

    async def publish(self, version: int, placement: str, standing: Standing) -> int:
        self.published.append((version, placement, standing))
        return version + 1

    async def differences(self, placement: CompiledPlacement, since_ms: int) -> Sequence[Difference]:
        self.asked_since.append(since_ms)
        return self.found

    async def look(self) -> list[tuple[str, str]]:
        referee = Referee(
            self,
            self,
            lambda: True,
            self.publish,
            self.differences,
            lambda *what: self.told.append(what),
            lambda: 99,
        )
        await referee.look()
        return [(name, standing.is_now) for _, name, standing in self.published]


def promoted(spec: Placement) -> Standing:
    return Standing(contest_of(spec), "promoted", SINCE_MS)


async def test_what_would_have_brought_more_beyond_doubt_is_promoted_with_why() -> None:
    world = World(placement(), better(0.1))
    assert await world.look() == world.told == [("hero", "promoted")]
    [(version, _, standing)] = world.published
    assert (version, standing.since_ms) == (4, 99)
    assert standing.contest == contest_of(placement())
    assert "thompson would have brought 0.4 a decision, default brought 0.3" in standing.why


async def test_what_is_not_clearly_better_waits() -> None:
    for sums in (better(0.0), better(-0.1), None):
        assert await World(placement(), sums).look() == []


async def test_by_command_means_by_command_alone() -> None:
    spec = placement(challenger=Challenger(policy=PolicySpec(name="thompson")))
    assert await World(spec, better(0.1)).look() == []


async def test_what_does_worse_than_the_control_is_taken_back_and_is_not_promoted_again() -> None:
    spec = placement()
    world = World(spec, None, promoted(spec), difference(-0.2, -0.01))
    assert await world.look() == [("hero", "demoted")]
    assert world.asked_since == [SINCE_MS]
    assert world.published[0][2].why == "worse than the control"
    demoted = Standing(contest_of(spec), "demoted", SINCE_MS)
    assert await World(spec, better(0.1), demoted).look() == []


async def test_what_may_be_no_worse_stays() -> None:
    spec = placement()
    for found in (
        difference(-0.2, 0.01),
        difference(-0.2, -0.01, metric="ordered"),
        difference(-0.2, -0.01, side="bold"),
        difference(-0.2, -0.01, segment="loyal"),
    ):
        assert await World(spec, None, promoted(spec), found).look() == []


async def test_a_standing_of_other_policies_says_nothing() -> None:
    other = placement(challenger=Challenger(policy=PolicySpec(name="linucb"), promote="when_better"))
    world = World(placement(), better(0.1), promoted(other))
    assert await world.look() == [("hero", "promoted")]

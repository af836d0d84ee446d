"""Tiers by shares of visitors: where they begin is a part of the catalog's version, and a fold goes by it."""

from __future__ import annotations

import math
from typing import Any

import pytest

from personalization.audience.rule_scores import tier_of, value
from personalization.audience.score_report import score_report
from personalization.audience.variables import VisitorScope
from personalization.catalog.catalog import Content, Placement, PublishedCatalog, Score
from personalization.catalog.compiled_catalog import CompiledCatalog, compile_catalog
from personalization.catalog.compiled_scores import Tier
from personalization.catalog.duration import DAY_MS
from personalization.catalog.sections.scores import EventPoints
from personalization.catalog.tier_thresholds import TierThresholds, TopShare, measured_by, thresholds_kept
from personalization.folding.parts import is_behind
from tests.unit.personalization.folding.test_tiers import run_out, told
from tests.unit.personalization.world import World

KEY = "a:1"
HOT_AND_WARM = {"hot": TopShare(top=0.1), "warm": TopShare(top=0.4), "cold": TopShare(top=1.0)}


def lead(points: float = 20, **terms: Any) -> Score:
    return Score(events=(EventPoints(event="V", points=points),), **{"tiers": HOT_AND_WARM, **terms})


def catalog(version: int, score: Score, /, *points: float | None, n_visitors: int = 500) -> CompiledCatalog:
    """With where hot and warm begin, if that is known."""
    placements = {"hero": Placement(content=("a",), default="a")}
    terms: dict[str, Any] = {"placements": placements, "content": {"a": Content(body="a")}}
    measured = measured_by(PublishedCatalog(**terms, scores={"lead": score}), "lead")
    known = TierThresholds(measured, 1_700_000_000_000, n_visitors, tuple(zip((0.1, 0.4), points, strict=True)))
    thresholds = {"lead": known} if points else {}
    return compile_catalog(PublishedCatalog(**terms, scores={"lead": score}, thresholds=thresholds), version)


def without(score: Score, version: int = 1) -> CompiledCatalog:
    placements = {"hero": Placement(content=("a",), default="a")}
    published = PublishedCatalog(placements=placements, content={"a": Content(body="a")}, scores={"lead": score})
    return compile_catalog(published, version)


@pytest.mark.parametrize(
    ("points", "hysteresis", "expected"),
    [
        pytest.param((60.0, 20.0), None, [("warm", 20, 18), ("hot", 60, 54)], id="a tenth below"),
        pytest.param((60.0, 20.0), 5.0, [("warm", 20, 15), ("hot", 60, 55)], id="as it is written"),
        pytest.param((21.0, 20.0), 5.0, [("warm", 20, 15), ("hot", 21, 20.5)], id="half way down at most"),
        pytest.param((20.0, 20.0), None, [("warm", 20, 18), ("hot", 20, 20)], id="nobody between"),
        pytest.param((None, 20.0), None, [("warm", 20, 18), ("hot", math.inf, math.inf)], id="nobody"),
    ],
)
def test_tiers_begin_at_the_thresholds(
    points: tuple[float | None, ...], hysteresis: float | None, expected: list[tuple[str, float, float]]
) -> None:
    score = catalog(1, lead(hysteresis=hysteresis), *points).scores.by_name["lead"]
    assert score.tiers == [Tier("cold", -math.inf, -math.inf), *(Tier(*each) for each in expected)]


def test_everybody_else_is_in_the_rest() -> None:
    score = without(lead(tiers={"hot": TopShare(top=0.1)})).scores.by_name["lead"]
    assert [tier.name for tier in score.tiers] == ["rest", "hot"]


def test_before_the_first_thresholds_nobody_leaves_the_lowest_tier() -> None:
    world = World(without(lead(1_000)))
    world.track(KEY, "V")
    assert told(world) == []
    world.catalog = catalog(2, lead(1_000), 60, 20)
    assert is_behind(world.visitors[KEY].folder, world.catalog), "the sweep wakes them"
    world.time_out(KEY, after_ms=1)
    assert told(world) == [("cold", "hot")]


def test_thresholds_that_move_are_told_at_the_next_event() -> None:
    world = World(catalog(1, lead(), 60, 20))
    world.track(KEY, "V")
    assert told(world) == [("cold", "warm")]
    world.catalog = catalog(2, lead(), 90, 41)
    assert told(world) == [("cold", "warm")]
    world.track(KEY, "Looked")
    assert told(world)[1:] == [("warm", "cold")]
    world.track(KEY, "V")
    assert told(world)[1:] == [("warm", "cold")], "40 points"


def test_while_other_points_are_not_measured_everybody_keeps_their_tier() -> None:
    world = World(catalog(1, lead(), 60, 20))
    world.track(KEY, "V")
    dearer = lead(2_000)
    world.catalog = without(dearer, 2)
    world.track(KEY, "V")
    world.track("a:2", "V")
    assert (told(world), told(world, "a:2")) == ([("cold", "warm")], [])
    world.catalog = catalog(3, dearer, 6_000, 3_000)
    world.track(KEY, "Looked")
    world.track("a:2", "Looked")
    assert (told(world)[1:], told(world, "a:2")) == ([], [])


def test_only_the_first_thresholds_wake_everybody() -> None:
    """A sweep walks over all visitors where what is told of changed: for moved thresholds it would be hourly."""
    first, moved = catalog(2, lead(), 60, 20), catalog(3, lead(), 90, 40)
    assert without(lead()).told_of != first.told_of == moved.told_of
    assert catalog(4, lead(), None, 40).told_of == moved.told_of


@pytest.mark.parametrize("points", [(), (60.0, 20.0), (20.0, 20.0), (None, 20.0), (None, None), (-5.0, -9.0)])
@pytest.mark.parametrize("terms", [{"half_life_ms": DAY_MS}, {"expires_ms": DAY_MS}, {}])
def test_whatever_the_thresholds_what_is_due_ends(points: tuple[float | None, ...], terms: dict[str, Any]) -> None:
    world = World(catalog(1, lead(**terms), *points) if points else without(lead(**terms)))
    for _ in range(5):
        world.track(KEY, "V", after_ms=60_000)
    run_out(world)
    state = world.visitors[KEY].state
    score = world.catalog.scores.by_name["lead"]
    held = state.points.tiers.get("lead", score.rest) if state.points else score.rest
    assert tier_of(score.tiers, value(score, state, world.now_ms, lambda _: False), held) == held


def test_the_tier_of_no_points_is_the_lowest_whatever_the_thresholds() -> None:
    """It is not written in states: thresholds that moved it would change who had which tier before."""
    for points in ((-5.0, -9.0), (60.0, 20.0)):
        assert catalog(1, lead(), *points).scores.by_name["lead"].rest == "cold"


def test_the_report_says_where_the_tier_begins_and_since_when() -> None:
    world = World(catalog(1, lead(), 60, 20))
    world.track(KEY, "V")
    scope = VisitorScope(world.visitors[KEY].state, {}, world.catalog, world.now_ms, False)
    told_of = score_report(scope, {})["lead"]
    assert (told_of["tier"], told_of["threshold"]) == (
        "warm",
        "from 20 points on, the top 40% of 500 visitors at 2023-11-14 22:13 UTC, and kept down to 18",
    )


def test_thresholds_are_kept_for_the_same_points_alone() -> None:
    mine, other = catalog(1, lead(), 60, 20), catalog(1, lead(5), 15, 5)
    ours, theirs = mine.scores.computed, other.scores.computed
    assert thresholds_kept(mine.catalog, theirs, ours) == ours
    assert thresholds_kept(mine.catalog, theirs) == {}
    assert thresholds_kept(without(lead(trend=None, rearm_ms=5)).catalog, ours) == ours, (
        "what tells changes no points"
    )

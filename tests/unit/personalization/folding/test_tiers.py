"""The rule *Tiers*: reaching and losing one is told once each, when it happens, whether anybody acts or not."""

from __future__ import annotations

import math
import random
from typing import Any

import pytest
from msgspec import structs

from personalization.audience import tallies, windows
from personalization.audience.rule_scores import tier_of, value
from personalization.audience.variables import VisitorScope
from personalization.catalog.catalog import Catalog, Content, Placement, Score
from personalization.catalog.compiled_catalog import CompiledCatalog, compile_catalog
from personalization.catalog.duration import DAY_MS, HOUR_MS
from personalization.catalog.sections.scores import EventPoints, Repeat, TraitPoints
from personalization.events.entry import decode_entry
from personalization.events.event import Identify, Link, TierChanged, Track
from personalization.folding.parts import is_behind
from personalization.visitor.folder_state import decode_folder, encode_folder
from tests.unit.personalization.audience.test_rule_scores import random_score
from tests.unit.personalization.world import World

KEY = "a:1"
THREE = {"cold": 0.0, "warm": 20.0, "hot": 60.0}


def catalog(version: int = 1, /, **scores: Score) -> CompiledCatalog:
    placements = {"hero": Placement(content=("a",), default="a")}
    return compile_catalog(Catalog(placements=placements, content={"a": Content(body="a")}, scores=scores), version)


def lead(points: float = 20, **terms: Any) -> Score:
    return Score(events=(EventPoints(event="V", points=points),), **{"tiers": THREE, **terms})


def told(world: World, key: str = KEY) -> list[tuple[str, str]]:
    events = [decode_entry(data).event for at, data in world.log if at == key]
    return [(event.before, event.tier) for event in events if isinstance(event, TierChanged)]


def run_out(world: World, key: str = KEY) -> None:
    """Let time pass until nothing is due any more."""
    for _ in range(100):
        due_ms = world.due(key)
        if due_ms is None:
            return
        world.time_out(key, after_ms=due_ms - world.now_ms)
    raise AssertionError("something is due for ever")


def test_a_tier_is_told_when_it_is_reached_and_when_it_is_lost() -> None:
    world = World(catalog(lead=lead(half_life_ms=DAY_MS)))
    world.track(KEY, "V")
    assert told(world) == [("cold", "warm")]
    at_ms, due_ms = world.now_ms, world.due(KEY)
    # 20 points fall below 18, a tenth below where the tier begins.
    assert due_ms == at_ms + math.ceil(DAY_MS * math.log2(20 / 18))
    world.time_out(KEY, after_ms=due_ms - world.now_ms)
    assert told(world) == [("cold", "warm"), ("warm", "cold")]
    assert world.due(KEY) is None


@pytest.mark.parametrize(("hysteresis", "n_told"), [(0, 20), (5, 1)])
def test_within_the_hysteresis_nobody_flaps(hysteresis: float, n_told: int) -> None:
    score = Score(
        events=(EventPoints(event="V", points=20), EventPoints(event="W", points=1.75)),
        half_life_ms=DAY_MS,
        tiers=THREE,
        hysteresis=hysteresis,
    )
    world = World(catalog(lead=score))
    world.track(KEY, "V")
    for _ in range(10):  # it falls to about 18.5 and rises to about 20.2 again
        next_ms = world.now_ms + 3 * HOUR_MS
        while (due_ms := world.due(KEY)) is not None and due_ms < next_ms:
            world.time_out(KEY, after_ms=due_ms - world.now_ms)
        world.track(KEY, "W", after_ms=next_ms - world.now_ms)
    assert len(told(world)) == pytest.approx(n_told, abs=1)


def test_a_rise_through_several_tiers_is_one() -> None:
    world = World(catalog(lead=lead(70)))
    world.track(KEY, "V")
    assert told(world) == [("cold", "hot")]
    assert world.due(KEY) is None, "points that never fade"
    world.track(KEY, "V")
    assert told(world) == [("cold", "hot")]


def test_points_that_were_taken_come_back_with_time() -> None:
    score = Score(
        events=(
            EventPoints(event="Joined", points=30),
            EventPoints(event="Complained", points=-25, half_life_ms=DAY_MS),
        ),
        tiers={"cold": 0, "warm": 20},
    )
    world = World(catalog(lead=score))
    world.track(KEY, "Joined")
    world.track(KEY, "Complained")
    assert told(world) == [("cold", "warm"), ("warm", "cold")]
    at_ms = world.now_ms
    run_out(world)
    assert told(world)[2:] == [("cold", "warm")]
    assert world.now_ms - at_ms == pytest.approx(DAY_MS * math.log2(25 / 10), abs=2)


def test_expiry_wakes_a_visitor_only_when_a_tier_changes() -> None:
    world = World(catalog(lead=lead(10, expires_ms=DAY_MS, hysteresis=0)))
    for _ in range(8):
        world.track(KEY, "V", after_ms=HOUR_MS, n=0)
    first_ms = world.now_ms - 7 * HOUR_MS
    assert told(world) == [("cold", "warm"), ("warm", "hot")]
    run_out(world)
    assert told(world)[2:] == [("hot", "warm"), ("warm", "cold")]
    # After the third of eight 50 points are left, after the seventh 10.
    assert world.now_ms == first_ms + 6 * HOUR_MS + DAY_MS


LIKES = (EventPoints(event="L", points=5), EventPoints(event="D", points=-5))
PRO = TraitPoints(when='traits.plan == "pro"', points=18)


@pytest.mark.parametrize(
    ("score", "events"),
    [
        pytest.param(Score(events=LIKES, tiers={"bad": -10, "fine": 0, "good": 10}), "LLLLDDDD", id="cancelled"),
        pytest.param(Score(events=LIKES, tiers={"bad": -10, "fine": 0, "good": 10}), "DDDDLLLL", id="made up for"),
        pytest.param(Score(events=LIKES, traits=(PRO,), tiers=THREE), "L", id="fading to where it is lost"),
        pytest.param(
            Score(events=LIKES, range=(18, 100), tiers=THREE), "LLLLL", id="the range ends where it is lost"
        ),
        pytest.param(Score(events=LIKES, range=(0, 20), tiers=THREE, hysteresis=0), "LLLLLLLLLL", id="a range"),
        pytest.param(
            Score(
                events=(EventPoints(event="L", points=5, group="g"),), groups={"g": 20}, tiers=THREE, hysteresis=0
            ),
            "LLLLLLLLLL",
            id="a group",
        ),
    ],
)
@pytest.mark.parametrize("gap_ms", [1, 1_000, HOUR_MS])
def test_a_score_that_stays_at_a_threshold_wakes_nobody_again_and_again(
    score: Score, events: str, gap_ms: int
) -> None:
    world = World(catalog(lead=structs.replace(score, half_life_ms=14 * DAY_MS)))
    world.identify(KEY, plan="pro")
    for event in events:
        world.track(KEY, event, after_ms=gap_ms)
    until_ms = world.now_ms + 365 * DAY_MS
    for _ in range(5):
        due_ms = world.due(KEY)
        if due_ms is None or due_ms > until_ms:
            return
        world.time_out(KEY, after_ms=due_ms - world.now_ms)
    raise AssertionError("it wakes them again and again")


@pytest.mark.parametrize("bound", [{"range": (0, 50)}, {"groups": {"g": 50}}])
def test_a_tier_at_a_bound_is_lost_when_the_points_beyond_it_have_faded(bound: dict[str, Any]) -> None:
    event = EventPoints(event="V", points=100, group="g" if "groups" in bound else "")
    score = Score(events=(event,), half_life_ms=DAY_MS, tiers={"cold": 0, "hot": 50}, hysteresis=0, **bound)
    world = World(catalog(lead=score))
    world.track(KEY, "V")
    at_ms = world.now_ms
    run_out(world)
    assert told(world) == [("cold", "hot"), ("hot", "cold")]
    assert abs(world.now_ms - at_ms - DAY_MS) <= 2


def test_a_tier_is_lost_in_time_though_more_was_counted_than_counts() -> None:
    """Of two ids each had the points that a visitor has once, and those fade only when the rest has."""
    taken = EventPoints(event="B", points=-40, repeat=Repeat(limit=1))
    score = Score(
        events=(EventPoints(event="A", points=100), taken),
        half_life_ms=10 * DAY_MS,
        tiers={"cold": 0, "warm": 50},
        hysteresis=0,
    )
    world = World(catalog(lead=score))
    for key in ("a:1", "u:1"):
        world.track(key, "B")
    world.track("u:1", "A")
    world.link("a:1", "u:1")
    at_ms = world.now_ms
    run_out(world, "u:1")
    assert told(world, "u:1")[-1] == ("warm", "cold")
    # 100 fades to 90, while the -40 stay until 80 of them have faded to 40.
    assert world.now_ms - at_ms == pytest.approx(10 * DAY_MS * math.log2(100 / 90), abs=5)


def test_more_points_ask_for_no_time_out_of_their_own() -> None:
    world = World(catalog(lead=lead(70, half_life_ms=DAY_MS)))
    folded = [world.track(KEY, "V", after_ms=1000) for _ in range(20)]
    assert [each.due_ms is not None for each in folded] == [True] + [False] * 19
    run_out(world)
    assert told(world) == [("cold", "hot"), ("hot", "warm"), ("warm", "cold")]


def test_a_window_in_a_condition_has_its_say_in_time() -> None:
    score = Score(
        events=(EventPoints(event="Login", points=30),),
        traits=(TraitPoints(when='since("Login") > duration("14d")', points=-20),),
        tiers={"asleep": 0, "awake": 20},
    )
    world = World(catalog(lead=score))
    world.track(KEY, "Login")
    at_ms = world.now_ms
    run_out(world)
    assert told(world) == [("asleep", "awake"), ("awake", "asleep")]
    assert world.now_ms == at_ms + 14 * DAY_MS + 1


def test_a_tier_that_is_reached_again_soon_is_not_told_again() -> None:
    world = World(catalog(lead=lead(25, half_life_ms=DAY_MS, rearm_ms=30 * DAY_MS)))
    for _ in range(2):
        world.track(KEY, "V")
        run_out(world)
    assert told(world) == [("cold", "warm"), ("warm", "cold")]
    world.track(KEY, "V", after_ms=30 * DAY_MS)
    assert told(world)[2:] == [("cold", "warm")]


def test_two_axes_are_told_together() -> None:
    world = World(
        catalog(
            fit=Score(traits=(TraitPoints(when='traits.size == "big"', points=60),), tiers={"B": 0, "A": 50}),
            interest=Score(events=(EventPoints(event="V", points=10),), tiers={"2": 0, "1": 10}),
            lead=Score(axes=("fit", "interest")),
        )
    )
    world.track(KEY, "V")
    world.identify(KEY, size="big")
    assert told(world) == [("2", "1"), ("B2", "B1"), ("B", "A"), ("B1", "A1")]


def test_a_blend_of_scores_is_followed_like_any() -> None:
    world = World(
        catalog(
            one=Score(events=(EventPoints(event="V", points=10, half_life_ms=DAY_MS),)),
            both=Score(blend={"one": 3.0}, tiers=THREE),
        )
    )
    world.track(KEY, "V")
    assert told(world) == [("cold", "warm")]
    at_ms = world.now_ms
    run_out(world)
    assert told(world)[1:] == [("warm", "cold")]
    assert world.now_ms - at_ms == math.ceil(DAY_MS * math.log2(30 / 18))


def test_a_merge_adds_points_and_tells_no_tier_twice() -> None:
    world = World(catalog(lead=lead(half_life_ms=30 * DAY_MS)))
    world.track("a:1", "V")
    for _ in range(2):
        world.track("u:1", "V")
    world.link("a:1", "u:1")
    assert told(world, "a:1") == told(world, "u:1") == [("cold", "warm")]
    world.track("u:1", "V")
    assert told(world, "u:1") == [("cold", "warm"), ("warm", "hot")]
    run_out(world, "u:1")
    assert told(world, "u:1")[2:] == [("hot", "warm"), ("warm", "cold")]


def test_what_was_told_under_one_key_stays_there() -> None:
    """Also if it comes to be folded behind a log-in."""
    world = World(catalog(lead=lead()))
    world.append("a:1", Track(message_id="m", event="V"))
    world.append("a:1", Link(canonical="u:1"))
    world.pump()
    assert told(world, "a:1") == [("cold", "warm")]
    assert told(world, "u:1") == []


def test_a_published_catalog_moves_who_acts_and_an_older_one_nobody() -> None:
    world = World(catalog(lead=lead()))
    world.track(KEY, "V")
    world.catalog = catalog(2, lead=lead(tiers={"cold": 0.0, "warm": 500.0}))
    world.track(KEY, "Other")
    assert told(world) == [("cold", "warm"), ("warm", "cold")]
    world.catalog = catalog(1, lead=lead())
    world.track(KEY, "V")
    assert len(told(world)) == 2
    world.catalog = catalog(3)
    world.track(KEY, "V")
    assert world.visitors[KEY].folder.tiers is None


def test_points_given_under_an_older_catalog_are_seen_by_the_newer_one_soon() -> None:
    events = (EventPoints(event="A", points=50), EventPoints(event="B", points=15))
    old, new = (catalog(version, lead=Score(events=events, tiers=THREE)) for version in (1, 2))
    world = World(new)
    for of, event in ((new, "B"), (new, "B"), (old, "A")):
        world.catalog = of
        world.track(KEY, event)
    assert told(world) == [("cold", "warm")]
    world.catalog = new
    world.time_out(KEY, after_ms=1_000)
    assert told(world) == [("cold", "warm"), ("warm", "hot")]
    assert world.due(KEY) is None


def test_a_merge_under_an_older_catalog_tells_nothing_of_its_rules() -> None:
    old, new = (catalog(version, lead=lead(points)) for version, points in ((1, 50.0), (2, 5.0)))
    world = World(new)
    world.track("a:1", "V")
    world.track("u:1", "V")
    world.catalog = old
    world.link("a:1", "u:1")
    world.catalog = new
    world.track("u:1", "V")
    run_out(world, "u:1")
    assert told(world, "u:1") == []


def test_a_new_lowest_tier_moves_nobody() -> None:
    world = World(catalog(lead=lead()))
    world.track(KEY, "Other")
    world.catalog = catalog(2, lead=lead(tiers={"ice": -50.0, **THREE}))
    world.track(KEY, "Other")
    assert told(world) == []
    world.track(KEY, "V")
    assert told(world) == [("cold", "warm")]


def test_catalogs_that_change_leave_no_more_behind_than_a_bound() -> None:
    world = World(catalog(lead=lead()))
    for version in range(1, 400):
        points = EventPoints(event="V", points=20, when=f"properties.n != {version}", repeat=Repeat(limit=1))
        expiring = structs.replace(points, expires_ms=DAY_MS)
        score = Score(events=(points, expiring), rearm_ms=DAY_MS, tiers={"low": 0, f"high{version}": 20})
        world.catalog = catalog(version, lead=score)
        world.track(KEY, "V", after_ms=HOUR_MS, n=0)
    visitor = world.visitors[KEY]
    assert visitor.state.points is not None
    assert visitor.folder.tiers is not None
    assert len(visitor.state.points.repeats) <= tallies.MAX_KEPT
    assert len(visitor.state.windows) <= windows.MAX_WINDOWS
    assert len(visitor.folder.tiers.told_ms["lead"]) <= 2 * 24


def test_a_time_out_looks_at_who_never_acted_under_these_scores() -> None:
    plain = World(catalog())
    plain.identify(KEY, plan="pro")
    assert not is_behind(plain.visitors[KEY].folder, plain.catalog)
    fit = Score(traits=(TraitPoints(when='traits.plan == "pro"', points=30),), tiers={"B": 0, "A": 20})
    plain.catalog = catalog(2, fit=fit)
    assert is_behind(plain.visitors[KEY].folder, plain.catalog)
    plain.time_out(KEY, after_ms=1)
    assert told(plain) == [("B", "A")]
    assert not is_behind(plain.visitors[KEY].folder, plain.catalog)
    plain.time_out("a:2", after_ms=1)
    assert plain.visitors["a:2"].folder.tiers is None, "of whom nothing is known"


def test_of_who_refuses_nothing_is_kept_and_nothing_told() -> None:
    world = World(catalog(lead=lead(half_life_ms=DAY_MS)))
    world.track(KEY, "V")
    world.send(KEY, Identify(message_id="no", context={"consent": {"personalization": False}}))
    visitor = world.visitors[KEY]
    assert (visitor.state.points, visitor.folder.tiers, world.due(KEY)) == (None, None, None)
    assert told(world) == [("cold", "warm")]


def test_a_folder_without_tiers_stores_nothing_of_them() -> None:
    world = World(catalog(lead=lead(half_life_ms=DAY_MS)))
    world.track(KEY, "V")
    folder = world.visitors[KEY].folder
    assert decode_folder(encode_folder(folder)) == folder
    folder.kept = None
    with_tiers = encode_folder(folder)
    folder.tiers = None
    assert encode_folder(folder)[1:] == with_tiers[1 : len(encode_folder(folder))]
    assert len(encode_folder(folder)) < len(with_tiers) - 20


@pytest.mark.parametrize("seed", range(40))
def test_after_every_event_the_tier_is_that_of_the_points(seed: int) -> None:
    """Whatever is skipped because it can change nothing."""
    draw = random.Random(seed)
    spec = structs.replace(random_score(draw), tiers={"low": 0, "mid": 12, "high": 30})
    world = World(catalog(lead=spec))
    score = world.catalog.scores.by_name["lead"]
    for _ in range(150):
        next_ms = world.now_ms + round(draw.expovariate(1 / HOUR_MS))
        while KEY in world.visitors and (due_ms := world.due(KEY)) is not None and due_ms < next_ms:
            world.time_out(KEY, after_ms=due_ms - world.now_ms)
        before = world.visitors[KEY].state.points if KEY in world.visitors else None
        held = before.tiers.get("lead") if before is not None else None
        if draw.random() < 0.1:
            world.send(KEY, Identify(message_id=world.message(), traits={"plan": draw.choice(["pro", "free"])}))
        else:
            world.track(KEY, draw.choice("ABCDE"), after_ms=next_ms - world.now_ms)
        state = world.visitors[KEY].state
        scope = VisitorScope(state, {}, world.catalog, state.now_ms, known=False)
        points = value(score, state, state.now_ms, scope.holds)
        found = "low" if state.points is None else state.points.tiers.get("lead", "low")
        assert found == tier_of(score.tiers, points, held)

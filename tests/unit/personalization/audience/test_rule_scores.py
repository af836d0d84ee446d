"""The rule *Scores*: at every moment the points are today's rules over what happened, and the reasons add up."""

from __future__ import annotations

import math
import random
from typing import Any

import msgspec
import pytest

from personalization.audience import rule_scores
from personalization.audience.merge import merge_states
from personalization.audience.profile import apply_event
from personalization.audience.score_course import Course
from personalization.audience.score_report import score_report
from personalization.audience.variables import VisitorScope
from personalization.catalog.catalog import Catalog, Content, Conversion, Placement, Score
from personalization.catalog.compiled_catalog import CompiledCatalog, compile_catalog
from personalization.catalog.duration import DAY_MS, HOUR_MS, MINUTE_MS
from personalization.catalog.sections.scores import EventPoints, Repeat, TraitPoints, Trend
from personalization.events.event import Identify, Track
from personalization.visitor.visitor_state import VisitorState, decode_visitor, encode_visitor
from tests.unit.personalization.world import START

CONTENT = {"a": Content(body="a")}
HERO = {"hero": Placement(content=("a",), default="a", features=("scores", "tiers", "trends"))}


def catalog(conversions: dict[str, Conversion] | None = None, /, **scores: Score) -> CompiledCatalog:
    return compile_catalog(
        Catalog(placements=HERO, content=CONTENT, scores=scores, conversions=conversions or {}), 1
    )


def happens(state: VisitorState, of: CompiledCatalog, event: str, at_ms: int, **properties: Any) -> None:
    state.now_ms = max(state.now_ms, at_ms)
    apply_event(state, Track(message_id="m", event=event, properties=properties), at_ms, state.now_ms, of)


def is_told(state: VisitorState, of: CompiledCatalog, **traits: Any) -> None:
    apply_event(state, Identify(message_id="m", traits=traits), START, state.now_ms, of)


def scope_of(state: VisitorState, of: CompiledCatalog, now_ms: int = START) -> VisitorScope:
    return VisitorScope(state, {}, of, now_ms, known=False)


def scores(state: VisitorState, of: CompiledCatalog, now_ms: int = START) -> dict[str, float]:
    found: dict[str, float] = scope_of(state, of, now_ms).value("scores")
    return found


def tiers(state: VisitorState, of: CompiledCatalog, now_ms: int = START) -> dict[str, str]:
    found: dict[str, str] = scope_of(state, of, now_ms).value("tiers")
    return found


def events(*points: EventPoints, **terms: Any) -> Score:
    return Score(events=points, **terms)


def test_points_add_up_and_are_taken() -> None:
    lead = events(EventPoints(event="Priced", points=5), EventPoints(event="Left", points=-20))
    of, state = catalog(lead=lead), VisitorState()
    assert scores(state, of) == {"lead": 0.0}
    for event in ("Priced", "Priced", "Other", "Left"):
        happens(state, of, event, START)
    assert scores(state, of) == {"lead": -10.0}


def test_points_fade_by_half_and_later_ones_in_full() -> None:
    of = catalog(lead=events(EventPoints(event="V", points=8), half_life_ms=DAY_MS))
    state = VisitorState()
    happens(state, of, "V", START)
    happens(state, of, "V", START + DAY_MS)
    assert scores(state, of, START + 2 * DAY_MS) == {"lead": pytest.approx(8 / 4 + 8 / 2)}


def test_points_expire_at_once_and_to_the_millisecond() -> None:
    of = catalog(lead=events(EventPoints(event="V", points=3, expires_ms=DAY_MS)))
    state = VisitorState()
    happens(state, of, "V", START)
    happens(state, of, "V", START + 5)
    assert scores(state, of, START + DAY_MS - 1) == {"lead": 6.0}
    assert scores(state, of, START + DAY_MS) == {"lead": 3.0}
    assert scores(state, of, START + DAY_MS + 5) == {"lead": 0.0}


def test_an_event_counts_so_often_a_day_and_no_more_often() -> None:
    of = catalog(lead=events(EventPoints(event="V", points=1, repeat=Repeat(limit=2, per="day"))))
    state = VisitorState()
    noon = START // DAY_MS * DAY_MS + DAY_MS // 2
    for hours in (0, 1, 2, 24, 23.9, 24.1, 0.5):  # late ones count on the day on which they happened
        happens(state, of, "V", noon + round(hours * HOUR_MS))
    assert scores(state, of, noon + 2 * DAY_MS) == {"lead": 4.0}


def test_what_is_imported_of_older_days_leaves_the_limit_of_today_alone() -> None:
    of = catalog(lead=events(EventPoints(event="V", points=1, repeat=Repeat(limit=1, per="day"))))
    state = VisitorState()
    for days in (0, -10, -9, -9, -8, -7, 0, -1, -1):
        happens(state, of, "V", START + days * DAY_MS)
    assert scores(state, of, START) == {"lead": 6.0}


def test_a_clock_that_is_behind_sees_what_there_was() -> None:
    of = catalog(lead=events(EventPoints(event="V", points=8), half_life_ms=MINUTE_MS))
    state = VisitorState()
    happens(state, of, "V", START + DAY_MS)
    assert scores(state, of, START) == {"lead": 8.0}


def test_an_event_counts_once_for_a_visitor_even_if_two_ids_had_it() -> None:
    of = catalog(lead=events(EventPoints(event="V", points=7, repeat=Repeat(limit=1))))
    one, other = VisitorState(), VisitorState()
    for state in (one, other):
        happens(state, of, "V", START)
        happens(state, of, "V", START)
        assert scores(state, of) == {"lead": 7.0}
    merge_states(one, other, of)
    assert scores(one, of) == {"lead": 7.0}
    happens(one, of, "V", START)
    assert scores(one, of) == {"lead": 7.0}


def test_a_condition_on_the_event_and_traits_count_while_they_hold() -> None:
    lead = Score(
        events=(EventPoints(event="V", points=2, when='properties.page == "pricing"'),),
        traits=(TraitPoints(when='traits.plan == "pro"', points=10), TraitPoints(when="n_orders > 0", points=-3)),
    )
    of, state = catalog(lead=lead), VisitorState()
    happens(state, of, "V", START, page="pricing")
    happens(state, of, "V", START, page="home")
    assert scores(state, of) == {"lead": 2.0}
    is_told(state, of, plan="pro")
    happens(state, of, "Order Completed", START)
    assert scores(state, of) == {"lead": 9.0}
    is_told(state, of, plan="free")
    assert scores(state, of) == {"lead": -1.0}


def test_inactivity_takes_points_by_a_window() -> None:
    lead = Score(
        events=(EventPoints(event="Login", points=10),),
        traits=(TraitPoints(when='since("Login") > duration("14d")', points=-5),),
    )
    of, state = catalog(lead=lead), VisitorState()
    happens(state, of, "Login", START)
    assert scores(state, of, START + 14 * DAY_MS) == {"lead": 10.0}
    assert scores(state, of, START + 14 * DAY_MS + 1) == {"lead": 5.0}


def test_groups_and_the_whole_have_bounds_and_the_reasons_add_up() -> None:
    lead = Score(
        events=(
            EventPoints(event="Page", points=4, group="pages"),
            EventPoints(event="Ad", points=3, group="pages"),
            EventPoints(event="Call", points=50),
        ),
        traits=(TraitPoints(when="n_orders == 0", points=-1, group="pages"),),
        groups={"pages": 10},
        range=(0, 40),
    )
    of, state = catalog(lead=lead), VisitorState()
    for _ in range(5):
        happens(state, of, "Page", START)
    happens(state, of, "Ad", START)
    assert scores(state, of) == {"lead": 10.0}
    happens(state, of, "Call", START)
    assert scores(state, of) == {"lead": 40.0}
    report = score_report(scope_of(state, of), {})["lead"]
    assert report["because"] == [
        {"event": "Call", "points": 50.0, "count": 1.0},
        {"event": "Page", "points": 20.0, "count": 5.0},
        {"range": "range", "points": -20.0},
        {"group": "pages", "points": -12.0},
        {"event": "Ad", "points": 3.0, "count": 1.0},
        {"trait": "n_orders == 0", "points": -1.0},
    ]


def test_a_catalog_that_reprices_an_event_changes_every_score_at_once() -> None:
    before = catalog(lead=events(EventPoints(event="V", points=5)))
    after = catalog(lead=events(EventPoints(event="V", points=50)))
    state = VisitorState()
    happens(state, before, "V", START)
    assert scores(state, after) == {"lead": 50.0}


def test_axes_stand_side_by_side() -> None:
    of = catalog(
        fit=Score(traits=(TraitPoints(when='traits.size == "big"', points=60),), tiers={"B": 0, "A": 50}),
        interest=events(EventPoints(event="V", points=10), tiers={"3": 0, "2": 10, "1": 30}),
        lead=Score(axes=("fit", "interest")),
    )
    state = VisitorState()
    assert tiers(state, of) == {"fit": "B", "interest": "3", "lead": "B3"}
    is_told(state, of, size="big")
    happens(state, of, "V", START)
    assert tiers(state, of) == {"fit": "A", "interest": "2", "lead": "A2"}
    assert scores(state, of) == {"fit": 60.0, "interest": 10.0, "lead": 70.0}


def test_a_blend_is_the_weighted_sum_and_absent_without_its_model() -> None:
    conversions = {"buys": Conversion(event="Ordered")}
    of = catalog(
        conversions,
        interest=events(EventPoints(event="V", points=10)),
        hot=Score(blend={"interest": 0.5, "buys": 100}, tiers={"no": 0, "yes": 50}),
    )
    state = VisitorState()
    happens(state, of, "V", START)
    assert scores(state, of) == {"interest": 10.0}
    assert tiers(state, of) == {}
    scope = VisitorScope(state, {}, of, START, known=False, scores=lambda _: {"buys": 0.6})
    assert scope.value("scores") == {"buys": 0.6, "interest": 10.0, "hot": pytest.approx(65.0)}
    assert scope.value("tiers") == {"hot": "yes"}
    assert of.scores.watched == {}, "a model has a say in it: the fold does not know it"


def test_a_trend_tells_whether_points_come_faster_than_before() -> None:
    of = catalog(lead=events(EventPoints(event="V", points=5), trend=Trend(over_ms=7 * DAY_MS)))

    def trend(state: VisitorState, day: int) -> str:
        found: str = scope_of(state, of, START + day * DAY_MS).value("trends")["lead"]
        return found

    state = VisitorState()
    assert trend(state, 0) == "steady", "nobody did anything"
    happens(state, of, "V", START)
    assert trend(state, 0) == "rising"
    for day in range(1, 200):
        happens(state, of, "V", START + day * DAY_MS)
    assert trend(state, 199) == "steady"
    assert trend(state, 210) == "falling"
    assert trend(state, 2000) == "steady", "of that long ago nothing is left"
    for day in range(200, 215):
        for _ in range(3):
            happens(state, of, "V", START + day * DAY_MS)
    assert trend(state, 215) == "rising"


def test_what_is_stored_comes_back() -> None:
    of = catalog(lead=events(EventPoints(event="V", points=5, repeat=Repeat(limit=2, per="day")), trend=Trend()))
    state = VisitorState()
    happens(state, of, "V", START)
    back = decode_visitor(encode_visitor(state))
    assert back == state
    assert scores(back, of) == {"lead": 5.0}
    assert msgspec.to_builtins(back.points)[2] == {}


# The definition


def random_score(draw: random.Random) -> Score:
    def points() -> float:
        return draw.choice([1, 5, 20, -2, -7.5])

    groups = {"g": draw.choice([10.0, 25.0])}
    several = []
    for event in draw.sample(["A", "B", "C", "D"], draw.randint(1, 4)):
        repeat = draw.choice([None, None, Repeat(limit=2, per="day"), Repeat(limit=3)])
        half_life_ms, expires_ms = draw.choice([(0, 0), (draw.choice([6, 30]) * HOUR_MS, 0), (0, 20 * HOUR_MS)])
        several.append(
            EventPoints(
                event=event,
                points=points(),
                repeat=repeat,
                group=draw.choice(["", "g"]),
                half_life_ms=half_life_ms,
                expires_ms=expires_ms,
            )
        )
    traits = (TraitPoints(when='traits.plan == "pro"', points=points(), group=draw.choice(["", "g"])),)
    return Score(events=tuple(several), traits=traits, groups=groups, range=draw.choice([(-30, 60), (0, 45)]))


def defined(score: Score, log: list[tuple[str, int]], pro: bool, now_ms: int) -> float:
    """The score by its definition: over every event that there was, one by one."""
    total, group = 0.0, 0.0
    for rule in score.events:
        counted: dict[int, int] = {}
        for event, at_ms in log:
            if event != rule.event:
                continue
            if rule.repeat is not None:
                day = at_ms // DAY_MS if rule.repeat.per == "day" else -1
                if counted.get(day, 0) >= rule.repeat.limit:
                    continue
                counted[day] = counted.get(day, 0) + 1
            points = rule.points
            if rule.half_life_ms:
                points *= math.exp2(-max(0, now_ms - at_ms) / rule.half_life_ms)
            elif rule.expires_ms and now_ms >= at_ms + rule.expires_ms:
                points = 0.0
            if rule.group:
                group += points
            else:
                total += points
    for trait in score.traits if pro else ():
        if trait.group:
            group += trait.points
        else:
            total += trait.points
    bound = score.groups["g"]
    assert score.range is not None
    return max(score.range[0], min(score.range[1], total + max(-bound, min(bound, group))))


@pytest.mark.parametrize("seed", range(60))
def test_at_every_moment_a_score_is_its_definition_over_all_that_was_received(seed: int) -> None:
    draw = random.Random(seed)
    score = random_score(draw)
    of, state, log = catalog(lead=score), VisitorState(), list[tuple[str, int]]()
    now_ms, pro = START, False
    for _ in range(120):
        now_ms += round(draw.expovariate(1 / HOUR_MS))
        if draw.random() < 0.1:
            pro = not pro
            is_told(state, of, plan="pro" if pro else "free")
        else:
            late_ms = draw.choice([0, 0, 0, draw.randrange(DAY_MS // 2)])  # of a queue in a phone
            event = draw.choice("ABCDE")
            state.now_ms = now_ms
            apply_event(state, Track(message_id="m", event=event), now_ms - late_ms, now_ms, of)
            log.append((event, now_ms - late_ms))
        then_ms = now_ms + draw.randrange(2 * DAY_MS)
        expected = defined(score, log, pro, then_ms)
        scope = scope_of(state, of, then_ms)
        assert scope.value("scores")["lead"] == pytest.approx(expected, abs=1e-9)
        because = rule_scores.explained(of.scores.by_name["lead"], state, then_ms, scope.holds, {})
        assert math.fsum(each.points for each in because) == pytest.approx(expected, abs=1e-9)


@pytest.mark.parametrize("seed", range(300))
def test_no_tier_is_left_before_the_course_says_so(seed: int) -> None:
    draw = random.Random(seed)
    score = random_score(draw)
    of = catalog(lead=msgspec.structs.replace(score, tiers={"low": 0, "mid": 12, "high": 30}))
    compiled, state, now_ms = of.scores.by_name["lead"], VisitorState(), START
    edges = [edge for tier in compiled.tiers for edge in (tier.starts_at, tier.lost_below)]
    for _ in range(30):
        now_ms += round(draw.expovariate(1 / HOUR_MS))
        happens(state, of, draw.choice("ABCD"), now_ms)
        scope = scope_of(state, of, now_ms)
        course = Course(compiled, compiled.parts, state, now_ms, scope.holds)
        tier = rule_scores.tier_of(compiled.tiers, course.now, draw.choice([None, "mid", "high"]))
        changes_ms = course.next_change_ms(tier)
        last_ms = min(changes_ms - 1, now_ms + 90 * DAY_MS)
        for _ in range(20):
            then_ms = round(now_ms + draw.random() ** 3 * (last_ms - now_ms))
            points = rule_scores.value(compiled, state, then_ms, scope_of(state, of, then_ms).holds)
            # Points that come ever nearer to a threshold are there when a float cannot tell any more.
            if min(abs(points - edge) for edge in edges) > 1e-9:
                assert rule_scores.tier_of(compiled.tiers, points, tier) == tier, (now_ms, then_ms, changes_ms)

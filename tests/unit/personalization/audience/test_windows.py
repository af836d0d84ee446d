"""The rule *Windows*: exact at every moment, by the client's own time, and silent about what nobody knows."""

from __future__ import annotations

import random
from pathlib import Path
from typing import Any

import pytest

from config.loader import load_catalog
from personalization.audience.context import feature_names, raw_features
from personalization.audience.merge import merge_states
from personalization.audience.profile import apply_event
from personalization.audience.variables import VisitorScope
from personalization.audience.windows import MAX_WINDOWS
from personalization.catalog.catalog import Catalog, Content, Placement, PublishedCatalog, RewardRule
from personalization.catalog.compiled_catalog import CompiledCatalog, InvalidCatalog, compile_catalog
from personalization.catalog.rule_errors import rule_errors
from personalization.events.event import Track
from personalization.features import FeatureValue
from personalization.visitor.visitor_state import VisitorState, decode_visitor, encode_visitor
from tests.unit.personalization.world import MINUTE, START

DAY = 24 * 60 * MINUTE
CONTENT = {"a": Content(body="a")}
HERO = {"hero": Placement(content=("a",), default="a")}


def catalog(declared_ms: int | None = None, /, **segments: str) -> CompiledCatalog:
    plain = Catalog(placements=HERO, content=CONTENT, segments=segments)
    compiled = compile_catalog(plain, 1)
    if declared_ms is None:
        return compiled
    declared = {key.hex(): (declared_ms, series.n_kept) for key, series in compiled.series.items()}
    published = PublishedCatalog(placements=HERO, content=CONTENT, segments=segments, declared=declared)
    return compile_catalog(published, 1)


def happens(state: VisitorState, of: CompiledCatalog, event: str, at_ms: int, **properties: Any) -> None:
    track = Track(message_id="m", event=event, properties=properties)
    state.now_ms = max(state.now_ms, at_ms)
    apply_event(state, track, at_ms, state.now_ms, of)


def segments(state: VisitorState, of: CompiledCatalog, now_ms: int) -> set[str]:
    return set(VisitorScope(state, {}, of, now_ms, known=False).value("segments"))


def test_a_count_holds_while_enough_lies_within_the_window() -> None:
    three = catalog(keen='count("Priced", within="7d") >= 3')
    state = VisitorState()
    for hours in (0, 1, 2):
        assert segments(state, three, START + hours * 60 * MINUTE) == set()
        happens(state, three, "Priced", START + hours * 60 * MINUTE)
    assert segments(state, three, START + 2 * 60 * MINUTE) == {"keen"}
    assert segments(state, three, START + 7 * DAY - 1) == {"keen"}
    assert segments(state, three, START + 7 * DAY) == set()  # the first of them is seven days old


def test_every_comparison_says_what_it_says() -> None:
    seen = catalog(
        few='count("V", within="1d") < 2',
        exactly='count("V", within="1d") == 2',
        other='2 != count("V", within="1d")',
        many='count("V", within="1d") > 2',
        some='!never("V", within="1d")',
        none='never("Bought")',
    )
    expected = [
        {"few", "other", "none"},
        {"few", "other", "some", "none"},
        {"exactly", "some", "none"},
        {"other", "many", "some", "none"},
        {"other", "many", "some", "none"},
    ]
    state = VisitorState()
    for n, names in enumerate(expected):
        assert segments(state, seen, START + n) == names
        happens(state, seen, "V", START + n)
    happens(state, seen, "Bought", START + 10)
    assert "none" not in segments(state, seen, START + 10)


def test_a_condition_is_held_by_one_and_the_same_event() -> None:
    shoes = catalog(
        shoes="""count("V", where='properties.category == "shoes" && properties.price > 50', within="7d") >= 1"""
    )
    state = VisitorState()
    happens(state, shoes, "V", START, category="shoes", price=10)
    happens(state, shoes, "V", START, category="hats", price=90)
    assert segments(state, shoes, START) == set()
    happens(state, shoes, "V", START, category="shoes", price=90)
    assert segments(state, shoes, START) == {"shoes"}


def test_a_condition_that_fails_is_counted_under_its_own_name() -> None:
    seen = catalog(dear="""count("V", where='properties.price > 50', within="7d") >= 1""")
    state = VisitorState()
    happens(state, seen, "V", START, price="much")
    assert {path: errors.n_errors for path, errors in rule_errors(seen).items()} == {"segments.dear.where": 1}


def test_a_sum_adds_what_lies_within() -> None:
    spent = catalog(big='sum("Ordered", of="properties.revenue", within="30d") > 100')
    state = VisitorState()
    for day, revenue in ((0, 60), (10, 50), (11, "much"), (12, -500), (13, None)):
        happens(state, spent, "Ordered", START + day * DAY, revenue=revenue)
    assert segments(state, spent, START + 13 * DAY) == {"big"}
    assert segments(state, spent, START + 30 * DAY) == set()


def test_since_and_last_look_at_the_latest_event() -> None:
    seen = catalog(
        away='since("Login") > duration("14d")',
        lately='since("Login") <= duration("14d")',
        this_year='last("Login") >= timestamp("2023-11-15T00:00:00Z")',
    )
    state = VisitorState()
    assert segments(state, seen, START) == set()  # what never happened has no time
    happens(state, seen, "Login", START)
    assert segments(state, seen, START + 14 * DAY) == {"lately"}
    assert segments(state, seen, START + 14 * DAY + 1) == {"away"}
    happens(state, seen, "Login", START + 20 * DAY)
    happens(state, seen, "Login", START + 1 * DAY)  # sent late
    assert segments(state, seen, START + 21 * DAY) == {"lately", "this_year"}


def test_an_unknown_past_holds_for_nobody_and_neither_does_its_opposite() -> None:
    rules = {
        "new": 'never("Bought")',
        "quiet": 'count("V", within="7d") < 2',
        "not_keen": '!(count("V", within="7d") >= 2)',
        "keen": 'count("V", within="7d") >= 2',
        "some": 'count("V", within="7d") != 0',
    }
    declared = START + 30 * DAY
    late = catalog(declared, **rules)
    old = VisitorState()
    happens(old, catalog(None), "V", START)  # before anybody asked
    assert segments(old, late, declared + DAY) == set()
    assert not any(rule.n_errors for rule in late.segments.values())  # what is not known is nobody's mistake
    happens(old, late, "V", declared + DAY)
    assert segments(old, late, declared + DAY) == {"some"}  # one at least, however many came before
    happens(old, late, "V", declared + 2 * DAY)
    assert segments(old, late, declared + 2 * DAY) == {"keen", "some"}
    assert segments(old, late, declared + 8 * DAY) == {
        "quiet",
        "not_keen",
        "some",
    }  # it need not know more
    fresh = VisitorState()
    happens(fresh, late, "Other", declared + 1)
    assert segments(fresh, late, declared + 1) == {"new", "quiet", "not_keen"}  # whose whole past was seen


def _by_definition(operator: str, constant: int, moments: list[int], now_ms: int, within_ms: int) -> bool:
    inside = sum(now_ms - within_ms < at_ms <= now_ms for at_ms in moments)
    return {
        "<": inside < constant,
        "<=": inside <= constant,
        ">": inside > constant,
        ">=": inside >= constant,
        "==": inside == constant,
        "!=": inside != constant,
    }[operator]


@pytest.mark.parametrize("seed", range(30))
def test_membership_at_every_instant_equals_the_definition_over_what_came_by_then(seed: int) -> None:
    rng = random.Random(seed)
    windows = [
        (operator, rng.randrange(6), rng.choice((3, 10, 60)) * MINUTE)
        for operator in ("<", "<=", ">", ">=", "==", "!=")
    ]
    rules = {
        f"s{n}": f'count("V", within="{within // MINUTE}m") {operator} {constant}'
        for n, (operator, constant, within) in enumerate(windows)
    }
    seen = catalog(None, **rules)
    state, moments, now_ms = VisitorState(), [], START
    for _ in range(60):
        now_ms += rng.randrange(8 * MINUTE)
        at_ms = now_ms - (rng.randrange(90 * MINUTE) if rng.random() < 0.3 else 0)  # late, or dated back
        name = rng.choice(("V", "V", "W"))
        happens(state, seen, name, at_ms)
        moments += [at_ms] if name == "V" else []
        state = decode_visitor(encode_visitor(state))
        for asked_ms in (now_ms, now_ms + rng.randrange(80 * MINUTE)):
            expected = {
                f"s{n}"
                for n, (operator, constant, within_ms) in enumerate(windows)
                if _by_definition(operator, constant, moments, asked_ms, within_ms)
            }
            assert segments(state, seen, asked_ms) == expected


def test_two_keys_of_one_person_count_together() -> None:
    seen = catalog(keen='count("V", within="7d") >= 4', spent='sum("B", of="properties.p", within="7d") >= 5')
    left, right = VisitorState(), VisitorState()
    for minute, state in ((0, left), (3, right), (5, left), (9, right)):
        happens(state, seen, "V", START + minute * MINUTE)
        happens(state, seen, "B", START + minute * MINUTE, p=1.25)
    merge_states(left, right, seen)
    assert segments(left, seen, START + 10 * MINUTE) == {"keen", "spent"}


def test_no_more_is_kept_than_is_asked_for_and_in_the_end_nothing_else() -> None:
    seen = catalog(a='count("V", within="7d") >= 3', b='since("W") > duration("1d")')
    state = VisitorState()
    for n in range(50):
        happens(state, seen, "V", START + n)
        happens(state, seen, "W", START + n)
    assert sorted(len(kept) for kept in state.windows.values()) == [1, 4]
    for version in range(4):
        many = catalog(**{f"s{n}": f'never("E{version}-{n}")' for n in range(32)})
        for n in range(32):
            happens(state, many, f"E{version}-{n}", START + 60)
    assert len(state.windows) <= MAX_WINDOWS


def test_an_entry_of_an_older_version_takes_nothing_from_a_newer_one() -> None:
    new, old = catalog(START, never_v='never("V")', once='count("V", within="7d") >= 1'), catalog()
    state = VisitorState()
    happens(state, new, "V", START + 1)
    happens(state, old, "V", START + 2)
    assert segments(state, new, START + 3) == {"once"}


def test_a_merge_by_an_older_version_takes_nothing_from_a_newer_one() -> None:
    new, old = catalog(once='count("V", within="7d") >= 2'), catalog()
    left, right = VisitorState(), VisitorState()
    happens(left, new, "V", START)
    happens(right, new, "V", START + 1)
    merge_states(left, right, old)
    assert segments(left, new, START + 2) == {"once"}


def test_what_is_dated_back_to_before_the_declaration_makes_nothing_unknown() -> None:
    seen = catalog(START, new='never("Bought")')
    state = VisitorState()
    happens(state, seen, "V", START + 5)
    assert segments(state, seen, START + 5) == {"new"}
    happens(state, seen, "V", START - DAY)  # sent late: it was seen all the same
    assert segments(state, seen, START + 5) == {"new"}


def test_after_a_gap_only_what_holds_whatever_happened_meanwhile_holds() -> None:
    rules = {
        "away": 'since("L") > duration("14d")',
        "back": 'since("L") <= duration("30d")',
        "late": 'last("L") > timestamp("2023-11-01T00:00:00Z")',
        "early": 'last("L") < timestamp("2023-12-01T00:00:00Z")',
    }
    state = VisitorState()
    happens(state, catalog(None, **rules), "L", START)  # 14 November 2023
    again = START + 20 * DAY
    put_back = catalog(again, **rules)
    state.born_ms = START
    assert segments(state, put_back, again) == {"back", "late"}, "there may have been a later one"
    assert segments(state, put_back, again + 14 * DAY + 1) == {"away", "late"}, "since then there was none"


def test_an_event_that_adds_nothing_takes_no_amounts_place() -> None:
    spent = catalog(big='sum("B", of="properties.p", within="30d") >= 100')
    state = VisitorState()
    happens(state, spent, "B", START, p=500)
    for n in range(200):
        happens(state, spent, "B", START + n)
    assert segments(state, spent, START + 200) == {"big"}


@pytest.mark.parametrize(
    ("rule", "says"),
    [
        ('count("V", within="7d")', "has to be compared with a constant"),
        ('count("V", within="7d") >= n_orders', "has to be compared with a constant"),
        ('count("V", within="7d") >= 2.5', "has to be compared with a constant"),
        ('count("V", within="7d") >= 32', "kept up to 31"),
        ('count("V") >= 2', "needs within="),
        ('count("V", within="7") >= 2', "no length of time"),
        ('count("V", since="7d") >= 2', "does not know since"),
        ("count(V) >= 2", "needs the name of an event"),
        ("count() >= 2", "needs the name of an event"),
        ('sum("V", within="7d") > 2', "needs of="),
        ('sum("V", of="revenue", within="7d") > 2', "no path into an event"),
        ('since("V") > 14', "has to be compared with a constant"),
        ('since("V") > duration("14")', "has to be compared with a constant"),
        ('never("V") == true', "true or false already"),
        ("""count("V", where='propertis.x == 1', within="7d") >= 2""", "propertis"),
        ("""count("V", where='properties.x ==', within="7d") >= 2""", "something is missing"),
        ("""count("V", where='count("W", within="1d") > 1', within="7d") >= 2""", "has no past"),
        ("size(x=3) > 2", "size takes nothing by name"),
        ('count("V", within="7d") >= 1e400', "1e400 is more than a number can be"),
        (f'count("V", within="7d") >= {"9" * 390}', "has to be compared"),
        (f"traits.a > {'9' * 5000}", "a number of 5000 digits"),
        ('count("V", within="7d", within="1d") >= 2', "within twice"),
        ('count("V", within="7d") >= 3 &&', "something is missing at the end"),
        ('(count("V", within="7d") >= 3', "expected ')'"),
        ("""count("V", where=" ", within="7d") >= 2""", "where="),
        ('cuont("V", within="7d") >= 2', "did you mean 'count'?"),
    ],
)
def test_what_cannot_be_kept_is_refused_with_the_remedy(rule: str, says: str) -> None:
    with pytest.raises(InvalidCatalog) as refused:
        catalog(one=rule)
    assert says in str(refused.value)
    assert "segments" in refused.value.errors[0].field


def test_rules_about_events_have_no_past() -> None:
    reward = RewardRule(event="Clicked", when='count("V", within="1d") > 1')
    placements = {"hero": Placement(content=("a",), default="a", rewards=(reward,))}
    with pytest.raises(InvalidCatalog, match="has no past"):
        compile_catalog(Catalog(placements=placements, content=CONTENT), 1)


def test_too_many_events_are_refused() -> None:
    many = {f"s{n}": f'never("E{n}")' for n in range(33)}
    with pytest.raises(InvalidCatalog, match="at most 32"):
        catalog(None, **many)


def measured(state: VisitorState, of: CompiledCatalog, now_ms: int) -> dict[str, FeatureValue]:
    return raw_features(feature_names(of.catalog.features), VisitorScope(state, {}, of, now_ms, known=False))


COUNT, SUM, SINCE = (
    """min(count("V", where='properties.k == "x"', within="1d"), 3)""",
    'min(sum("V", of="properties.n", within="1d"), 10)',
    'since("V")',
)


def looking(declared_ms: int = 0) -> CompiledCatalog:
    plain = Catalog(placements=HERO, content=CONTENT, features=(COUNT, SUM, SINCE))
    declared = {key.hex(): (declared_ms, series.n_kept) for key, series in compile_catalog(plain, 1).series.items()}
    return compile_catalog(
        PublishedCatalog(placements=HERO, content=CONTENT, features=plain.features, declared=declared), 1
    )


def test_a_window_is_a_feature_up_to_its_bound() -> None:
    of, state = looking(), VisitorState()
    assert measured(state, of, START) == {COUNT: 0.0, SUM: 0.0}, "what never happened has no time"
    for n in range(5):
        happens(state, of, "V", START + n, k="x", n=3)
    happens(state, of, "V", START + 5, k="y", n=-1)
    assert measured(state, of, START + 5 + DAY // 2) == {COUNT: 3.0, SUM: 10.0, SINCE: 0.5}
    assert measured(state, of, START + DAY + 2) == {COUNT: 2.0, SUM: 6.0, SINCE: pytest.approx(1.0)}
    assert len(state.windows[of.measures[COUNT].series.id]) == 3, "no more is kept than it counts"


def test_a_feature_that_nobody_knows_is_absent() -> None:
    of, state = looking(declared_ms=START), VisitorState(first_ms=1)
    assert measured(state, of, START + 1) == {}
    for n in range(4):
        happens(state, of, "V", START + n, k="x", n=3)
    assert measured(state, of, START + 4) == {COUNT: 3.0, SUM: 10.0, SINCE: pytest.approx(0.0, abs=1e-6)}
    assert measured(state, of, START + 2 * DAY) == {COUNT: 0.0, SUM: 0.0, SINCE: pytest.approx(2.0)}


@pytest.mark.parametrize(
    ("feature", "expected"),
    [
        ('count("V", within="7d")', 'has to say up to where it counts, such as min(count("Product Viewed"'),
        ('min(count("V", within="7d"), 99)', "counts to 99; a count is kept up to 32, in whole numbers"),
        ('min(count("V"), 3)', "count needs within=, such as"),
        ('count("V", within="7d") > 3', "is no number of a visitor's past; those are min(count("),
        ("size(segments)", "size(segments) is no number of a visitor's past"),
        ('min(count("V", within="1d", where="n_orders > 2"), 3)', "unknown name 'n_orders'"),
        ('min(sum("V", of="x.y", within="1d"), 3)', "of='x.y' is no path into an event"),
    ],
)
def test_a_feature_that_is_none_is_refused_with_the_remedy(feature: str, expected: str, tmp_path: Path) -> None:
    quoted = feature.replace("'", "''")
    text = f"placements: {{p: {{content: [a], default: a, features: ['{quoted}']}}}}\ncontent: {{a: {{}}}}\n"
    (tmp_path / "shop.yaml").write_text(text)
    with pytest.raises(InvalidCatalog) as caught:
        load_catalog(tmp_path)
    assert expected in str(caught.value)
    assert str(caught.value).startswith("shop.yaml:1: placements.p.features")

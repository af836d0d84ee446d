"""An explained rule is true exactly if the rule is, and names what failed and what that looked at."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from personalization.audience.variables import VisitorScope
from personalization.catalog.catalog import PublishedCatalog, Score
from personalization.catalog.compiled_catalog import CompiledCatalog, compile_catalog
from personalization.catalog.rules import VISITOR_VARIABLES, Rule, scope
from personalization.catalog.sections.scores import EventPoints
from personalization.catalog.tier_thresholds import TierThresholds, TopShare
from personalization.explaining.rule_parts import look, parts_of
from personalization.explaining.rule_reasons import explain_rule
from personalization.visitor.visitor_state import VisitorState
from tests.unit.personalization.audience.test_windows import DAY, catalog, happens
from tests.unit.personalization.world import START

CONDITIONS = (
    "traits.plan == 'pro'",
    "traits.age > 30",  # a text, or missing: a mistake, or nothing
    "traits.age + 1 > 30",  # makes a fraction of every number of its rule
    "type(n_orders) == int",
    "n_orders / event_count > 1.0",
    "'plan' in traits",
    "has(traits.age)",
    "known",
    "traits.plan",  # a text, which is no condition
    "cart.exists(known, cart[known] > 10.0)",  # `known` is bound here, and a variable elsewhere
    'count("Viewed", within="7d") >= 2',
    'never("Ordered")',
    '5 <= sum("Ordered", of="properties.revenue", within="30d")',
    'since("Viewed") > duration("1d")',
    'last("Viewed") > timestamp("2020-01-01T00:00:00Z")',
    "true",
)


def _wider(inner: st.SearchStrategy[str]) -> st.SearchStrategy[str]:
    return st.one_of(
        st.builds("({} && {})".format, inner, inner),
        st.builds("({} || {})".format, inner, inner),
        st.builds("!({})".format, inner),
        st.builds("({} ? {} : {})".format, inner, inner, inner),
    )


RULES = st.recursive(st.sampled_from(CONDITIONS), _wider, max_leaves=6)
TRAITS = st.fixed_dictionaries(
    {}, optional={"plan": st.sampled_from(["pro", "free"]), "age": st.sampled_from([20, 40, 40.5, "old"])}
)


def visitor(of: CompiledCatalog, traits: dict[str, Any] | None = None, events: str = "") -> VisitorScope:
    """A visitor of two days; ``events`` are the first letters of what they did, a day apart."""
    state = VisitorState(traits=dict(traits or {}), first_ms=START, last_ms=START)
    for day, letter in enumerate(events):
        happens(state, of, {"v": "Viewed", "o": "Ordered"}[letter], START + day * DAY, revenue=3)
    return VisitorScope(state, {}, of, START + 3 * DAY, known=False)


@given(RULES, TRAITS, st.text("vo", max_size=3), st.booleans())
def test_the_parts_looked_at_apart_agree_with_the_whole(
    source: str, traits: dict[str, Any], events: str, declared_late: bool
) -> None:
    of = catalog(START + DAY if declared_late else None, all=source)
    rule, who = of.segments["all"], visitor(of, traits, events)
    value = rule.value(scope(who.value))
    looked = look(parts_of(rule), scope(who.value))
    assert looked.truth is (value if isinstance(value, bool) else None)

    reason = explain_rule(rule, who)
    assert reason.holds is rule.holds(scope(who.value))
    assert bool(reason.failing) is not reason.holds, "what fails has a reason, and what holds needs none"


def test_a_failing_condition_is_told_with_what_it_looked_at() -> None:
    source = 'known || (traits.plan == \'pro\' && count("Viewed", within="7d") >= 3)'
    of = catalog(keen=source)
    reason = explain_rule(of.segments["keen"], visitor(of, {"plan": "free"}, "v"))
    assert reason.text == source
    assert reason.values == {"known": False, "traits.plan": "free", 'count("Viewed", within="7d")': 1}
    assert reason.failing == [
        "known does not hold: known is false",
        "traits.plan == 'pro' does not hold: traits.plan is 'free'",
        'count("Viewed", within="7d") >= 3 does not hold: count("Viewed", within="7d") is 1',
    ]


def test_of_joined_conditions_only_those_that_fail_are_told() -> None:
    of = catalog(keen="known && traits.plan == 'pro'")
    reason = explain_rule(of.segments["keen"], visitor(of, {"plan": "pro"}))
    assert reason.failing == ["known does not hold: known is false"]


def test_what_is_missing_is_said_to_be_missing() -> None:
    of = catalog(old="traits.age > 30", keen='since("Viewed") > duration("1d")')
    assert explain_rule(of.segments["old"], visitor(of)).failing == [
        "traits.age > 30 does not hold: traits.age is missing"
    ]
    keen = explain_rule(of.segments["keen"], visitor(of))
    assert keen.values == {'since("Viewed")': None}
    assert "it never happened, as far as is known" in keen.failing[0]


def test_under_a_not_what_holds_is_what_fails() -> None:
    of = catalog(other="!(traits.plan == 'pro' || known)")
    assert explain_rule(of.segments["other"], visitor(of, {"plan": "pro"})).failing == [
        "traits.plan == 'pro' holds, and must not: traits.plan is 'pro'"
    ]


def test_a_mistake_is_told_and_not_counted_against_the_rule() -> None:
    of = catalog(old="traits.age > 30")
    reason = explain_rule(of.segments["old"], visitor(of, {"age": "old"}))
    assert reason.failing == [
        "traits.age > 30 cannot be worked out: these kinds of values cannot be put together (traits.age is text)"
    ]
    assert of.segments["old"].n_errors == 0


@pytest.mark.parametrize(
    ("source", "said"),
    [
        ('since("Viewed") < duration("1d")', "is 2d"),
        ('last("Viewed") > timestamp("2030-01-01T00:00:00Z")', "is 2023-11-15T22:13:20Z"),
        ('count("Viewed", within="7d") == 1', "is 2 or more"),
        ('never("Viewed")', "is false"),
    ],
)
def test_a_window_is_told_by_its_number(source: str, said: str) -> None:
    of = catalog(it=source)
    [failing] = explain_rule(of.segments["it"], visitor(of, {}, "vv")).failing
    assert failing.endswith(said)


def test_where_nothing_is_known_all_of_the_visitor_is_missing() -> None:
    of = catalog(keen='known && count("Viewed", within="7d") >= 3')
    nobody = VisitorScope(None, {}, of, START, known=True)
    reason = explain_rule(Rule(of.segments["keen"].source, "when", VISITOR_VARIABLES, looks_back=True), nobody)
    assert reason.values == {"known": True, 'count("Viewed", within="7d")': None}
    assert not reason.holds


def test_a_tier_by_shares_is_told_with_its_threshold_and_its_date() -> None:
    lead = Score(events=(EventPoints(event="Viewed", points=1.0),), tiers={"hot": TopShare(top=0.1)})
    terms: dict[str, Any] = {
        "placements": {},
        "content": {},
        "scores": {"lead": lead},
        "segments": {"best": "tiers.lead == 'hot'"},
    }
    known = TierThresholds("", 1_700_000_000_000, 500, ((0.1, 5.0),))
    of = compile_catalog(PublishedCatalog(**terms, thresholds={"lead": known}), 1)
    assert explain_rule(of.segments["best"], visitor(of)).failing == [
        "tiers.lead == 'hot' does not hold: tiers.lead is 'rest' (fewer than the 5 points from which hot begins, "
        "the top 10% of 500 visitors at 2023-11-14 22:13 UTC)"
    ]
    of = compile_catalog(PublishedCatalog(**terms), 1)
    assert (
        "tiers.lead is 'rest' (nobody reaches another tier before"
        in explain_rule(of.segments["best"], visitor(of)).failing[0]
    )

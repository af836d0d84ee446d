"""Rules that look at plain variables are remembered, and give what evaluating them gives."""

from __future__ import annotations

from functools import partial
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from personalization.catalog.rules import VISITOR_VARIABLES, Rule, scope

SOURCES = (
    "'vip' in segments",
    "!('vip' in segments) && n_orders == 0",
    "device == 'mobile' || hour > 17",
    "event_count >= 3",
    "known",
    "cart_value < 50.0",
    "traits.age > 30",
    "has(traits.plan) && traits.plan.startsWith('free')",
    "!has(traits.age) || traits.age == 1",
    "traits.age > 30 && known || device == 'traits.age'",
    "traits['plan'] == 'free' || 'age' in traits",
    "traits.age * 2 > 61.5",
)


@given(
    st.lists(
        st.fixed_dictionaries(
            {},
            optional={
                "segments": st.lists(st.sampled_from(["vip", "new"]), max_size=2),
                "n_orders": st.integers(0, 2),
                "device": st.sampled_from(["mobile", "desktop"]),
                "hour": st.integers(0, 23),
                "event_count": st.integers(0, 5),
                "known": st.booleans(),
                "cart_value": st.sampled_from([0, 0.0, 20.0, 80.0]),
                "traits": st.fixed_dictionaries(
                    {},
                    optional={
                        "age": st.sampled_from([1, 1.0, True, 31, 31.5, "old"]),
                        "plan": st.sampled_from(["free", "freelance", "paid", 0]),
                    },
                ),
            },
        ),
        max_size=30,
    )
)
def test_what_is_remembered_is_what_would_be_evaluated(visitors: list[dict[str, Any]]) -> None:
    rules = [Rule(source, "when", VISITOR_VARIABLES) for source in SOURCES]
    assert all(rule.plain for rule in rules)
    for visitor in visitors:
        for rule in rules:
            assert rule.holds_for(visitor.get, partial(scope, visitor.get)) is rule.holds(scope(visitor.get))


def test_rules_over_anything_else_are_evaluated() -> None:
    assert Rule("revenue > 30.0 && known", "when", VISITOR_VARIABLES).plain == ()
    assert Rule("size(traits) > 3", "when", VISITOR_VARIABLES).plain == ()
    assert Rule("traits.age > 3 && traits[device] == 'free'", "when", VISITOR_VARIABLES).plain == ()
    assert Rule("true", "when", VISITOR_VARIABLES).plain == ()

"""Whole numbers and fractions are one kind of number in rules, and what counts or indexes goes on working."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from personalization.catalog.rules import EVENT_VARIABLES, VISITOR_VARIABLES, Rule, scope
from personalization.errors import InvalidInput

VISITOR = {
    "traits": {"age": 40, "size": 41.5, "name": "bo"},
    "counts": {"X": 2.5},
    "n_orders": 3,
    "cart_value": 10,
    "revenue": 129.5,
    "segments": ["vip", "new"],
    "hour": 9,
    "weekday": 2,
    "event_count": 0,
}


def holds(source: str, values: dict[str, Any] = VISITOR) -> bool:
    rule = Rule(source, "when", VISITOR_VARIABLES)
    held = rule.holds(scope(values.get))
    assert rule.n_errors == 0, rule.last_error
    return held


@pytest.mark.parametrize(
    "source",
    [
        "traits.age + 0.5 == 40.5",
        "traits.age + traits.size == 81.5",
        "traits.age - 0.5 > 39",
        "n_orders * 1.5 == 4.5",
        "revenue / n_orders > 43",
        "traits.age / 7 > 5.7 && traits.age / 7 < 5.8",  # not 5
        "cart_value + revenue == 139.5",
        'counts["X"] >= 2 && counts["X"] * 2 == 5',
        "n_orders % 2 == 1",
        "n_orders % 2 + 0.5 == 1.5",
        "size(segments) == 2 && size(segments) * 2.5 == 5.0",
        "size(segments) - 1 == 1",
        "segments[size(segments) - 1] == 'new'",
        "segments[weekday - 1] == 'new'",
        "[10, 20, 30][n_orders % 3] + n_orders == 13",
        "segments.map(s, size(s) + 0.5) == [3.5, 3.5]",
        "[1, 2.5].exists(n, n * 2 == 5)",
        "(hour > 8 ? 1 : 2.5) * n_orders == 3",
        "-traits.age + 0.5 == -39.5",
        "'a' + traits.name == 'abo' && n_orders * 1 == 3",
        "'n' + string(n_orders) == 'n3' && n_orders - 1 == 2",
        "{'k': 2}['k'] * 1.5 == 3.0",
        "{1: 'one'}[1] == 'one' && n_orders + 1 == 4",
        "int(2.7) + 0.5 == 2.5",
        "double('2.5') + 1 == 3.5",
        "0x10 + 0.5 == 16.5",
        "duration('90m') - duration('30m') == duration('1h')",
        "timestamp('2026-01-01T00:00:00Z') + duration('1h') > timestamp('2026-01-01T00:30:00Z')",
        "timestamp('2026-01-02T00:00:00Z').getFullYear() - 2000 == 26",
        "traits.age in [40, 41] && traits.age in [40.0]",
        "traits.age == 40.0 && traits.size > 41",
    ],
)
def test_numbers_of_either_kind_go_together(source: str) -> None:
    assert holds(source)


@pytest.mark.parametrize(
    "source", ["revenue / event_count > 50", "event_count / event_count > 1", "7 % event_count == 1"]
)
def test_a_division_by_nothing_is_no_error(source: str) -> None:
    holds(source)


@given(
    a=st.integers(-1000, 1000) | st.floats(-1000, 1000),
    b=st.integers(-1000, 1000) | st.floats(-1000, 1000),
    operator=st.sampled_from(["+", "-", "*"]),
)
def test_what_is_calculated_does_not_depend_on_how_a_number_was_sent(a: float, b: float, operator: str) -> None:
    rule = Rule(f"properties.a {operator} properties.b", "value", EVENT_VARIABLES)
    expected = {"+": a + b, "-": a - b, "*": a * b}[operator]
    for one in {type(a): a, float: float(a)}.values():
        assert rule.number(scope({"properties": {"a": one, "b": b}}.get)) == pytest.approx(expected, abs=1e-9)
    assert rule.n_errors == 0


def test_ids_stay_whole() -> None:
    arm = Rule("'product-' + string(properties.id)", "arm", EVENT_VARIABLES)
    assert arm.text(scope({"properties": {"id": 1234567890123456789}}.get)) == "product-1234567890123456789"
    number = Rule("properties.id", "arm", EVENT_VARIABLES)
    assert number.text(scope({"properties": {"id": 40}}.get)) == "40"
    assert number.text(scope({"properties": {"id": 40.0}}.get)) == "40"
    calculated = Rule("properties.id + 2", "arm", EVENT_VARIABLES)
    assert calculated.text(scope({"properties": {"id": 40}}.get)) == "42"


def test_values_that_come_in_are_not_changed() -> None:
    properties = {"revenue": 129, "products": [{"price": 3}]}
    rule = Rule("properties.revenue * 0.5 + properties.products[0].price", "value", EVENT_VARIABLES)
    assert rule.number(scope({"properties": properties}.get)) == 67.5
    assert properties == {"revenue": 129, "products": [{"price": 3}]}
    assert type(properties["revenue"]) is int


@pytest.mark.parametrize("source", ["n > 1e999", 'count("V", within="7d") >= 1e999'])
def test_a_number_beyond_what_there_is_is_refused_in_words(source: str) -> None:
    with pytest.raises(InvalidInput) as caught:
        Rule(source, "when", {"n"}, looks_back=True)
    assert str(caught.value) == "when: not a rule: 1e999 is more than a number can be"

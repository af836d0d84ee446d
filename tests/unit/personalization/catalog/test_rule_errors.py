"""A rule that cannot be answered does not hold; one that puts together what does not go together is counted."""

from __future__ import annotations

from typing import Any

import pytest

from personalization.catalog.catalog import (
    AffinityRule,
    AffinitySpec,
    Catalog,
    Content,
    Conversion,
    Placement,
    RewardRule,
)
from personalization.catalog.compiled_catalog import compile_catalog
from personalization.catalog.rule_errors import rule_errors, rules_of
from personalization.catalog.rules import EVENT_VARIABLES, VISITOR_VARIABLES, Rule, scope
from personalization.events.entry import Entry, Position
from personalization.events.event import Track
from personalization.folding.fold import fold
from personalization.visitor.visitor import Visitor

VISITOR: dict[str, Any] = {
    "traits": {"age": "old", "size": 41, "vip": True, "gone": None, "tags": ["a"]},
    "counts": {"X": 2.5},
    "n_orders": 0,
    "segments": [],
    "revenue": 10.0,
    "cart": {"a": 0},
}


@pytest.mark.parametrize(
    "source",
    [
        "traits.missing > 3",
        "traits.address.city == 'Wien'",
        'counts["Y"] > 0.5',
        "segments[0] == 'vip'",
        "days_since_last > 3",  # no visit yet: there is no such variable
        "!(traits.missing in ['a'])",
        "traits.gone > 3",  # told as null
        "!traits.gone",
        "revenue / n_orders > 3",
        "traits.size / n_orders > 3 && traits.size % n_orders == 1",
    ],
)
def test_what_is_not_there_is_no_error(source: str) -> None:
    rule = Rule(source, "when", VISITOR_VARIABLES)
    assert not rule.holds(scope(VISITOR.get))
    assert not rule.holds_for(VISITOR.get, lambda: scope(VISITOR.get))
    assert (rule.n_errors, rule.last_error) == (0, "")


@pytest.mark.parametrize(
    ("source", "reason"),
    [
        ("traits.age > 30", "these kinds of values cannot be put together (traits.age is text)"),
        ("traits.age * 2 > 30", "these kinds of values cannot be put together (traits.age is text)"),
        ("!traits.age", "these kinds of values cannot be put together (traits.age is text)"),
        ("traits.size.startsWith('4')", "startsWith takes no such value (traits.size is a number)"),
        ("size(traits.vip) > 1", "size takes no such value (traits.vip is true or false)"),
        ("traits.tags > 3", "these kinds of values cannot be put together (traits.tags is a list)"),
        ("traits.size + traits.age == 3", None),
        ("timestamp(traits.age) > timestamp('2026-01-01T00:00:00Z')", None),
        ("traits.age.matches(traits.age + '(')", None),
        ("traits.size", "gives a number, not true or false"),
        ("traits.age", "gives text, not true or false"),
    ],
)
def test_kinds_that_do_not_go_together_are_counted(source: str, reason: str | None) -> None:
    rule = Rule(source, "when", VISITOR_VARIABLES)
    for n in (1, 2):
        assert not rule.holds(scope(VISITOR.get))
        assert rule.n_errors == n
    assert not rule.holds_for(VISITOR.get, lambda: scope(VISITOR.get))
    assert not rule.holds_for(VISITOR.get, lambda: scope(VISITOR.get))
    assert rule.n_errors == 4  # what fails is not remembered as an answer
    assert rule.last_error == reason or (reason is None and rule.last_error)
    assert "old" not in rule.last_error  # values may be personal


def test_values_of_the_wrong_kind_are_counted() -> None:
    sent = scope({"properties": {"revenue": "129", "id": 1.5, "no": None}}.get)
    value = Rule("properties.revenue", "value", EVENT_VARIABLES)
    assert value.number(sent) is None
    assert value.last_error == "gives text, not a number"
    arm = Rule("properties.id", "arm", EVENT_VARIABLES)
    assert arm.text(sent) is None
    assert arm.last_error == "gives a number, not text"
    for absent in (
        Rule("properties.no", "value", EVENT_VARIABLES),
        Rule("properties.nope", "value", EVENT_VARIABLES),
    ):
        assert (absent.number(sent), absent.text(sent), absent.n_errors) == (None, None, 0)


def catalog() -> Catalog:
    hero = Placement(
        content=("a", "b"),
        default="a",
        when="traits.age > 30",
        rewards=(
            RewardRule(
                event="Order Completed",
                when="properties.revenue > 10",
                value="properties.revenue / 100",
                arm="properties.products[0].id",
            ),
        ),
    )
    liked = AffinityRule(event="Order Completed", key="properties.category", when="properties.rating >= 4")
    return Catalog(
        placements={"hero": hero, "side": Placement(content=("b",), default="b")},
        content={"a": Content(), "b": Content(when="known")},
        segments={"rich": "revenue > 100.0"},
        affinities={"category": AffinitySpec(rules=(liked,))},
        conversions={"buys": Conversion(event="Order Completed", when="properties.revenue > 5")},
    )


def test_every_rule_that_is_evaluated_has_its_path() -> None:
    assert set(rules_of(compile_catalog(catalog(), 1))) == {
        "segments.rich",
        "placements.hero.when",
        "content.b.when",
        "placements.hero.rewards[0].when",
        "placements.hero.rewards[0].value",
        "placements.hero.rewards[0].arm",
        "affinities.category.rules[0].when",
        "conversions.buys.when",
    }


def order(n: int, **properties: Any) -> tuple[Position, Entry]:
    event = Track(message_id=f"m{n}", event="Order Completed", properties=properties)
    return Position(1, n), Entry(received_at_ms=n, occurred_at_ms=n, catalog_version=1, event=event)


def test_an_event_that_a_rule_cannot_take_is_folded_and_counted() -> None:
    compiled = compile_catalog(catalog(), 1)
    visitor = Visitor.new()
    orders = (
        order(1, revenue=50, products=[]),  # an order without products ended the worker once
        order(2, revenue=20.5, products=[{"id": "b"}], rating=5),
        order(3, revenue="50", products=[{"id": "b"}]),
        order(4, products=None, rating="good"),
    )
    for position, entry in orders:
        fold(visitor, "a:1", position, entry, compiled)
    assert visitor.state.event_count == 4
    errors = rule_errors(compiled)
    assert {path: one.n_errors for path, one in errors.items()} == {
        "placements.hero.rewards[0].when": 1,
        "affinities.category.rules[0].when": 1,
        "conversions.buys.when": 1,
    }
    assert errors["conversions.buys.when"].last_error == (
        "these kinds of values cannot be put together (properties.revenue is text)"
    )

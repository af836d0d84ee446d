"""A rule whose cost multiplies is told before it is published; one that only looks long is not."""

from __future__ import annotations

import time
from pathlib import Path

import pytest

from config.loader import load_catalog
from personalization.catalog.cel_parser import parse
from personalization.catalog.check import InvalidCatalog
from personalization.catalog.rule_cost import BUDGET_US, cost_us
from personalization.catalog.rules import Rule, scope
from personalization.catalog.vocabulary import VISITOR_VARIABLES

CHEAP = [
    "n_orders > 2 && 'vip' in segments",
    "context.tags.exists(t, t == 'sale' || t.startsWith('new'))",
    "context.items.exists(x, x.price < context.budget)",
    "context.items.exists(x, x.tags.exists(t, t == 'sale'))",
    "['a', 'b', 'c'].exists(x, context.tags.exists(t, t == x))",
    "context.tags.exists(t, t in segments)",
    "size(context.items.filter(x, x.price > 3).map(x, x.sku)) > 2",
    "cart.exists(sku, cart[sku] > 10.0)",
]
COSTLY = [
    "context.a.exists(x, context.b.exists(y, x == y))",
    "context.a.all(x, x in context.b)",
    "context.a.exists(x, size(context.b) > x)",
    "context.a.exists(x, context.a[0] == x)",
    "context.m.exists(x, x.b.exists(y, x.c.exists(z, z == y)))",
    "size(context.a.map(x, context.b.map(y, y))) > 1",
    "affinities.c.exists(x, context.a.exists(y, context.b.exists(z, z == y)))",
]


@pytest.mark.parametrize("source", CHEAP)
def test_what_people_write_is_taken(source: str) -> None:
    assert cost_us(parse(source)) <= BUDGET_US


@pytest.mark.parametrize("source", COSTLY)
def test_what_multiplies_is_refused(source: str) -> None:
    assert cost_us(parse(source)) > BUDGET_US


def spent_s(source: str) -> float:
    """The least of three evaluations over lists that are as long as they may be together."""
    context = {"a": list(range(400)), "b": list(range(-500, -1)), "m": [{"b": list(range(30)), "c": [-1] * 30}] * 9}
    rule = Rule(source, "when", VISITOR_VARIABLES)
    found = []
    for _ in range(3):
        began = time.process_time()
        rule.holds(scope({"context": context, "segments": ["s"]}.get))
        found.append(time.process_time() - began)
    return min(found)


def test_what_is_told_is_what_it_takes() -> None:
    """What multiplies takes many times what one macro over the same lists does."""
    once = spent_s("context.a.exists(x, x == -1) || context.b.exists(y, y == 1)")
    assert spent_s("context.a.exists(x, context.b.exists(y, x == y))") > 30 * once


def test_the_line_and_the_remedy_are_told(tmp_path: Path) -> None:
    text = f"""
placements: {{hero: {{content: [red], default: red}}}}
content:
  red:
    body: {{}}
    when: {COSTLY[0]}
"""
    (tmp_path / "shop.yaml").write_text(text)
    with pytest.raises(InvalidCatalog) as found:
        load_catalog(tmp_path)
    assert "shop.yaml:6: content.red.when: may take" in str(found.value)
    assert "send what it asks for as a value of its own" in str(found.value)

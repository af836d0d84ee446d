"""Rules that each keep their bound are refused where one call, or one event, would ask too many of them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from config.checks import check_names
from config.loader import (
    demo_catalog,
    known_conversion_model,
    known_model,
    known_policy,
    load_catalog,
    shipped_catalog,
)
from personalization.catalog.catalog import (
    AffinityRule,
    AffinitySpec,
    Catalog,
    Content,
    Conversion,
    Events,
    Placement,
    Score,
)
from personalization.catalog.rule_cost import BUDGET_US
from personalization.catalog.sections.scores import TraitPoints
from personalization.catalog.total_cost import TOTAL_BUDGET_US, of_call, of_event, total_us

ACROSS = 'context.a.exists(x, affinities.category.exists(k, k == x + "7"))'
"""Half of what one rule may cost."""

OF_EVENT = "properties.a.exists(x, properties.b.exists(y, x == y))"
HERO = Placement(content=("red",), default="red")


def told(**fields: object) -> list[tuple[str, str]]:
    catalog = Catalog(**{"placements": {"hero": HERO}, "content": {"red": Content()}, **fields})  # type: ignore[arg-type]
    found = check_names(catalog, known_model, known_policy, known_conversion_model)
    return [(path, message) for path, message, code in found if code == "too_costly"]


def test_an_event_is_asked_the_rules_of_its_meaning_beside_its_own() -> None:
    def affinity(event: str) -> AffinitySpec:
        return AffinitySpec(rules=(AffinityRule(event=event, key="properties.x", when=OF_EVENT),))

    affinities = {"a": affinity("ordered"), "b": affinity("purchase")}
    terms: dict[str, Any] = {"placements": {"hero": HERO}, "content": {"red": Content()}, "affinities": affinities}
    apart, together = Catalog(**terms), Catalog(**terms, events=Events(presets=("ga4",)))
    assert [cost.path for cost in of_event(apart)["purchase"]] == ["affinities.b.rules[0].when"]
    asked = {name: sorted(cost.path for cost in costs) for name, costs in of_event(together).items()}
    assert asked["purchase"] == ["affinities.a.rules[0].when", "affinities.b.rules[0].when"]
    assert asked["ordered"] == ["affinities.a.rules[0].when"]


def test_segments_together_are_bounded() -> None:
    """Each call asks all of them, as features do."""
    assert told(segments={f"s{n}": ACROSS for n in range(3)}) == []
    [(path, message)] = told(segments={f"s{n}": ACROSS for n in range(20)})
    assert path == "segments.s0"
    assert "Most take segments.s0 (84 ms), segments.s1 (84 ms), segments.s2 (84 ms) and 17 more" in message
    assert "send what they ask for as a value of its own" in message


def test_a_contents_rule_counts_in_each_placement_that_shows_it() -> None:
    content = {"red": Content(when=ACROSS)}
    assert told(content=content, placements={f"p{n}": HERO for n in range(3)}) == []
    [(path, message)] = told(content=content, placements={f"p{n}": HERO for n in range(20)})
    assert path == "content.red.when"
    assert "content.red.when (1,682 ms)" in message


def test_placements_are_asked_in_one_call() -> None:
    placements = {f"p{n}": Placement(content=("red",), default="red", when=ACROSS) for n in range(20)}
    assert [path for path, _ in told(placements=placements)] == ["placements.p0.when"]


def test_conditions_of_scores_count_beside_segments() -> None:
    points = tuple(TraitPoints(when=ACROSS, points=1) for _ in range(3))
    paths = [path for path, _ in told(segments={"s": ACROSS, "t": ACROSS}, scores={"warm": Score(traits=points)})]
    assert "segments.s" in paths


def test_where_models_see_no_scores_segments_are_asked_twice() -> None:
    segments = {"s": ACROSS, "t": ACROSS, "hot": "scores.buys > 0.5"}
    buys = {"buys": Conversion(event="Bought")}
    assert told(segments={"s": ACROSS, "t": ACROSS}, conversions=buys) == []
    assert [path for path, _ in told(segments=segments, conversions=buys)] == ["segments.s"]


def test_rules_over_one_event_are_bounded_together_and_those_over_others_are_not() -> None:
    def affinities(*events: str) -> dict[str, AffinitySpec]:
        rules = (AffinityRule(event=event, key="properties.x", when=OF_EVENT) for event in events)
        return {f"a{n}": AffinitySpec(rules=(rule,)) for n, rule in enumerate(rules)}

    each = of_event(Catalog(placements={}, content={}, affinities=affinities("Viewed")))["Viewed"][0].us
    assert BUDGET_US / 10 < each <= BUDGET_US
    n = int(TOTAL_BUDGET_US // each) + 1
    [(path, message)] = told(affinities=affinities(*["Viewed"] * n))
    assert path == "affinities.a0.rules[0].when"
    assert message.startswith("an event 'Viewed' may ask")
    assert told(affinities=affinities(*(f"Viewed {i}" for i in range(n)))) == []


def test_a_windows_condition_counts_once_however_many_look_at_it() -> None:
    window = f'count("Viewed", within="7d", where=\'{OF_EVENT}\') > '
    assert told(segments={f"s{n}": window + str(n) for n in range(20)}) == []


@pytest.mark.parametrize("folder", [shipped_catalog(), demo_catalog()], ids=lambda folder: folder.name)
def test_what_comes_with_nextbest_takes_next_to_nothing(folder: Path) -> None:
    catalog = load_catalog(folder)
    assert total_us(of_call(catalog)) < TOTAL_BUDGET_US / 100
    assert all(total_us(costs) < TOTAL_BUDGET_US / 100 for costs in of_event(catalog).values())

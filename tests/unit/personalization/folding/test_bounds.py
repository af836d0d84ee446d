"""The rule *Bounds*: no list or map grows without end, and none forgets what somebody wrote down."""

from __future__ import annotations

from personalization.bounded import trim
from personalization.catalog.catalog import Cap, Catalog, Content, Placement
from personalization.catalog.compiled_catalog import compile_catalog
from personalization.visitor.visitor_state import (
    MAX_AFFINITY_KEYS,
    MAX_COUNTS,
    MAX_EXPOSURES,
    MAX_HOLDOUTS,
    MAX_TRAITS,
)
from tests.unit.personalization.world import World, shop

KEY = "a:1"


def world(**terms: object) -> World:
    """A shop whose catalog names an event, a trait in a rule and in a template, a cap and a holdout."""
    contents = {"red": Content(type="html", body="hello {{traits.first_name|you}}")}
    contents["once"] = Content(body="once", cap=(Cap(limit=1, per="visitor"),))
    hero = Placement(
        content=("red", "once"),
        default="red",
        when='counts["Order Completed"] > 1.5 || traits.plan == "gold"',
        holdout=0.5,
    )
    catalog = Catalog(
        placements={"hero": hero},
        content=contents,
        affinities=shop().catalog.affinities,
        features=("affinities.category.boots",),
    )
    return World(compile_catalog(catalog, 1))


def test_an_event_that_a_rule_counts_always_has_a_place() -> None:
    w = world()
    for n in range(3 * MAX_COUNTS):
        for _ in range(3):
            w.track(KEY, f"Event {n}")
    w.track(KEY, "Order Completed")
    w.track(KEY, "Order Completed")
    counts = w.visitors[KEY].state.counts
    assert counts["Order Completed"].value > 1.99
    assert len(counts) == MAX_COUNTS + 1


def test_of_the_events_nobody_names_a_newcomer_takes_the_place_of_the_least() -> None:
    w = World()
    for n in range(MAX_COUNTS):
        for _ in range(2):
            w.track(KEY, f"Event {n}")
    for _ in range(5):
        w.track(KEY, "New")
    counts = w.visitors[KEY].state.counts
    assert len(counts) == MAX_COUNTS
    assert counts["New"].value > 5, "it takes the worth of what went, too: it never counts less than it should"


def test_a_trait_that_the_catalog_names_is_never_dropped() -> None:
    w = world()
    for n in range(3 * MAX_TRAITS):
        w.identify(KEY, **{f"t{n}": n})
    w.identify(KEY, plan="gold", first_name="Ada", age=3)
    for n in range(3 * MAX_TRAITS):
        w.identify(KEY, **{f"u{n}": n})
    traits = w.visitors[KEY].state.traits
    assert (traits["plan"], traits["first_name"]) == ("gold", "Ada")
    assert "age" not in traits, "of the others the one not written for longest goes"
    assert len(traits) == MAX_TRAITS + 2


def test_a_cap_is_kept_however_many_other_contents_were_shown() -> None:
    w = world()
    w.decide(KEY, "first", "once")
    for n in range(3 * MAX_EXPOSURES):
        w.decide(KEY, f"d{n}", f"product {n}")
    exposures = w.visitors[KEY].state.exposures
    assert exposures["once"].total == 1
    assert len(exposures) == MAX_EXPOSURES + 1


def test_the_side_of_a_holdout_in_the_catalog_is_kept() -> None:
    kept = {f"p{n}": n for n in range(3 * MAX_HOLDOUTS)}
    dropped = trim(kept, MAX_HOLDOUTS, float, {"p0", "p1"})
    assert {"p0", "p1"} <= kept.keys()
    assert len(kept) == MAX_HOLDOUTS + 2
    assert len(dropped) == 2 * MAX_HOLDOUTS - 2


def test_a_taste_that_a_feature_names_always_has_a_place() -> None:
    w = world()
    for n in range(3 * MAX_AFFINITY_KEYS):
        for _ in range(3):
            w.track(KEY, "Viewed", category=f"c{n}")
    w.track(KEY, "Viewed", category="boots")
    weights = w.visitors[KEY].state.affinities["category"].weights
    assert 0.99 < weights["boots"] <= 1.01
    assert len(weights) == MAX_AFFINITY_KEYS + 1

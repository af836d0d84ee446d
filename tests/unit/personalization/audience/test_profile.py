"""What client events do to a visitor."""

from __future__ import annotations

from typing import Any

import pytest

from personalization.catalog.catalog import AffinityRule, AffinitySpec, Catalog, Content, Placement
from personalization.catalog.compiled_catalog import compile_catalog
from personalization.events.event import Group, Identify, Page, Track
from personalization.visitor.visitor_state import VisitorState
from tests.unit.personalization.world import MINUTE, World


def world_with(**affinities: AffinitySpec) -> World:
    return World(
        compile_catalog(
            Catalog(
                placements={"hero": Placement(content=("red",), default="red")},
                content={"red": Content(body="red")},
                affinities=affinities,
            ),
            version=1,
        )
    )


def test_affinities_take_a_text_or_a_list_and_only_where_the_rule_holds() -> None:
    liked = AffinityRule(event="Film Rated", key="properties.genres", when="properties.rating >= 4")
    world = world_with(liked=AffinitySpec(rules=(liked,), half_life_ms=None))
    world.track("a:1", "Film Rated", genres=["Drama", "War"], rating=5)
    world.track("a:1", "Film Rated", genres=["Comedy"], rating=2)
    world.track("a:1", "Film Rated", genres="Drama", rating=4)
    world.track("a:1", "Film Rated", genres=["Drama"])
    assert world.visitors["a:1"].state.affinities["liked"].weights == {"Drama": 2.0, "War": 1.0}


def test_affinities_fade_by_event_and_by_time() -> None:
    rule = AffinityRule(event="Viewed", key="properties.category", weight=2.0)
    world = world_with(
        by_event=AffinitySpec(rules=(rule,), half_life_ms=None, decay_per_event=0.5),
        by_time=AffinitySpec(rules=(rule,), half_life_ms=10 * MINUTE),
    )
    world.track("a:1", "Viewed", category="shoes")
    world.track("a:1", "Viewed", category="hats", after_ms=10 * MINUTE)
    affinities = world.visitors["a:1"].state.affinities
    assert affinities["by_event"].weights == {"shoes": 1.0, "hats": 2.0}
    assert affinities["by_time"].weights == pytest.approx({"shoes": 1.0, "hats": 2.0})


def test_basket_and_revenue() -> None:
    world = World()
    world.track("a:1", "Product Added", product_id="p1", price=20.0, quantity=2)
    world.track("a:1", "Product Added", product_id=7, price=5)
    assert world.visitors["a:1"].state.cart == {"p1": 40.0, "7": 5.0}
    world.track("a:1", "Product Removed", product_id="p1")
    assert world.visitors["a:1"].state.cart == {"7": 5.0}
    world.track("a:1", "Order Completed", revenue=99.5)
    state = world.visitors["a:1"].state
    assert (state.cart, state.revenue, state.n_orders) == ({}, 99.5, 1)


@pytest.mark.parametrize(
    ("traits", "kept"),
    [
        ({"age": 31, "name": "Ada", "vip": True}, {"age": 31, "name": "Ada", "vip": True}),
        ({"address": {"city": "Graz"}, "tags": ["x"]}, {}),
        ({"long": "x" * 999}, {"long": "x" * 256}),
    ],
)
def test_traits_are_bounded_scalars(traits: dict[str, Any], kept: dict[str, Any]) -> None:
    world = World()
    world.identify("a:1", **traits)
    assert world.visitors["a:1"].state.traits == kept


def test_a_null_trait_is_forgotten() -> None:
    world = World()
    world.identify("a:1", plan="gold")
    world.identify("a:1", plan=None)
    assert world.visitors["a:1"].state.traits == {}


def granted(state: VisitorState) -> dict[str, bool]:
    return {purpose: word.granted for purpose, word in state.consents.items()}


def test_consent_comes_with_any_event_or_as_one() -> None:
    world = World()
    world.send("a:1", Page(message_id="1", context={"consent": {"personalization": True, "ads": "yes"}}))
    world.send("a:1", Page(message_id="2", context={"consent": {"categoryPreferences": {"email": False}}}))
    world.track("a:1", "Consent Updated", personalization=False)
    assert granted(world.visitors["a:1"].state) == {"personalization": False, "email": False}


def test_only_what_the_visitor_does_is_counted_by_name() -> None:
    world = World()
    world.send("a:1", Page(message_id="1"))
    world.send("a:1", Identify(message_id="2", traits={"a": 1}))
    world.send("a:1", Group(message_id="3", group_id="acme"))
    world.send("a:1", Track(message_id="4", event="Viewed"))
    state = world.visitors["a:1"].state
    assert set(state.counts) == {"page", "Viewed"}
    assert (state.event_count, state.session.n_views, state.traits["group_id"]) == (4, 1, "acme")


def test_a_trait_that_counts_once_is_the_first_and_gives_way_to_what_is_set() -> None:
    world = World()
    world.send("a:1", Identify(message_id="1", traits={"plan": "pro"}, traits_once={"plan": "free", "first": 1}))
    world.send("a:1", Identify(message_id="2", traits_once={"plan": "free", "first": 2, "other": 3}))
    assert world.visitors["a:1"].state.traits == {"plan": "pro", "first": 1, "other": 3}
    world.send("a:1", Identify(message_id="3", traits={"first": 4}))
    assert world.visitors["a:1"].state.traits["first"] == 4


def test_our_own_decisions_do_not_move_the_revision() -> None:
    world = World()
    world.track("a:1", "Viewed")
    world.decide("a:1", "d1")
    world.reward("a:1", "d1", 1.0)
    world.time_out("a:1", after_ms=30 * MINUTE)
    state = world.visitors["a:1"].state
    assert (state.revision, state.event_count, state.exposures["red"].total) == (1, 1, 1)

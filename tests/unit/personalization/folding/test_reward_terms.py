"""The terms a decision is judged by: those it was made under, whatever the catalog says meanwhile."""

from __future__ import annotations

import pytest
from msgspec import structs

from personalization.catalog.catalog import RewardRule
from personalization.catalog.compiled_catalog import compile_catalog
from personalization.events.entry import Sender
from personalization.events.event import Activated
from tests.unit.personalization.rewarding import KEY, WINDOW
from tests.unit.personalization.world import World, shop


def test_adding_up_holds_for_what_waited_behind_a_final_reward() -> None:
    world = World()
    world.reward(KEY, "d1", 0.5, final=True)
    world.reward(KEY, "d1", 0.5, final=True)
    arrived = world.decide(KEY, "d1", "red")
    kinds = [kind for kind, _, _ in arrived.notes]
    assert kinds.count("rewarded") == 1
    assert kinds.count("late") == 1
    assert world.visitors[KEY].folder.held == []


def test_what_a_reward_alone_told_of_is_counted_by_placement() -> None:
    world = World()
    world.decide(KEY, "d1", "red", exposed=False)
    world.reward(KEY, "d1", 1.0)
    closed = world.time_out(KEY, after_ms=WINDOW)
    assert ("exposed_by_reward", "hero", "red") in closed.notes
    assert world.outcomes[-1].shown_by_reward
    assert world.visitors[KEY].state.exposures["red"].total == 1


def test_a_placement_that_is_gone_trains_no_zeros() -> None:
    world = World()
    world.decide(KEY, "d1", "red")
    placement = world.catalog.catalog.placements["hero"]
    without = structs.replace(world.catalog.catalog, placements={"other": placement})
    world.catalog = compile_catalog(without, 2)
    world.track(KEY, "Clicked", contentId="red")  # nobody knows what it is worth now
    closed = world.time_out(KEY, after_ms=WINDOW)
    assert [(o.choice.decision_id, o.trains) for o in world.outcomes] == [("d1", False)]
    assert ("placement_gone", "hero", "red") in closed.notes


@pytest.mark.parametrize("shown", ["at once", "activated", "impression", "rewarded"])
def test_every_way_of_showing_records_the_side_of_the_holdout(shown: str) -> None:
    world = World(shop(holdout=0.5))
    world.decide(KEY, "d1", "red", exposed=shown == "at once", holdout=True)
    if shown == "activated":
        world.send(KEY, Activated(decision_id="d1"))
    elif shown == "impression":
        world.track(KEY, "Impression", decisionId="d1")
    elif shown == "rewarded":
        world.reward(KEY, "d1", 1.0)
    assert world.visitors[KEY].state.holdouts["hero"].control


def test_a_deferred_decision_records_no_side_before_it_is_shown() -> None:
    world = World(shop(holdout=0.5))
    world.decide(KEY, "d1", "red", exposed=False, holdout=True)
    assert world.visitors[KEY].state.holdouts == {}


def edited(world: World, **terms: object) -> None:
    """The next version of the catalog, with another placement ``hero``, or without it."""
    placement = world.catalog.catalog.placements["hero"]
    placements = {"hero": structs.replace(placement, **terms)} if terms else {"other": placement}
    world.versions[world.catalog.version] = world.catalog
    world.catalog = compile_catalog(structs.replace(world.catalog.catalog, placements=placements), 2)
    world.versions[2] = world.catalog


def test_a_decision_is_judged_by_the_rules_it_was_made_under() -> None:
    world = World()
    world.decide(KEY, "d1", "red", sender=Sender("shop", "write"))
    edited(world, rewards=(RewardRule(event="Bought", value=2.0),))
    world.decide(KEY, "d2", "green", sender=Sender("shop", "write"))
    world.track(KEY, "Clicked", contentId="red")
    world.track(KEY, "Clicked", contentId="green")
    world.track(KEY, "Bought", contentId="green")
    assert {each.choice.decision_id: each.reward for each in world.visitors[KEY].folder.open} == {
        "d1": 1.0,
        "d2": 2.0,
    }


def test_a_click_while_the_placement_was_gone_counts_when_it_is_back() -> None:
    world = World()
    world.decide(KEY, "d1", "red", sender=Sender("shop", "write"))
    before = world.catalog
    edited(world)
    world.track(KEY, "Clicked", contentId="red")
    world.catalog = before
    world.time_out(KEY, after_ms=WINDOW)
    assert [(o.reward, o.trains) for o in world.outcomes] == [(1.0, True)]


def test_one_event_credits_one_decision_of_a_placement_whatever_rules_there_are() -> None:
    world = World()
    world.decide(KEY, "d1", "red", sender=Sender("shop", "write"))
    edited(world, window_ms=WINDOW + 1)
    world.decide(KEY, "d2", "red", sender=Sender("shop", "write"))
    world.track(KEY, "Clicked", contentId="red")
    assert {each.choice.decision_id: each.reward for each in world.visitors[KEY].folder.open} == {
        "d1": 0.0,
        "d2": 1.0,
    }

"""Several rewards of one decision, and rewards of several names: what they come to."""

from __future__ import annotations

from typing import Any

import pytest

from personalization.catalog.catalog import RewardRule
from tests.unit.personalization.rewarding import KEY, WINDOW, Step, tell
from tests.unit.personalization.world import World, shop

THREE_NAMES: dict[str, Any] = {
    "rewards": (
        RewardRule(event="Clicked", name="click"),
        RewardRule(event="Bought", name="purchase"),
        RewardRule(event="Bought", name="revenue", value="double(properties.revenue)"),
        RewardRule(event="Bought", name="revenue", value=1e6),  # never: the first of a name counts
    ),
    "weights": {"click": 0.1, "purchase": 0.5, "revenue": 0.01},
    "reward_range": (-5.0, 5.0),
}

COMBINED: dict[str, tuple[list[Step], tuple[float, float, float]]] = {
    # name: (steps after the decision, total under (sum, max, first))
    "nothing": ([], (0.0, 0.0, 0.0)),
    "one click": ([("click", "red")], (0.1, 0.1, 0.1)),
    "one order brings two names": ([("buy", "red", 40.0)], (0.9, 0.9, 0.9)),
    "two clicks and two orders": (
        [("click", "red"), ("click", "red"), ("buy", "red", 40.0), ("buy", "red", 60.0)],
        (2.2, 1.2, 1.0),
    ),
    "the largest need not be the last": ([("buy", "red", 60.0), ("buy", "red", 40.0)], (2.0, 1.1, 1.1)),
    "by name over the API, weighted alike": (
        [("reward", "d1", 60.0, "revenue"), ("reward", "d1", 90.0, "revenue"), ("click", "red")],
        (1.6, 1.0, 0.7),
    ),
    "names nobody listed are one, by 1": (
        [("reward", "d1", 0.5, "smile"), ("reward", "d1", 0.75, "nod"), ("reward", "d1", 0.25)],
        (1.5, 0.75, 0.5),
    ),
    "something bad takes away": ([("click", "red"), ("reward", "d1", -2.0)], (-1.9, -1.9, -1.9)),
    "the total is held within the range": ([("buy", "red", 900.0), ("buy", "red", 2.0)], (5.0, 5.0, 5.0)),
}


@pytest.mark.parametrize("story", COMBINED, ids=lambda name: name.replace(" ", "_"))
@pytest.mark.parametrize("combine", ["sum", "max", "first"])
def test_several_rewards_of_one_decision(story: str, combine: str) -> None:
    steps, totals = COMBINED[story]
    world = World(shop(combine=combine, **THREE_NAMES))
    for step in [("decide", "d1", "red"), *steps, ("wait", WINDOW)]:
        tell(world, step)
    (outcome,) = world.outcomes
    assert outcome.reward == pytest.approx(totals[("sum", "max", "first").index(combine)])
    assert outcome.n_rewards == len(steps)


@pytest.mark.parametrize(("combine", "total"), [("sum", 4.0), ("max", 2.0), ("first", 1.0)])
def test_without_weights_all_rewards_are_of_one_kind(combine: str, total: float) -> None:
    world = World(shop(combine=combine, reward_range=(0.0, 9.0)))
    for step in [("decide", "d1", "red"), ("click", "red"), ("reward", "d1", 2.0, "vote"), ("click", "red")]:
        tell(world, step)
    tell(world, ("wait", WINDOW))
    assert world.outcomes[0].reward == total


def test_all_names_of_one_event_go_to_one_decision() -> None:
    """``any_exposed`` looks for a decision without a reward: the second name must not go to the next one."""
    world = World(shop(attribution="any_exposed", **THREE_NAMES))
    world.decide(KEY, "d1", "red")
    world.decide(KEY, "d2", "red")
    world.track(KEY, "Bought", contentId="red", revenue=40.0)
    world.time_out(KEY, after_ms=WINDOW)
    assert {o.choice.decision_id: (o.reward, o.n_rewards) for o in world.outcomes} == {
        "d1": (0.0, 0),
        "d2": (pytest.approx(0.9), 1),
    }


def test_names_survive_waiting_for_a_decision_and_a_merge() -> None:
    world = World(shop(combine="max", **THREE_NAMES))
    world.reward(KEY, "d1", 30.0, name="revenue")
    world.decide(KEY, "d1", "red")
    world.track("u:7", "Bought", contentId="red", revenue=40.0)
    world.link(KEY, "u:7")
    world.time_out("u:7", after_ms=WINDOW)
    assert [(o.choice.decision_id, o.n_rewards) for o in world.outcomes] == [("d1", 2)]
    assert world.outcomes[0].reward == pytest.approx(0.9)


def test_a_value_that_overflows_with_its_weight_is_worth_nothing() -> None:
    world = World(shop(weights={"revenue": 10.0}, rewards=THREE_NAMES["rewards"][2:3], reward_range=(0.0, 9.0)))
    world.decide(KEY, "d1", "red")
    world.track(KEY, "Bought", contentId="red", revenue=1e308)
    assert world.visitors[KEY].folder.open[0].n_rewards == 0

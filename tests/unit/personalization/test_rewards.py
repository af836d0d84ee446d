"""Rules *Rewards*, *Timers* and *Exposure*: hand-written expectations, one row a story.

A story is a list of steps on one visitor; the outcome is what the learner would see.
"""

from __future__ import annotations

from typing import Any

import pytest

from personalization.event import Activated, Track
from personalization.fold import Folded
from personalization.folder_state import HOLD_MS, MAX_OPEN_DECISIONS
from tests.unit.personalization.world import MINUTE, START, World, shop

KEY = "a:1"
WINDOW = 30 * MINUTE

Step = tuple[Any, ...]

STORIES: dict[str, tuple[list[Step], list[tuple[str, float, str, bool]]]] = {
    # name: (steps, [(decision, reward, reason, trains)])
    "a zero is learned like a success": (
        [("decide", "d1", "red"), ("wait", WINDOW)],
        [("d1", 0.0, "window", True)],
    ),
    "a click on the shown arm": (
        [("decide", "d1", "red"), ("click", "red"), ("wait", WINDOW)],
        [("d1", 1.0, "window", True)],
    ),
    "no outcome before the window closes, success or not": (
        [("decide", "d1", "red"), ("click", "red"), ("wait", WINDOW - MINUTE)],
        [],
    ),
    "a click on another arm is nobody's": (
        [("decide", "d1", "red"), ("click", "blue"), ("wait", WINDOW)],
        [("d1", 0.0, "window", True)],
    ),
    "one click rewards one decision, the one shown last": (
        [("decide", "d1", "red"), ("decide", "d2", "red"), ("click", "red"), ("wait", WINDOW)],
        [("d1", 0.0, "window", True), ("d2", 1.0, "window", True)],
    ),
    "rewards add up and are clipped to the range": (
        [("decide", "d1", "red"), ("click", "red"), ("click", "red"), ("click", "red"), ("wait", WINDOW)],
        [("d1", 2.0, "window", True)],
    ),
    "a value computed from the event": (
        [("decide", "d1", "red"), ("order", "red", 50.0), ("wait", WINDOW)],
        [("d1", 0.5, "window", True)],
    ),
    "a reward behind its time-out is late": (
        [("decide", "d1", "red"), ("wait", WINDOW), ("click", "red"), ("reward", "d1", 1.0)],
        [("d1", 0.0, "window", True)],
    ),
    "an explicit reward": (
        [("decide", "d1", "red"), ("reward", "d1", 0.25), ("wait", WINDOW)],
        [("d1", 0.25, "window", True)],
    ),
    "only final closes at once, a zero included": (
        [("decide", "d1", "red"), ("final", "d1", 0.0)],
        [("d1", 0.0, "final", True)],
    ),
    "after final, nothing more": (
        [("decide", "d1", "red"), ("final", "d1", 1.0), ("reward", "d1", 1.0), ("wait", WINDOW)],
        [("d1", 1.0, "final", True)],
    ),
    "a deferred decision that is never shown is not trained": (
        [("defer", "d1", "red"), ("click", "red"), ("wait", WINDOW)],
        [("d1", 0.0, "unexposed", False)],
    ),
    "the window runs from the exposure": (
        [
            ("defer", "d1", "red"),
            ("wait", 20 * MINUTE),
            ("activate", "d1"),
            ("wait", 20 * MINUTE),
            ("click", "red"),
            ("wait", 11 * MINUTE),
        ],
        [("d1", 1.0, "window", True)],
    ),
    "an impression event activates": (
        [("defer", "d1", "red"), ("impression", "d1"), ("click", "red"), ("wait", WINDOW)],
        [("d1", 1.0, "window", True)],
    ),
    "a reward that comes before its decision waits for it": (
        [("reward", "d1", 1.0), ("wait", HOLD_MS - 2), ("decide", "d1", "red"), ("wait", WINDOW)],
        [("d1", 1.0, "window", True)],
    ),
    "held longer than a minute it is an orphan": (
        [("reward", "d1", 1.0), ("wait", HOLD_MS), ("decide", "d1", "red"), ("wait", WINDOW)],
        [("d1", 0.0, "window", True)],
    ),
    "a final reward that comes before its decision closes it on arrival": (
        [("final", "d1", 1.0), ("decide", "d1", "red")],
        [("d1", 1.0, "final", True)],
    ),
    "the holdout is measured and never trains": (
        [("control", "d1", "red"), ("click", "red"), ("wait", WINDOW)],
        [("d1", 1.0, "window", False)],
    ),
    "a sticky repeat adds an exposure, never a trial": (
        [("decide", "d1", "red"), ("decide", "d1", "red"), ("click", "red"), ("wait", WINDOW)],
        [("d1", 1.0, "window", True)],
    ),
    "a repeat of a closed decision opens nothing": (
        [("decide", "d1", "red"), ("wait", WINDOW), ("decide", "d1", "red"), ("wait", WINDOW)],
        [("d1", 0.0, "window", True)],
    ),
    "an event that names the decision credits it": (
        [("decide", "d1", "red"), ("decide", "d2", "red"), ("click", "red", "d1"), ("wait", WINDOW)],
        [("d1", 1.0, "window", True), ("d2", 0.0, "window", True)],
    ),
}


def tell(world: World, step: Step) -> Folded:
    match step:
        case ("decide", decision, arm):
            return world.decide(KEY, decision, arm)
        case ("defer", decision, arm):
            return world.decide(KEY, decision, arm, exposed=False)
        case ("control", decision, arm):
            return world.decide(KEY, decision, arm, holdout=True)
        case ("click", arm):
            return world.track(KEY, "Clicked", contentId=arm)
        case ("click", arm, decision):
            return world.track(KEY, "Clicked", contentId=arm, decisionId=decision)
        case ("order", arm, revenue):
            return world.track(KEY, "Ordered", banner=arm, revenue=revenue)
        case ("reward", decision, value):
            return world.reward(KEY, decision, value)
        case ("final", decision, value):
            return world.reward(KEY, decision, value, final=True)
        case ("activate", decision):
            return world.send(KEY, Activated(decision_id=decision))
        case ("impression", decision):
            return world.track(KEY, "Impression", decisionId=decision)
        case ("wait", ms):
            return world.time_out(KEY, after_ms=ms)
    raise AssertionError(step)


@pytest.mark.parametrize("story", STORIES, ids=lambda name: name.replace(" ", "_"))
def test_rewards(story: str) -> None:
    steps, expected = STORIES[story]
    world = World()
    for step in steps:
        tell(world, step)
    seen = [(o.decision_id, o.reward, o.reason.value, o.trains) for o in world.outcomes]
    assert sorted(seen) == expected


@pytest.mark.parametrize(
    ("attribution", "clicked", "credited"),
    [
        ("same_arm", "red", ["d1"]),
        ("same_arm", "green", []),
        ("last_exposed", "green", ["d2"]),
        ("any_exposed", "green", ["d2", "d1"]),
    ],
)
def test_attribution(attribution: str, clicked: str, credited: list[str]) -> None:
    world = World(shop(attribution=attribution))
    world.decide(KEY, "d1", "red")
    world.decide(KEY, "d2", "blue")
    for _ in credited or [None]:
        world.track(KEY, "Clicked", contentId=clicked)
    rewards = {decision.decision_id: decision.reward for decision in world.visitors[KEY].folder.open}
    assert [name for name in ("d2", "d1") if rewards[name]] == credited


def test_a_slot_is_credited_for_its_own_arm() -> None:
    world = World()
    for slot, arm in enumerate(("red", "green", "blue")):
        world.decide(KEY, f"d{slot}", arm, slot=slot, after_ms=0)
    world.track(KEY, "Clicked", contentId="green")
    world.time_out(KEY, after_ms=WINDOW)
    assert {(o.slot, o.reward) for o in world.outcomes} == {(0, 0.0), (1, 1.0), (2, 0.0)}


def test_overflow_closes_the_oldest_with_its_reward_so_far() -> None:
    world = World()
    world.decide(KEY, "first", "red")
    world.track(KEY, "Clicked", contentId="red")
    for n in range(MAX_OPEN_DECISIONS):
        world.decide(KEY, f"d{n}", "blue")
    assert len(world.visitors[KEY].folder.open) == MAX_OPEN_DECISIONS
    (outcome,) = world.outcomes
    assert (outcome.decision_id, outcome.reward, outcome.reason.value, outcome.trains) == (
        "first",
        1.0,
        "evicted",
        True,
    )


def test_a_timer_is_asked_for_whenever_the_next_due_moves() -> None:
    world = World()
    assert world.track(KEY, "Viewed").due_ms is None
    assert world.decide(KEY, "d1").due_ms == world.now_ms + WINDOW
    first = world.due(KEY)
    assert world.decide(KEY, "d2", after_ms=MINUTE).due_ms is None, "the timer of d1 comes first"
    closed = world.time_out(KEY, after_ms=WINDOW - MINUTE)
    assert world.now_ms == first
    assert closed.due_ms == START + 2 + MINUTE + WINDOW, "d2 needs its own once d1's is gone"
    assert world.time_out(KEY, after_ms=MINUTE).due_ms is None


def test_a_spurious_time_out_closes_nothing_and_asks_for_the_real_one() -> None:
    world = World()
    world.decide(KEY, "d1")
    folded = world.time_out(KEY, after_ms=MINUTE)
    assert (folded.emissions, folded.due_ms) == ([], world.due(KEY))


def test_notes_count_what_the_shares_are_made_of() -> None:
    world = World()
    world.reward(KEY, "nowhere", 1.0)
    assert ("orphan", "", "") in world.time_out(KEY, after_ms=HOLD_MS).notes
    world.decide(KEY, "d1", "red")
    world.reward(KEY, "d1", 1.0, final=True)
    assert world.reward(KEY, "d1", 1.0).notes == [("late", "", "")]


def test_a_reward_rule_that_cannot_be_evaluated_is_worth_nothing() -> None:
    world = World()
    world.decide(KEY, "d1", "red")
    world.send(KEY, Track(message_id="x", event="Ordered", properties={"banner": "red"}))
    world.send(KEY, Track(message_id="y", event="Ordered", properties={"banner": "red", "revenue": "much"}))
    assert world.visitors[KEY].folder.open[0].n_rewards == 0

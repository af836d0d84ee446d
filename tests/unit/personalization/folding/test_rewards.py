"""Rules *Rewards*, *Timers* and *Exposure*: hand-written expectations, one row a story.

A story is a list of steps on one visitor; the outcome is what the learner would see.
"""

from __future__ import annotations

import pytest

from personalization.events.event import Track
from personalization.events.outcome import ClosingReason
from personalization.features import pack
from personalization.visitor.folder_state import (
    HOLD_MS,
    MAX_OPEN_BYTES,
    MAX_OPEN_EXPOSED,
    MAX_OPEN_UNEXPOSED,
)
from tests.unit.personalization.rewarding import KEY, WINDOW, Step, tell
from tests.unit.personalization.world import MINUTE, START, World, shop

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
    "a click that overtook its decision is its reward": (
        [("overtake", [("click", "red")], ("decide", "d1", "red")), ("wait", WINDOW)],
        [("d1", 1.0, "window", True)],
    ),
    "a click that overtook its decision and names it is its reward": (
        [("overtake", [("click", "red", "d1")], ("decide", "d1", "red")), ("wait", WINDOW)],
        [("d1", 1.0, "window", True)],
    ),
    "a click before the decision was made is not": (
        [("click", "red"), ("decide", "d1", "red"), ("wait", WINDOW)],
        [("d1", 0.0, "window", True)],
    ),
    "a click that overtook its activation is its reward": (
        [("defer", "d1", "red"), ("click", "red"), ("activate", "d1"), ("wait", WINDOW)],
        [("d1", 1.0, "window", True)],
    ),
    "a reward before the activation counts, and trains once it is there": (
        [("defer", "d1", "red"), ("reward", "d1", 1.0), ("activate", "d1"), ("wait", WINDOW)],
        [("d1", 1.0, "window", True)],
    ),
    "a reward alone tells of a showing, and does not train": (
        [("defer", "d1", "red"), ("reward", "d1", 1.0), ("wait", WINDOW)],
        [("d1", 1.0, "window", False)],
    ),
    "an event that names an unshown decision tells of a showing, and does not train": (
        [("defer", "d1", "red"), ("click", "red", "d1"), ("wait", WINDOW)],
        [("d1", 1.0, "window", False)],
    ),
    "a final reward before the activation waits for it": (
        [("defer", "d1", "red"), ("final", "d1", 1.0), ("reward", "d1", 1.0), ("activate", "d1")],
        [("d1", 1.0, "final", True)],
    ),
    "a final reward without an activation closes with its window": (
        [("defer", "d1", "red"), ("final", "d1", 1.0), ("wait", WINDOW)],
        [("d1", 1.0, "window", False)],
    ),
    "an event that names a closed decision rewards no other": (
        [
            ("decide", "d1", "red"),
            ("wait", WINDOW),
            ("decide", "d2", "red"),
            ("click", "red", "d1"),
            ("wait", WINDOW),
        ],
        [("d1", 0.0, "window", True), ("d2", 0.0, "window", True)],
    ),
    "of two rewards that waited the final one comes last": (
        [("final", "d1", 0.5), ("reward", "d1", 0.25), ("decide", "d1", "red")],
        [("d1", 0.75, "final", True)],
    ),
    "an event that names the decision credits it": (
        [("decide", "d1", "red"), ("decide", "d2", "red"), ("click", "red", "d1"), ("wait", WINDOW)],
        [("d1", 1.0, "window", True), ("d2", 0.0, "window", True)],
    ),
}


@pytest.mark.parametrize("story", STORIES, ids=lambda name: name.replace(" ", "_"))
def test_rewards(story: str) -> None:
    steps, expected = STORIES[story]
    world = World()
    for step in steps:
        tell(world, step)
    seen = [(o.choice.decision_id, o.reward, o.reason.value, o.trains) for o in world.outcomes]
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
    for _ in range(len(credited) or 1):
        world.track(KEY, "Clicked", contentId=clicked)
    rewards = {decision.choice.decision_id: decision.reward for decision in world.visitors[KEY].folder.open}
    assert [name for name in ("d2", "d1") if rewards[name]] == credited


def test_a_slot_is_credited_for_its_own_arm() -> None:
    world = World()
    for slot, arm in enumerate(("red", "green", "blue")):
        world.decide(KEY, f"d{slot}", arm, slot=slot, after_ms=0)
    world.track(KEY, "Clicked", contentId="green")
    world.time_out(KEY, after_ms=WINDOW)
    assert {(o.choice.slot, o.reward) for o in world.outcomes} == {(0, 0.0), (1, 1.0), (2, 0.0)}


def test_what_was_never_shown_goes_first_and_takes_no_place() -> None:
    world = World()
    world.decide(KEY, "shown", "red")
    for n in range(3 * MAX_OPEN_UNEXPOSED):
        world.decide(KEY, f"pre{n}", "blue", exposed=False)
    opened = [decision.choice.decision_id for decision in world.visitors[KEY].folder.open]
    assert opened[0] == "shown"
    assert opened[-1] == f"pre{3 * MAX_OPEN_UNEXPOSED - 1}"
    assert len(opened) == 1 + MAX_OPEN_UNEXPOSED
    assert {(o.reason, o.trains) for o in world.outcomes} == {(ClosingReason.EVICTED, False)}


def test_beyond_the_bound_one_is_drawn_to_go_untrained_and_the_others_stand_for_it() -> None:
    world = World()
    for n in range(MAX_OPEN_EXPOSED + 40):
        world.decide(KEY, f"d{n}", "red")
        world.reward(KEY, f"d{n}", 1.0)
    opened = world.visitors[KEY].folder.open
    assert len(opened) == MAX_OPEN_EXPOSED
    assert {(o.reason, o.trains) for o in world.outcomes} == {(ClosingReason.EVICTED, False)}
    gone = [int(o.choice.decision_id[1:]) for o in world.outcomes]
    assert min(gone) < 100, "early ones go"
    assert max(gone) > 200, "and late ones, by lot"
    total = sum(decision.sample_weight for decision in opened)
    assert total == pytest.approx(MAX_OPEN_EXPOSED + 40, rel=0.01)


@pytest.mark.parametrize(("n_placements", "n_each"), [(1, 150), (5, 30)])
def test_a_purchase_at_the_end_of_a_long_visit_is_credited(n_placements: int, n_each: int) -> None:
    """30 pages of five slots: what is bought was shown at any time of the visit."""
    credited = 0
    for visit in range(20):
        world = World(shop(window_ms=12 * 60 * MINUTE, attribution="same_arm"))
        for page in range(n_each):
            for slot in range(n_placements):
                world.decide(KEY, f"{visit}.{page}.{slot}", f"product{page}.{slot}", slot=slot)
        bought = f"product{(7 * visit) % n_each}.{visit % n_placements}"
        credited += "rewarded" in [kind for kind, _, _ in world.track(KEY, "Clicked", contentId=bought).notes]
    assert credited == 20


def test_the_estimate_of_what_long_visits_bring_is_unbiased() -> None:
    """Purchases come at the end of a visit of 400 showings, a tenth of them each; truth is known."""
    sums = weights = 0.0
    n_shown = n_bought = 0
    for visit in range(12):
        key, world = f"a:{visit}", World(shop(window_ms=12 * 60 * MINUTE))
        for n in range(400):
            world.decide(key, f"d{n}", "red", after_ms=10)
        for n in range(0, 400, 10):
            world.reward(key, f"d{n}", 1.0)
        n_shown, n_bought = n_shown + 400, n_bought + 40
        world.time_out(key, after_ms=12 * 60 * MINUTE)
        trained = [o for o in world.outcomes if o.trains]
        sums += sum(o.sample_weight * o.reward for o in trained)
        weights += sum(o.sample_weight for o in trained)
    assert weights == pytest.approx(n_shown, rel=0.02)
    assert sums / weights == pytest.approx(n_bought / n_shown, abs=0.015)


def test_many_wide_contexts_are_bounded_in_bytes() -> None:
    world = World()
    features = pack({f"feature_{n}": "x" * 60 for n in range(200)})
    for n in range(20):
        world.decide(KEY, f"d{n}", "red", features=features)
    opened = world.visitors[KEY].folder.open
    assert 2 <= len(opened) <= MAX_OPEN_BYTES // len(memoryview(features)) + 1
    assert all(decision.sample_weight > 1 for decision in opened[:2])


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
    assert world.reward(KEY, "d1", 1.0).notes == [("late", "hero", "red")]


def test_a_reward_rule_that_cannot_be_evaluated_is_worth_nothing() -> None:
    world = World()
    world.decide(KEY, "d1", "red")
    world.send(KEY, Track(message_id="x", event="Ordered", properties={"banner": "red"}))
    world.send(KEY, Track(message_id="y", event="Ordered", properties={"banner": "red", "revenue": "much"}))
    assert world.visitors[KEY].folder.open[0].n_rewards == 0

"""Rules *Rewards*, *Timers* and *Exposure*: hand-written expectations, one row a story.

A story is a list of steps on one visitor; the outcome is what the learner would see.
"""

from __future__ import annotations

from typing import Any

import msgspec
import pytest
from msgspec import structs

from personalization.bounded import short_hash
from personalization.catalog import RewardRule
from personalization.closed_memory import SECOND_BYTES, TAG_BYTES, LateReward
from personalization.compiled import compile_catalog
from personalization.entry import Sender
from personalization.event import Activated, Track
from personalization.features import pack
from personalization.fold import Folded
from personalization.folder_state import (
    HOLD_MS,
    MAX_CLOSED,
    MAX_OPEN_BYTES,
    MAX_OPEN_EXPOSED,
    MAX_OPEN_UNEXPOSED,
    Credit,
    FolderState,
    HeldReward,
    OpenDecision,
    decode_folder,
    encode_folder,
)
from personalization.outcome import ClosingReason
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


def tell(world: World, step: Step) -> Folded:
    match step:
        case ("decide", decision, arm):
            return world.decide(KEY, decision, arm)
        case ("overtake", steps, (_, decision, arm)):
            made_ms = world.now_ms + 1
            world.now_ms += 200
            for overtaking in steps:
                tell(world, overtaking)
            return world.decide(KEY, decision, arm, received_ms=made_ms)
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
        case ("reward", decision, value, name):
            return world.reward(KEY, decision, value, name=name)
        case ("buy", arm, revenue):
            return world.track(KEY, "Bought", contentId=arm, revenue=revenue)
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


def test_what_was_never_shown_goes_first_and_takes_no_place() -> None:
    world = World()
    world.decide(KEY, "shown", "red")
    for n in range(3 * MAX_OPEN_UNEXPOSED):
        world.decide(KEY, f"pre{n}", "blue", exposed=False)
    opened = [decision.decision_id for decision in world.visitors[KEY].folder.open]
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
    gone = [int(o.decision_id[1:]) for o in world.outcomes]
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


THREE_NAMES = {
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
    assert {o.decision_id: (o.reward, o.n_rewards) for o in world.outcomes} == {
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
    assert [(o.decision_id, o.reward, o.n_rewards) for o in world.outcomes] == [("d1", pytest.approx(0.9), 2)]


def test_a_value_that_overflows_with_its_weight_is_worth_nothing() -> None:
    world = World(shop(weights={"revenue": 10.0}, rewards=THREE_NAMES["rewards"][2:3], reward_range=(0.0, 9.0)))
    world.decide(KEY, "d1", "red")
    world.track(KEY, "Bought", contentId="red", revenue=1e308)
    assert world.visitors[KEY].folder.open[0].n_rewards == 0


LATE: dict[str, tuple[str, Step, list[tuple[str, str, str]]]] = {
    # name: (attribution, what comes after the window of d1, red, what is noted)
    "by decision id": ("same_arm", ("reward", "d1", 1.0), [("late", "hero", "red")]),
    "by final": ("same_arm", ("final", "d1", 0.0), [("late", "hero", "red")]),
    "an event on the arm shown": ("same_arm", ("click", "red"), [("late", "hero", "red")]),
    "an event on another arm": ("same_arm", ("click", "blue"), []),
    "whatever the event was on": ("last_exposed", ("click", "blue"), [("late", "hero", "red")]),
    "an activation is no reward": ("same_arm", ("activate", "d1"), []),
}


@pytest.mark.parametrize("story", LATE, ids=lambda name: name.replace(" ", "_"))
def test_late_rewards_are_counted_by_arm_and_never_trained(story: str) -> None:
    attribution, step, notes = LATE[story]
    world = World(shop(attribution=attribution))
    for before in (("decide", "d1", "red"), ("wait", WINDOW)):
        tell(world, before)
    assert tell(world, step).notes == notes
    assert [(o.decision_id, o.reward) for o in world.outcomes] == [("d1", 0.0)]


def test_late_rewards_say_for_which_decision_and_how_late() -> None:
    world = World()
    world.decide(KEY, "d0", "blue")
    world.decide(KEY, "d1", "red")
    world.time_out(KEY, after_ms=WINDOW)
    closed_s = world.now_ms // 1000
    world.now_ms += 7 * MINUTE
    told = [*world.reward(KEY, "d1", 1.0).late, *world.track(KEY, "Clicked", contentId="blue").late]
    assert told == [
        LateReward("d1", "hero", "red", world.now_ms - 1 - closed_s * 1000),
        LateReward(short_hash("d0").hex(), "hero", "blue", world.now_ms - closed_s * 1000),
    ]
    assert 7 * MINUTE <= world.now_ms - closed_s * 1000 < 7 * MINUTE + 1_010


def test_what_closed_before_the_second_was_kept_is_late_by_an_unknown_time() -> None:
    world = World()
    world.decide(KEY, "d1", "red")
    world.decide(KEY, "d2", "blue")
    world.reward(KEY, "d1", 1.0, final=True)
    folder = world.visitors[KEY].folder
    folder.closed_arms = folder.closed_arms[: TAG_BYTES - SECOND_BYTES]  # as stored until then
    world.reward(KEY, "d2", 1.0, final=True)
    assert world.reward(KEY, "d1", 1.0).late == [LateReward("d1", "hero", "red", None)]
    assert [late.late_ms is None for late in world.reward(KEY, "d2", 1.0).late] == [False]


def test_nothing_is_late_for_a_decision_that_was_never_shown() -> None:
    world = World()
    for step in (("defer", "d1", "red"), ("wait", WINDOW)):
        tell(world, step)
    assert tell(world, ("click", "red")).notes == []
    assert tell(world, ("reward", "d1", 1.0)).notes == [("late", "", "")]


def test_late_is_known_behind_a_merge_and_forgotten_beyond_the_bound() -> None:
    world = World()
    world.decide("a:1", "d1", "blue")
    world.time_out("a:1", after_ms=WINDOW)
    world.link("a:1", "u:7")
    assert world.track("u:7", "Clicked", contentId="blue").notes == [("late", "hero", "blue")]
    for n in range(MAX_CLOSED):
        world.decide("u:7", f"d-{n}", "red")
        world.reward("u:7", f"d-{n}", 0.0, final=True)
    assert world.track("u:7", "Clicked", contentId="blue").notes == []
    assert len(world.visitors["u:7"].folder.closed_arms) == TAG_BYTES * MAX_CLOSED


def _without(struct: type, *added: str) -> list[str]:
    return [name for name in struct.__struct_fields__ if name not in added]


def test_a_folder_state_written_before_rewards_had_names_still_loads() -> None:
    """Its bytes lack the fields at the end, and its credits are plain numbers."""
    world = World()
    world.decide(KEY, "d0", "blue")
    world.time_out(KEY, after_ms=WINDOW)
    world.decide(KEY, "d1", "red")
    world.track(KEY, "Clicked", contentId="red")
    world.track(KEY, "Clicked", contentId="green")
    world.reward(KEY, "d2", 0.5)
    folder = world.visitors[KEY].folder
    old = [getattr(folder, name) for name in _without(FolderState, "closed_arms", "conversions", "parts")]
    places = {name: index for index, name in enumerate(_without(FolderState))}
    for name, struct, added in (
        ("open", OpenDecision, ("combine", "by_name", "lineage", "by_reward", "sample_weight")),
        ("held", HeldReward, ("name",)),
        ("recent", Credit, ("decision_id",)),
    ):
        old[places[name]] = [
            [getattr(each, part) for part in _without(struct, *added)] for each in getattr(folder, name)
        ]
    loaded = decode_folder(msgspec.msgpack.encode(old))
    assert loaded.closed_arms == b""
    folder.closed_arms = b""
    assert encode_folder(loaded) == encode_folder(folder)
    world.visitors[KEY].folder = loaded
    assert world.reward(KEY, "d0", 1.0).notes == [("late", "", "")]
    world.reward(KEY, "d1", 1.0, final=True)
    assert world.outcomes[-1].reward == 2.0
    assert world.reward(KEY, "d1", 1.0).notes == [("late", "hero", "red")]


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
    assert world.visitors[KEY].state.exposures["red"].total == 1


def test_a_placement_that_is_gone_trains_no_zeros() -> None:
    world = World()
    world.decide(KEY, "d1", "red")
    placement = world.catalog.catalog.placements["hero"]
    without = structs.replace(world.catalog.catalog, placements={"other": placement})
    world.catalog = compile_catalog(without, 2)
    world.track(KEY, "Clicked", contentId="red")  # nobody knows what it is worth now
    closed = world.time_out(KEY, after_ms=WINDOW)
    assert [(o.decision_id, o.trains) for o in world.outcomes] == [("d1", False)]
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
    placement = world.catalog.catalog.placements.get("hero")
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
    assert {each.decision_id: each.reward for each in world.visitors[KEY].folder.open} == {"d1": 1.0, "d2": 2.0}


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
    assert {each.decision_id: each.reward for each in world.visitors[KEY].folder.open} == {"d1": 0.0, "d2": 1.0}

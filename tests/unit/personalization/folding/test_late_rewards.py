"""What comes after a decision has closed: counted, told of, never trained."""

from __future__ import annotations

import msgspec
import pytest

from personalization.bounded import short_hash
from personalization.folding.closed_memory import SECOND_BYTES, TAG_BYTES, LateReward
from personalization.visitor.folder_state import (
    MAX_CLOSED,
    Credit,
    FolderState,
    HeldReward,
    OpenDecision,
    decode_folder,
    encode_folder,
)
from tests.unit.personalization.rewarding import KEY, WINDOW, Step, tell
from tests.unit.personalization.world import MINUTE, World, shop

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
    assert [(o.choice.decision_id, o.reward) for o in world.outcomes] == [("d1", 0.0)]


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


def _without(struct: type[msgspec.Struct], *added: str) -> list[str]:
    return [name for name in struct.__struct_fields__ if name not in added]


def test_a_folder_state_without_the_fields_at_the_end_still_loads() -> None:
    """So are the bytes written before each was added; and its credits are plain numbers."""
    world = World()
    world.decide(KEY, "d0", "blue")
    world.time_out(KEY, after_ms=WINDOW)
    world.decide(KEY, "d1", "red")
    world.track(KEY, "Clicked", contentId="red")
    world.track(KEY, "Clicked", contentId="green")
    world.reward(KEY, "d2", 0.5)
    folder = world.visitors[KEY].folder
    old = [
        getattr(folder, name)
        for name in _without(
            FolderState,
            "closed_arms",
            "conversions",
            "parts",
            "memberships",
            "tiers",
            "kept",
            "erased_ms",
            "participations",
        )
    ]
    places = {name: index for index, name in enumerate(_without(FolderState))}
    for name, struct, added in (
        (
            "open",
            OpenDecision,
            ("by_name", "lineage", "by_reward", "sample_weight", "called", "rewarded_from", "predicted", "trace"),
        ),
        ("held", HeldReward, ("name", "by_page", "origin")),
        ("recent", Credit, ("decision_id", "origin")),
    ):
        old[places[name]] = [
            [getattr(each, part) for part in _without(struct, *added)] for each in getattr(folder, name)
        ]
    loaded = decode_folder(msgspec.msgpack.encode(old))
    assert loaded.closed_arms == b""
    folder.closed_arms, folder.kept = b"", None
    assert encode_folder(loaded) == encode_folder(folder)
    world.visitors[KEY].folder = loaded
    assert world.reward(KEY, "d0", 1.0).notes == [("late", "", "")]
    world.reward(KEY, "d1", 1.0, final=True)
    assert world.outcomes[-1].reward == 2.0
    assert world.reward(KEY, "d1", 1.0).notes == [("late", "hero", "red")]

"""Rule *Fold once*: the fence is exact, message ids only catch clients that send twice."""

from __future__ import annotations

import copy

import pytest
from hypothesis import given
from hypothesis import strategies as st

from personalization.events.entry import Position, decode_entry
from personalization.events.event import Track
from personalization.folding.fold import fold
from personalization.folding.folded import Status
from personalization.visitor.folder_state import MAX_MESSAGE_IDS, MESSAGE_ID_BYTES, MESSAGE_MEMORY_MS, encode_folder
from personalization.visitor.visitor import Visitor
from personalization.visitor.visitor_state import encode_visitor
from tests.of_type import of_type
from tests.unit.personalization.world import World


def test_an_entry_at_or_below_the_fence_touches_nothing() -> None:
    world = World()
    world.track("a:1", "Viewed", category="shoes")
    before = copy.deepcopy(world.visitors["a:1"])
    again = world.fold_at(0, *world.log[0])
    assert again.status is Status.REDELIVERED
    assert world.visitors["a:1"] == before


def test_more_redelivered_events_than_message_ids_remember_still_count_once() -> None:
    world = World()
    for _ in range(3 * MAX_MESSAGE_IDS):
        world.track("a:1", "Viewed")
    for offset, (key, data) in enumerate(list(world.log)):
        world.fold_at(offset, key, data)
    assert world.visitors["a:1"].state.event_count == 3 * MAX_MESSAGE_IDS


def test_a_client_that_sends_twice_counts_once() -> None:
    world = World()
    assert world.track("a:1", "Viewed", message_id="same").status is Status.APPLIED
    assert world.track("a:1", "Viewed", message_id="same").status is Status.DUPLICATE
    assert world.visitors["a:1"].state.event_count == 1
    assert world.visitors["a:1"].state.revision == 1


@pytest.mark.parametrize("logged_in", [False, True])
def test_a_whole_queue_sent_again_counts_once(logged_in: bool) -> None:
    """The answer to a phone's batch was lost, and between its two tries the visitor may have logged in."""
    world = World()
    for n in range(MAX_MESSAGE_IDS):
        world.track("a:1", "Viewed", message_id=f"q{n}")
    if logged_in:
        world.link("a:1", "u:7")
        for n in range(MAX_MESSAGE_IDS // 2):
            world.track("u:7", "Viewed", message_id=f"other{n}")
    for n in range(MAX_MESSAGE_IDS):
        assert world.track("a:1", "Viewed", message_id=f"q{n}").status is Status.DUPLICATE
    key, others = ("u:7", MAX_MESSAGE_IDS // 2) if logged_in else ("a:1", 0)
    assert world.visitors[key].state.event_count == MAX_MESSAGE_IDS + others


def test_a_merge_pushes_no_message_id_out() -> None:
    world = World()
    for n in range(MAX_MESSAGE_IDS):
        world.track("u:7", "Viewed", message_id=f"q{n}")
        world.track("a:1", "Viewed", message_id=f"w{n}")
    world.link("a:1", "u:7")
    assert world.track("u:7", "Viewed", message_id="q0").status is Status.DUPLICATE


def test_message_ids_are_forgotten_after_a_day_of_silence() -> None:
    world = World()
    world.track("a:1", "Viewed", message_id="same")
    world.track("a:1", "Viewed", after_ms=MESSAGE_MEMORY_MS + 1)
    assert len(world.visitors["a:1"].folder.message_ids) == MESSAGE_ID_BYTES


def test_a_merge_delivered_again_is_applied_once_however_many_others_spoke_in_between() -> None:
    world = World()
    world.track("a:first", "Viewed")
    world.link("a:first", "u:7")
    merged = next((key, data) for key, data in world.log if key == "u:7")
    for n in range(40):
        world.track(f"a:{n}", "Viewed")
        world.link(f"a:{n}", "u:7")
    world.log.append(merged)
    world.pump()
    assert world.folded[-1].status is Status.DUPLICATE
    assert world.visitors["u:7"].state.event_count == 41


def test_an_older_epoch_is_skipped_and_a_newer_one_begins_below_every_offset() -> None:
    world = World()
    world.track("a:1", "Viewed")
    visitor, (_, data) = world.visitors["a:1"], world.log[0]
    entry = decode_entry(data)
    of_type(Track, entry.event).message_id = "m-next"
    assert fold(visitor, "a:1", Position(0, 99), entry, world.catalog).status is Status.STALE_EPOCH
    assert fold(visitor, "a:1", Position(2, 0), entry, world.catalog).status is Status.APPLIED
    assert (visitor.state.epoch, visitor.state.offset, visitor.state.event_count) == (2, 0, 2)


@given(st.lists(st.tuples(st.sampled_from(["a:1", "a:2"]), st.booleans()), max_size=40), st.data())
def test_any_redelivery_leaves_the_state_as_one_pass_does(
    steps: list[tuple[str, bool]], data: st.DataObject
) -> None:
    world = World()
    for key, is_click in steps:
        if is_click:
            world.decide(key, f"d{len(world.log)}")
        world.track(key, "Clicked", contentId="red")
    again: dict[str, Visitor] = {}
    offset = 0
    while offset < len(world.log):
        key, raw = world.log[offset]
        fold(again.setdefault(key, Visitor.new()), key, Position(1, offset), decode_entry(raw), world.catalog)
        # A crash: go back to any earlier place, as a consumer group does.
        back = data.draw(st.integers(0, 3)) if offset % 5 == 4 else 0
        for earlier in range(max(0, offset - back), offset + 1):
            k, r = world.log[earlier]
            folded = fold(again[k], k, Position(1, earlier), decode_entry(r), world.catalog)
            assert folded.status is Status.REDELIVERED
        offset += 1
    assert again == world.visitors


def test_state_is_bounded_whatever_is_sent() -> None:
    world = World()
    for n in range(200):
        event = Track(
            message_id=f"m{n}",
            event=f"event {n}",
            properties={"category": [f"c{n}"] * 50, "product_id": f"p{n}", "price": 1e300},
            context={"consent": {f"purpose{n}": True}},
        )
        world.send("a:1", event)
        world.identify("a:1", **{f"trait{n}": "x" * 10_000})
        world.track("a:1", "Viewed", category=[f"c{n}", f"d{n}"])
        world.track("a:1", "Product Added", product_id=f"p{n}", price=5)
        world.decide("a:1", f"d{n}", arm=f"arm{n}", sticky=True)
        world.reward("a:1", f"unknown{n}", 1.0)
        world.track("a:1", "Clicked", contentId="nobody")
    visitor = world.visitors["a:1"]
    assert len(encode_visitor(visitor.state)) < 24_000
    assert len(encode_folder(visitor.folder)) < 40_000

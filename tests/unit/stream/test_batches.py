"""When a batch of the log begins: at once for what somebody waits for, a little later for what nobody does."""

from __future__ import annotations

import asyncio

import pytest

from personalization.events.entry import Entry, encode_entry
from personalization.events.event import Event, Rewarded, TimedOut, Track
from stream.batches import Batches
from stream.folding.batch_fold import Message
from stream.folding.urgency import Urgency

LONG_S = 600.0
"""Longer than any test waits."""


@pytest.fixture
def waiting() -> Batches[float]:
    """Of at most four entries, each of which is how long it waits."""
    return Batches(4)


def arrive(waiting: Batches[float], *waits_s: float) -> None:
    for wait_s in waits_s:
        waiting.add(wait_s, wait_s)


async def begun(waiting: Batches[float]) -> list[float]:
    """The next batch; fails where none begins."""
    async with asyncio.timeout(5):
        return await waiting.following()


async def test_what_nobody_waits_for_goes_with_what_somebody_does(waiting: Batches[float]) -> None:
    arrive(waiting, LONG_S, LONG_S)
    first = asyncio.create_task(begun(waiting))
    done, _ = await asyncio.wait([first], timeout=0.05)
    assert not done
    arrive(waiting, 0.0)
    assert await first == [LONG_S, LONG_S, 0.0]


async def test_a_later_entry_that_may_wait_holds_up_none_that_may_not(waiting: Batches[float]) -> None:
    arrive(waiting, 0.001, LONG_S)
    assert await begun(waiting) == [0.001, LONG_S]


async def test_what_nobody_waits_for_begins_by_itself(waiting: Batches[float]) -> None:
    arrive(waiting, 0.02, LONG_S)
    assert await begun(waiting) == [0.02, LONG_S]


async def test_a_batch_that_fills_while_it_waits_begins(waiting: Batches[float]) -> None:
    first = asyncio.create_task(begun(waiting))
    await asyncio.sleep(0)
    arrive(waiting, *[LONG_S] * 4)
    assert len(await first) == 4


async def test_a_full_batch_waits_for_nothing_and_leaves_the_rest_to_the_next(waiting: Batches[float]) -> None:
    arrive(waiting, *[LONG_S] * 9)
    assert [len(await begun(waiting)), len(await begun(waiting))] == [4, 4]
    arrive(waiting, 0.0)
    assert await begun(waiting) == [LONG_S, 0.0]


async def test_after_a_batch_entries_wait_again(waiting: Batches[float]) -> None:
    arrive(waiting, 0.0)
    await begun(waiting)
    arrive(waiting, LONG_S)
    following = asyncio.create_task(begun(waiting))
    done, _ = await asyncio.wait([following], timeout=0.05)
    assert not done
    following.cancel()


async def test_there_is_room_once_a_full_batch_is_taken(waiting: Batches[float]) -> None:
    arrive(waiting, LONG_S)
    await asyncio.wait_for(waiting.until_room(), 5)
    arrive(waiting, *[LONG_S] * 3)
    room = asyncio.create_task(waiting.until_room())
    done, _ = await asyncio.wait([room], timeout=0.05)
    assert not done
    await begun(waiting)
    await asyncio.wait_for(room, 5)


def entry(event: Event) -> Message:
    value = encode_entry(Entry(received_at_ms=1, occurred_at_ms=1, catalog_version=1, event=event))
    return Message(0, 0, b"a:v", value)


TIMED_OUT = TimedOut(due_ms=1)
REWARDED = Rewarded(message_id="m", decision_id="d", name="click", value=1.0)
TRACKED = Track(message_id="m", anonymous_id="v", event="timed_out", properties={"type": "decision"})


@pytest.mark.parametrize("event", [REWARDED, TRACKED], ids=["reward", "event"])
def test_what_visitors_did_is_folded_at_once(event: Event) -> None:
    assert Urgency(0.001, 0.025).wait_s(entry(event)) == 0.001


def test_a_time_out_may_wait() -> None:
    assert Urgency(0.001, 0.025).wait_s(entry(TIMED_OUT)) == 0.025


def test_what_cannot_be_read_is_refused_at_once() -> None:
    urgency = Urgency(0.001, 0.025)
    assert {urgency.wait_s(Message(0, 0, b"k", value)) for value in (None, b"", b"\xc1", b"\x91" * 5_000)} == {
        0.001
    }


def test_nothing_lingers_for_less_than_an_event_waits() -> None:
    assert Urgency(0.05, 0.025).wait_s(entry(TIMED_OUT)) == 0.05

"""When a batch of the log begins: at once for what somebody waits for, a little later for what nobody does."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from types import SimpleNamespace

import pytest

from personalization.events.entry import Entry, encode_entry
from personalization.events.event import Event, Rewarded, TimedOut, Track
from stream.batches import batches
from stream.folding.batch_fold import Message
from stream.folding.urgency import Urgency

LONG_S = 600.0
"""Longer than any test waits."""


class Stream:
    """A stream of Faust events that the test feeds."""

    def __init__(self) -> None:
        self._queue: asyncio.Queue[float | None] = asyncio.Queue()

    def noack(self) -> Stream:
        return self

    def arrives(self, *waits_s: float) -> None:
        for wait_s in waits_s:
            self._queue.put_nowait(wait_s)

    def ends(self) -> None:
        self._queue.put_nowait(None)

    async def events(self) -> AsyncIterator[SimpleNamespace]:
        while (wait_s := await self._queue.get()) is not None:
            yield SimpleNamespace(message=wait_s)


Begun = Callable[[], Awaitable[list[float]]]


@pytest.fixture
async def stream() -> Stream:
    return Stream()


@pytest.fixture
async def begun(stream: Stream) -> AsyncIterator[Begun]:
    """The next batch; fails where none begins."""
    found = batches(stream, 4, float, lambda wait_s: wait_s)

    async def following() -> list[float]:
        async with asyncio.timeout(5):
            return [message for _, message in await anext(found)]

    yield following
    await found.aclose()


async def test_what_nobody_waits_for_goes_with_what_somebody_does(stream: Stream, begun: Begun) -> None:
    stream.arrives(LONG_S, LONG_S)
    first = asyncio.create_task(_awaited(begun))
    done, _ = await asyncio.wait([first], timeout=0.05)
    assert not done
    stream.arrives(0.0)
    assert await first == [LONG_S, LONG_S, 0.0]


async def test_a_later_entry_that_may_wait_holds_up_none_that_may_not(stream: Stream, begun: Begun) -> None:
    stream.arrives(0.001, LONG_S)
    assert await begun() == [0.001, LONG_S]


async def test_what_nobody_waits_for_begins_by_itself(stream: Stream, begun: Begun) -> None:
    stream.arrives(0.02, LONG_S)
    assert await begun() == [0.02, LONG_S]


async def test_a_full_batch_waits_for_nothing(stream: Stream, begun: Begun) -> None:
    stream.arrives(*[LONG_S] * 9)
    assert [len(await begun()), len(await begun())] == [4, 4]


async def test_the_end_of_the_stream_gives_what_was_waiting(stream: Stream, begun: Begun) -> None:
    stream.arrives(LONG_S)
    stream.ends()
    assert await begun() == [LONG_S]
    with pytest.raises(StopAsyncIteration):
        await begun()


async def _awaited(begun: Begun) -> list[float]:
    return await begun()


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

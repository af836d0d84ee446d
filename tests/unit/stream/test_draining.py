"""What a consumer hands over while others seek, rebalance and suspend: driven one read at a time, without a log."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from typing import Any

import pytest
from faust.types import TP
from yarl import URL

from eventlog.port import LogIdentity
from eventlog.redis_streams import RedisStreamsLog
from stream.transports.offsets import OffsetPolicy
from stream.transports.redis_streams import Consumer, Transport, _Record
from stream.worker_app import make_app

AT = TP("log", 0)


async def nothing(*_: Any) -> None:
    """Nobody waits for this."""


class MemoryConsumer(Consumer):
    """A consumer over a list of offsets, and its receiver, which lets others act while it reads, takes, or asks."""

    pause_s = 0.0

    def __init__(self, offsets: Collection[int]) -> None:
        self.gaps: list[tuple[int, int]] = []
        policy = OffsetPolicy(on_gap=lambda partition, n_entries: self.gaps.append((partition, n_entries)))
        app = make_app("folder", RedisStreamsLog("redis://nowhere"), LogIdentity(1, "log", 1), offset_policy=policy)
        super().__init__(Transport([URL("redis+streams://log")], app), nothing, nothing, nothing)
        app.receiver = self
        app.flow_control.resume()
        self.entries = sorted(offsets)
        self.committed = 0
        self.taken: list[int] = []
        self.while_reading: Callable[[], Any] = nothing
        self.while_asking: Callable[[], Any] = nothing
        self.while_taking: Callable[[], Any] = nothing
        self.while_full: Callable[[], Any] = nothing
        self._assigned = {AT}

    async def resume_offsets(self, tps: Collection[TP]) -> dict[TP, int]:
        begun = self.committed
        await self.while_asking()
        return dict.fromkeys(tps, begun)

    async def read_from(self, offsets: Mapping[TP, int], timeout_s: float) -> dict[TP, list[_Record]]:
        found = {tp: [_Record(n, b"", b"") for n in self.entries if n >= offset] for tp, offset in offsets.items()}
        await self.while_reading()
        return {tp: entries for tp, entries in found.items() if entries}

    async def until_room(self) -> None:
        await self.while_full()

    async def take(self, found: Mapping[TP, Sequence[Any]], offsets: Mapping[TP, int]) -> Mapping[TP, int]:
        await self.while_taking()
        self.taken += [record.offset for record in found[AT]]
        return {AT: found[AT][-1].offset + 1}

    async def rebalance(self) -> None:
        """The partitions go and come back; nobody has sought yet."""
        await self.on_partitions_revoked({AT})
        await self.on_partitions_assigned({AT})

    async def begin(self) -> None:
        await self.rebalance()
        await self.perform_seek()

    def ack(self, *offsets: int) -> int | None:
        """Ack entries; what may be committed then."""
        self._acked[AT].extend(offsets)
        return self._new_offset(AT)


@pytest.fixture
async def consumer() -> MemoryConsumer:
    return MemoryConsumer(range(10))


async def test_it_hands_over_once_what_follows(consumer: MemoryConsumer) -> None:
    await consumer.begin()
    await consumer._hand_over()
    consumer.entries += [10, 11]
    await consumer._hand_over()
    assert consumer.taken == list(range(12))
    assert await consumer.position(AT) == 12


async def test_nothing_is_read_between_an_assignment_and_its_seek(consumer: MemoryConsumer) -> None:
    await consumer.begin()
    await consumer.rebalance()
    await consumer._hand_over()
    assert consumer.taken == []


async def test_nothing_is_handed_over_once_the_partitions_are_revoked(consumer: MemoryConsumer) -> None:
    await consumer.begin()
    consumer.while_reading = lambda: consumer.on_partitions_revoked({AT})
    await consumer._hand_over()
    consumer.while_reading = nothing
    await consumer._hand_over()
    assert consumer.taken == []


async def test_a_seek_to_a_place_begins_there_at_once(consumer: MemoryConsumer) -> None:
    await consumer.begin()
    consumer.while_reading = lambda: consumer.seek(AT, 8)
    await consumer._hand_over()
    consumer.while_reading = nothing
    await consumer._hand_over()
    assert consumer.taken == [8, 9]


async def test_a_seek_for_an_assignment_that_is_already_gone_begins_nothing(consumer: MemoryConsumer) -> None:
    """Faust asks for one where the generation is still the same, while the next is being negotiated."""
    await consumer.on_partitions_revoked({AT})
    await consumer.perform_seek()
    await consumer.on_partitions_assigned({AT})
    await consumer._hand_over()
    assert consumer.taken == []


async def test_what_was_read_before_a_seek_is_not_handed_over_after_it(consumer: MemoryConsumer) -> None:
    await consumer.begin()
    await consumer.seek_wait({AT: 6})
    consumer.while_reading = consumer.begin
    await consumer._hand_over()
    assert consumer.taken == []
    consumer.while_reading = nothing
    await consumer._hand_over()
    assert consumer.taken == list(range(10))


async def test_a_seek_while_entries_are_taken_moves_no_mark(consumer: MemoryConsumer) -> None:
    await consumer.begin()
    consumer.while_taking = consumer.begin
    await consumer._hand_over()
    assert await consumer.position(AT) == 0
    consumer.while_taking = nothing
    await consumer._hand_over()
    assert consumer.taken == [*range(10), *range(10)]


async def test_what_was_handed_over_before_reading_began_anew_has_another_number(consumer: MemoryConsumer) -> None:
    await consumer.begin()
    numbers = [consumer.reading]
    for begins_anew in (
        lambda: consumer.on_partitions_revoked({AT}),
        lambda: consumer.on_partitions_assigned({AT}),
        consumer.perform_seek,
        consumer.seek_to_committed,
    ):
        await begins_anew()
        numbers.append(consumer.reading)
    assert len(set(numbers)) == len(numbers)
    await consumer._hand_over()
    assert consumer.reading == numbers[-1]


async def test_nothing_is_read_before_there_is_room_for_it(consumer: MemoryConsumer) -> None:
    await consumer.begin()
    consumer.while_full = lambda: consumer.begin()  # partitions go and come back while it waits
    await consumer._hand_over()
    assert consumer.taken == list(range(10))
    consumer.entries.append(10)
    consumer.while_full = lambda: consumer.on_partitions_revoked({AT})
    await consumer._hand_over()
    assert consumer.taken == list(range(10))


async def test_a_seek_that_an_assignment_overtook_sets_nothing(consumer: MemoryConsumer) -> None:
    async def overtake() -> None:
        consumer.while_asking = nothing
        consumer.committed = 7  # another owner went on meanwhile
        await consumer.begin()

    consumer.while_asking = overtake
    await consumer.begin()
    assert await consumer.position(AT) == 7
    assert consumer.ack(7) == 8


async def test_a_seek_that_a_revocation_overtook_begins_nothing(consumer: MemoryConsumer) -> None:
    consumer.while_asking = consumer.rebalance
    await consumer.perform_seek()
    await consumer._hand_over()
    assert consumer.taken == []


async def test_what_is_missing_in_the_log_is_told_and_does_not_hold_up_commits() -> None:
    consumer = MemoryConsumer({3, 4, 8})
    consumer.committed = 1
    await consumer.begin()
    await consumer._hand_over()
    assert consumer.gaps == [(0, 5)]
    assert consumer.ack(3) == 4
    consumer._committed_offset[AT] = 4
    assert consumer.ack(4, 8) == 9


@pytest.mark.parametrize("committed", [0, 5])
async def test_acks_count_from_the_committed_offset_on(consumer: MemoryConsumer, committed: int) -> None:
    consumer.committed = committed
    await consumer.begin()
    assert consumer.ack(committed + 1, committed + 2) is None
    assert consumer.ack(committed) == committed + 3


async def test_what_was_acked_of_a_former_reading_does_not_count(consumer: MemoryConsumer) -> None:
    await consumer.begin()
    assert consumer.ack(1, 2) is None
    await consumer.perform_seek()
    assert consumer.ack(0) == 1


async def test_nothing_is_committed_before_the_first_seek(consumer: MemoryConsumer) -> None:
    await consumer.rebalance()
    assert consumer.ack(0, 1) is None

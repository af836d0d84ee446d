"""The spool: nothing waits, nothing is lost while there is room, and order survives."""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import Callable, Sequence
from pathlib import Path

import pytest

from eventlog.disk_queue import FIRST_SEGMENT, DiskQueue
from eventlog.port import Position, Record
from eventlog.spool import MAX_BATCH_RECORDS, RECORD_OVERHEAD_BYTES, Spool
from personalization.errors import InvalidInput, Unavailable


class FakeLog:
    """A log that can go away, and that refuses values it finds indigestible."""

    def __init__(self) -> None:
        self.away = False
        self.values: list[bytes] = []
        self.n_calls = 0

    async def append(self, records: Sequence[Record]) -> list[Position]:
        self.n_calls += 1
        await asyncio.sleep(0)
        if self.away:
            raise Unavailable("away")
        if any(record.value == b"indigestible" for record in records):
            raise InvalidInput("value", "cannot be eaten")
        self.values += [record.value for record in records]
        return [Position(record.topic, 0, 0) for record in records]


def record(i: int, size: int = 0) -> Record:
    return Record("decisions", f"v{i}", str(i).encode() + b"." * size)


def numbers(log: FakeLog) -> list[int]:
    return [int(value.rstrip(b".")) for value in log.values]


def names_in(directory: Path) -> list[str]:
    return sorted(path.name for path in directory.iterdir())


def emptied(queue: DiskQueue) -> list[Record]:
    found = []
    while len(queue):
        found += queue.peek(100, 10**6)
        queue.advance()
    return found


async def until(condition: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 10
    while not condition():
        assert time.monotonic() < deadline
        await asyncio.sleep(0.001)


def spool_on(log: FakeLog, directory: Path, *, memory: int = 10**7, disk: int = 10**8) -> Spool:
    spool = Spool(log, DiskQueue(directory, disk), max_memory_bytes=memory, linger_s=0)
    spool.start()
    return spool


async def test_records_arrive_in_order_and_in_batches(tmp_path: Path) -> None:
    log = FakeLog()
    spool = spool_on(log, tmp_path)
    for i in range(1000):
        assert spool.put(record(i))
    assert await spool.drain(5) == 0
    assert numbers(log) == list(range(1000))
    assert log.n_calls <= 1000 // MAX_BATCH_RECORDS + 1
    assert (spool.n_put, spool.n_appended, spool.n_waiting) == (1000, 1000, 0)


async def test_it_waits_for_a_log_that_is_away(tmp_path: Path) -> None:
    log = FakeLog()
    log.away = True
    spool = spool_on(log, tmp_path)
    spool.put(record(1))
    await until(lambda: spool.n_retries >= 2)
    spool.put(record(2))
    log.away = False
    await until(lambda: spool.n_appended == 2)
    assert numbers(log) == [1, 2]
    await spool.drain(1)


async def test_memory_overflows_to_disk_and_order_is_kept(tmp_path: Path) -> None:
    log = FakeLog()
    log.away = True
    spool = spool_on(log, tmp_path, memory=100 * (100 + RECORD_OVERHEAD_BYTES))
    for i in range(2000):
        assert spool.put(record(i, 90))
        if i % 100 == 0:
            await asyncio.sleep(0)
    assert spool.n_spilled > 1500
    assert spool.n_waiting == 2000
    log.away = False
    for i in range(2000, 2100):
        spool.put(record(i))
        await asyncio.sleep(0)
    assert await spool.drain(10) == 0
    assert numbers(log) == list(range(2100))


async def test_with_memory_and_disk_full_it_drops_and_counts(tmp_path: Path) -> None:
    log = FakeLog()
    log.away = True
    spool = spool_on(log, tmp_path, memory=10 * (100 + RECORD_OVERHEAD_BYTES), disk=3000)
    kept = [i for i in range(200) if spool.put(record(i, 90))]
    assert spool.n_dropped == 200 - len(kept) > 0
    assert spool.n_put == len(kept) == spool.n_waiting
    log.away = False
    assert await spool.drain(5) == 0
    assert numbers(log) == kept


async def test_what_is_left_at_shutdown_goes_first_after_the_restart(tmp_path: Path) -> None:
    log = FakeLog()
    log.away = True
    spool = spool_on(log, tmp_path)
    for i in range(50):
        spool.put(record(i))
    await until(lambda: spool.n_retries >= 1)
    for i in range(50, 700):
        spool.put(record(i))
    assert await spool.drain(0.1) == 700
    log.away = False
    again = spool_on(log, tmp_path)
    assert again.n_restored == 700
    again.put(record(700))
    assert await again.drain(5) == 0
    assert numbers(log) == list(range(701))
    assert not any(name.endswith(".spool") for name in names_in(tmp_path))


async def test_a_record_the_log_never_takes_is_counted_and_does_not_block(tmp_path: Path) -> None:
    log = FakeLog()
    spool = spool_on(log, tmp_path)
    spool.put(record(1))
    spool.put(Record("decisions", "v", b"indigestible"))
    spool.put(record(2))
    assert await spool.drain(5) == 0
    assert numbers(log) == [1, 2]
    assert (spool.n_rejected, spool.n_appended) == (1, 2)


class DeafLog(FakeLog):
    """Takes its time, and drops a cancellation that comes meanwhile, as ``asyncio.wait_for`` once did."""

    async def append(self, records: Sequence[Record]) -> list[Position]:
        with contextlib.suppress(asyncio.CancelledError):
            await asyncio.sleep(0.3)
        return await super().append(records)


async def test_draining_ends_in_time_though_a_call_dropped_the_cancellation(tmp_path: Path) -> None:
    log = DeafLog()
    spool = spool_on(log, tmp_path)
    n = 40 * MAX_BATCH_RECORDS  # twelve seconds' worth
    for i in range(n):
        spool.put(record(i))
    began = time.monotonic()
    left = await spool.drain(0.1)
    assert time.monotonic() - began < 3
    assert left == n - len(log.values) > 0
    again = spool_on(FakeLog(), tmp_path)
    assert again.n_restored == left
    await again.drain(5)


async def test_a_drained_spool_takes_nothing_more(tmp_path: Path) -> None:
    spool = spool_on(FakeLog(), tmp_path)
    await spool.drain(1)
    assert not spool.put(record(1))
    assert spool.n_dropped == 1


async def test_each_process_has_a_directory_of_its_own(tmp_path: Path) -> None:
    log = FakeLog()
    first = Spool.below(log, tmp_path)
    second = Spool.below(log, tmp_path)
    assert names_in(tmp_path) == ["0", "1"]
    await first.drain(1)
    third = Spool.below(log, tmp_path)
    assert names_in(tmp_path) == ["0", "1"]
    await second.drain(1)
    await third.drain(1)


class TestDiskQueue:
    def test_survives_its_process(self, tmp_path: Path) -> None:
        queue = DiskQueue(tmp_path, 10**6)
        assert queue.push([record(i) for i in range(10)]) == 10
        assert queue.peek(4, 10**6) == [record(i) for i in range(4)]
        queue.advance()
        queue.close()
        again = DiskQueue(tmp_path, 10**6)
        assert len(again) == 6
        assert again.peek(100, 10**6) == [record(i) for i in range(4, 10)]
        again.close()

    def test_what_was_not_advanced_over_comes_again(self, tmp_path: Path) -> None:
        queue = DiskQueue(tmp_path, 10**6)
        queue.push([record(1), record(2)])
        queue.peek(1, 10**6)
        queue.close()
        again = DiskQueue(tmp_path, 10**6)
        assert again.peek(9, 10**6) == [record(1), record(2)]
        again.close()

    @pytest.mark.parametrize("cut", [1, 7, 9, 20])
    def test_a_torn_tail_costs_only_itself(self, tmp_path: Path, cut: int) -> None:
        queue = DiskQueue(tmp_path, 10**6)
        queue.push([record(1), record(2), record(3, 30)])
        queue.close()
        path = tmp_path / f"{FIRST_SEGMENT:012d}.spool"
        path.write_bytes(path.read_bytes()[:-cut])
        again = DiskQueue(tmp_path, 10**6)
        assert again.corrupt_bytes > 0
        again.push([record(4)])
        assert emptied(again) == [record(1), record(2), record(4)]
        again.close()

    def test_a_flipped_bit_is_noticed(self, tmp_path: Path) -> None:
        queue = DiskQueue(tmp_path, 10**6)
        queue.push([record(1), record(2, 50)])
        queue.close()
        path = tmp_path / f"{FIRST_SEGMENT:012d}.spool"
        data = bytearray(path.read_bytes())
        data[-5] ^= 1
        path.write_bytes(data)
        again = DiskQueue(tmp_path, 10**6)
        assert again.peek(9, 10**6) == [record(1)]
        again.close()

    def test_is_bounded_and_segments_that_were_read_make_room(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr("eventlog.disk_queue.SEGMENT_BYTES", 300)
        queue = DiskQueue(tmp_path, 1000)
        n = 0
        while queue.push([record(n, 50)]):
            n += 1
        assert queue.n_bytes <= 1000
        assert len(list(tmp_path.glob("*.spool"))) > 1
        queue.peek(6, 10**6)
        queue.advance()
        assert queue.push([record(n, 50)]) == 1
        queue.close()

    def test_a_batch_put_in_front_comes_first_even_into_a_half_read_queue(self, tmp_path: Path) -> None:
        queue = DiskQueue(tmp_path, 10**6)
        queue.push([record(1), record(2)])
        queue.peek(1, 10**6)
        queue.advance()
        queue.push_front([record(0)])
        queue.close()
        again = DiskQueue(tmp_path, 10**6)
        assert emptied(again) == [record(0), record(2)]
        again.close()

    def test_a_record_larger_than_a_read_is_read_all_the_same(self, tmp_path: Path) -> None:
        queue = DiskQueue(tmp_path, 10**6)
        queue.push([record(1, 5000), record(2)])
        assert queue.peek(9, 100) == [record(1, 5000)]
        queue.advance()
        assert queue.peek(9, 100) == [record(2)]
        queue.close()

    def test_one_process_at_a_time(self, tmp_path: Path) -> None:
        queue = DiskQueue(tmp_path, 10**6)
        with pytest.raises(Unavailable, match="another process"):
            DiskQueue(tmp_path, 10**6)
        queue.close()

"""The spool: nothing waits, nothing is lost while there is room, and order survives."""

from __future__ import annotations

import asyncio
import contextlib
import statistics
import threading
import time
from collections.abc import Sequence
from pathlib import Path
from typing import cast

import pytest

from eventlog.backlog import RECORD_OVERHEAD_BYTES
from eventlog.disk_queue import DiskQueue
from eventlog.port import EventLog, LogIdentity, LogPosition, Record
from eventlog.record_batch import MAX_BATCH_RECORDS
from eventlog.spool import LINGER_S, Spool
from personalization.errors import Refused
from tests.running import eventually
from tests.unit.eventlog.spooling import FakeLog, SpoolOn, numbers, record, segments_in


def on_disk(directory: Path) -> list[int]:
    """What a process that came now would find there."""
    found = []
    for path in segments_in(directory):
        data = path.read_bytes()
        (directory / "copy").mkdir(exist_ok=True)
        (directory / "copy" / path.name).write_bytes(data)
    with contextlib.suppress(FileNotFoundError):
        queue = DiskQueue(directory / "copy", 10**9)
        found = [int(r.value.rstrip(b".")) for r in queue.peek(10**6, 10**9)]
        for path in (directory / "copy").iterdir():
            path.unlink()
        (directory / "copy").rmdir()
    return found


async def test_records_arrive_in_order_and_in_batches(spool_on: SpoolOn) -> None:
    log = FakeLog()
    spool = spool_on(log)
    for i in range(1000):
        assert spool.put(record(i))
    assert await spool.drain(5) == 0
    assert numbers(log) == list(range(1000))
    assert log.n_calls <= 1000 // MAX_BATCH_RECORDS + 1
    assert (spool.n_put, spool.n_appended, spool.n_waiting) == (1000, 1000, 0)


async def test_records_that_are_put_within_a_moment_share_an_append(tmp_path: Path) -> None:
    log = FakeLog()
    spool = Spool(cast(EventLog, log), tmp_path, linger_s=0.2)
    running = asyncio.create_task(spool.run())
    for i in range(5):
        spool.put(record(i))
        await asyncio.sleep(0.001)
    await eventually(lambda: spool.n_appended == 5)
    assert log.n_calls == 1
    await spool.drain(5)
    await running


async def test_a_full_batch_waits_for_no_company(tmp_path: Path) -> None:
    log = FakeLog()
    spool = Spool(cast(EventLog, log), tmp_path, linger_s=3600)
    running = asyncio.create_task(spool.run())
    await asyncio.sleep(0)
    for i in range(MAX_BATCH_RECORDS):
        spool.put(record(i))
    await eventually(lambda: spool.n_appended == MAX_BATCH_RECORDS)
    spool.put(record(0))
    assert await spool.drain(5) == 0, "and what closes waits for none"
    await running


async def test_it_waits_for_a_log_that_is_away(spool_on: SpoolOn) -> None:
    log = FakeLog()
    log.away = True
    spool = spool_on(log)
    spool.put(record(1))
    await eventually(lambda: spool.n_retries >= 2)
    spool.put(record(2))
    log.away = False
    await eventually(lambda: spool.n_appended == 2)
    assert numbers(log) == [1, 2]


@pytest.mark.parametrize("linger_s", [0, LINGER_S])
@pytest.mark.parametrize("how", ["away", "hanging"])
async def test_what_could_not_be_appended_is_on_disk_at_once(
    spool_on: SpoolOn, tmp_path: Path, how: str, linger_s: float
) -> None:
    """A process that is killed loses what it was given in the last 50 ms, and nothing that is older."""
    log = FakeLog()
    if how == "away":
        log.away = True
    else:
        log.hangs.clear()
    spool = spool_on(log, linger_s=linger_s)
    began = 0.0
    for i in range(500):
        spool.put(record(i))
        began = time.monotonic()
        if i % 10 == 0:
            await asyncio.sleep(0)
    await eventually(lambda: on_disk(tmp_path / "0") == list(range(500)))
    assert time.monotonic() - began < 2.0  # 0.05 on a quiet machine
    log.away = False
    log.hangs.set()
    await eventually(lambda: spool.n_waiting == 0)
    assert numbers(log) == list(range(500)), "the batch under way went to disk too, and is not appended twice"


async def test_a_log_that_takes_everything_never_touches_the_disk(
    spool_on: SpoolOn, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("eventlog.spool.OLD_S", 1.0)  # a busy machine may take longer than usual to append
    log = FakeLog()
    spool = spool_on(log)
    for i in range(300):
        spool.put(record(i))
        await asyncio.sleep(0)
    await eventually(lambda: spool.n_appended == 300)
    assert (spool.n_spilled, segments_in(tmp_path)) == (0, [])


async def test_order_is_kept_by_way_of_memory_and_disk(spool_on: SpoolOn) -> None:
    log = FakeLog()
    spool = spool_on(log)
    for i in range(6000):
        log.away = i // 500 % 2 == 1
        assert spool.put(record(i, 90))
        if i % 20 == 0:
            await asyncio.sleep(0.001)
    assert spool.n_spilled > 500
    log.away = False
    assert await spool.drain(20) == 0
    assert numbers(log) == list(range(6000))


async def test_with_memory_and_disk_full_it_drops_and_counts(spool_on: SpoolOn) -> None:
    log = FakeLog()
    log.away = True
    spool = spool_on(log, memory=10 * (100 + RECORD_OVERHEAD_BYTES), disk=3000)
    kept = []
    for i in range(200):
        if spool.put(record(i, 90)):
            kept.append(i)
        await asyncio.sleep(0.001)
    assert 10 < len(kept) < 200
    assert spool.n_dropped == 200 - len(kept)
    assert spool.n_put == len(kept) == spool.n_waiting
    log.away = False
    assert await spool.drain(5) == 0
    assert numbers(log) == kept


async def test_what_is_left_at_shutdown_goes_first_after_the_restart(spool_on: SpoolOn, tmp_path: Path) -> None:
    log = FakeLog()
    log.away = True
    spool = spool_on(log)
    for i in range(50):
        spool.put(record(i))
    await eventually(lambda: spool.n_retries >= 1)
    for i in range(50, 700):
        spool.put(record(i))
    assert await spool.drain(0.1) == 700
    log.away = False
    again = spool_on(log)
    assert again.n_restored == 700
    again.put(record(700))
    assert await again.drain(5) == 0
    assert numbers(log) == list(range(701))
    assert segments_in(tmp_path) == []


async def test_a_record_the_log_never_takes_is_counted_and_does_not_block(spool_on: SpoolOn) -> None:
    log = FakeLog()
    spool = spool_on(log)
    spool.put(record(1))
    spool.put(Record("decisions", "v", b"indigestible"))
    spool.put(record(2))
    assert await spool.drain(5) == 0
    assert numbers(log) == [1, 2]
    assert (spool.n_rejected, spool.n_appended) == (1, 2)


async def test_nor_does_it_from_disk(spool_on: SpoolOn) -> None:
    log = FakeLog()
    log.away = True
    spool = spool_on(log)
    for i in range(20):
        spool.put(Record("decisions", "v", b"indigestible") if i == 7 else record(i))
    await eventually(lambda: spool.n_spilled == 20)
    log.away = False
    await eventually(lambda: spool.n_waiting == 0)
    assert numbers(log) == [i for i in range(20) if i != 7]
    assert (spool.n_rejected, spool.n_appended) == (1, 19)


async def test_it_goes_on_as_soon_as_another_append_succeeds(
    spool_on: SpoolOn, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Decisions enter a log that has room again as soon as the events do that follow them."""
    monkeypatch.setattr("eventlog.spool.LAST_RETRY_S", 60.0)
    log = FakeLog()
    log.away = True
    spool = spool_on(log)
    spool.put(record(1))
    await eventually(lambda: spool.n_retries >= 8)  # by now it waits for seconds
    log.away = False
    await log.append([record(2)])
    await eventually(lambda: spool.n_appended == 1, bound_s=1.0)


async def test_it_never_waits_long_by_itself(spool_on: SpoolOn) -> None:
    log = FakeLog()
    log.away = True
    spool = spool_on(log)
    spool.put(record(1))
    await eventually(lambda: spool.n_retries >= 8)
    log.away = False
    await eventually(lambda: spool.n_appended == 1, bound_s=1.0)


class DeafLog(FakeLog):
    """Takes its time, and drops a cancellation that comes meanwhile, as ``asyncio.wait_for`` once did."""

    async def append(self, records: Sequence[Record], only_in: LogIdentity | None = None) -> list[LogPosition]:
        with contextlib.suppress(asyncio.CancelledError):
            await asyncio.sleep(0.3)
        return await super().append(records)


async def test_draining_ends_in_time_though_a_call_dropped_the_cancellation(tmp_path: Path) -> None:
    log = DeafLog()
    spool = Spool(cast(EventLog, log), tmp_path)
    running = asyncio.create_task(spool.run())
    n = 40 * MAX_BATCH_RECORDS  # twelve seconds' worth
    for i in range(n):
        spool.put(record(i))
    await asyncio.sleep(0)
    began = time.monotonic()
    running.cancel()
    left = await spool.drain(0.1)
    assert time.monotonic() - began < 3
    assert left == n - len(log.values) > 0
    await asyncio.wait([running])
    again = Spool(cast(EventLog, FakeLog()), tmp_path)
    assert again.n_restored == left
    await again.drain(5)


async def test_a_drained_spool_takes_nothing_more(spool_on: SpoolOn) -> None:
    spool = spool_on(FakeLog())
    await spool.drain(1)
    assert not spool.put(record(1))
    assert spool.n_dropped == 1


class TestRestarts:
    """Its work may end by an exception at any moment: whoever starts it again goes on where it was."""

    async def test_a_log_that_raises_what_nobody_expected_is_tried_again(self, spool_on: SpoolOn) -> None:
        class Broken(FakeLog):
            async def append(
                self, records: Sequence[Record], only_in: LogIdentity | None = None
            ) -> list[LogPosition]:
                if self.n_calls < 3:
                    self.n_calls += 1
                    raise Refused("somebody wrote into the log") if self.n_calls == 2 else ZeroDivisionError
                return await super().append(records)

        log = Broken()
        spool = spool_on(log)
        for i in range(5):
            spool.put(record(i))
        await eventually(lambda: spool.n_appended == 5)
        assert numbers(log) == list(range(5))

    async def test_work_that_broke_in_the_middle_is_done_once(
        self, spool_on: SpoolOn, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        n_broken = 0
        advance = DiskQueue.advance

        def breaks(self: DiskQueue, n_records: int) -> None:
            nonlocal n_broken
            n_broken += 1
            if n_broken in (1, 3):
                raise ZeroDivisionError
            advance(self, n_records)

        monkeypatch.setattr(DiskQueue, "advance", breaks)
        log = FakeLog()
        log.away = True
        spool = spool_on(log, memory=10**6)
        for i in range(2000):
            spool.put(record(i))
        await eventually(lambda: spool.n_spilled == 2000)
        log.away = False
        await eventually(lambda: spool.n_waiting == 0 and n_broken > 3)
        assert list(dict.fromkeys(numbers(log))) == list(range(2000))
        assert len(log.values) <= 2000 + 2 * MAX_BATCH_RECORDS

    async def test_what_the_log_took_is_forgotten_once_though_the_work_was_cancelled_meanwhile(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        push, may_write = DiskQueue.push, threading.Event()

        def slow(self: DiskQueue, records: Sequence[Record]) -> int:
            may_write.wait(10)
            return push(self, records)

        monkeypatch.setattr(DiskQueue, "push", slow)
        log = FakeLog()
        log.hangs.clear()
        spool = Spool(cast(EventLog, log), tmp_path, linger_s=0)
        running = asyncio.create_task(spool.run())
        for i in range(20):
            spool.put(record(i))
        await eventually(lambda: log.n_calls == 1)
        await asyncio.sleep(0.1)  # what hangs is on its way to disk, which takes its time
        log.hangs.set()
        await eventually(lambda: len(log.values) == 20)
        running.cancel()
        await asyncio.gather(running, return_exceptions=True)
        for i in range(20, 60):
            spool.put(record(i))
        running = asyncio.create_task(spool.run())
        await asyncio.sleep(0.1)
        for i in range(60, 100):
            spool.put(record(i))
        may_write.set()
        await eventually(lambda: spool.n_waiting == 0)
        assert await spool.drain(10) == 0
        await running
        assert list(dict.fromkeys(numbers(log))) == list(range(100))

    async def test_cancelled_in_any_moment_nothing_is_lost(self, tmp_path: Path) -> None:
        log = FakeLog()
        spool = Spool(cast(EventLog, log), tmp_path, linger_s=0)
        n = 0
        for turn in range(120):
            log.away = turn % 4 == 0
            running = asyncio.create_task(spool.run())
            for _ in range(turn % 7 * 20):
                spool.put(record(n))
                n += 1
            for _ in range(turn % 11):
                await asyncio.sleep(0)
            await asyncio.sleep(0.001 * (turn % 30))
            running.cancel()
            await asyncio.gather(running, return_exceptions=True)
        log.away = False
        assert await spool.drain(10) == 0
        assert list(dict.fromkeys(numbers(log))) == list(range(n))


async def test_no_step_of_it_holds_up_the_event_loop(spool_on: SpoolOn) -> None:
    """Disk work is done beside the loop, in small steps: 10 MB in one piece would take some 50 ms."""
    log = FakeLog()
    log.away = True
    spool = spool_on(log, memory=10**8)
    for i in range(20_000):
        spool.put(record(i, 300))
    turns: list[float] = []
    while spool.n_spilled < 20_000:
        began = time.perf_counter()
        await asyncio.sleep(0)
        turns.append(time.perf_counter() - began)
    assert len(turns) > 100
    assert statistics.median(turns) < 0.002
    assert statistics.quantiles(turns, n=20)[-1] < 0.02, "the bound is generous for busy machines"


async def test_an_event_is_appended_behind_the_decision_that_lingers(tmp_path: Path) -> None:
    log = FakeLog()
    spool = Spool(cast(EventLog, log), tmp_path, linger_s=30)
    running = asyncio.create_task(spool.run())
    await asyncio.sleep(0)
    assert not spool.hurry(), "nothing lingers"
    spool.put(record(1))
    await eventually(spool.hurry)
    await asyncio.sleep(0)
    await log.append([record(2)])
    assert numbers(log) == [1, 2]
    await spool.drain(5)
    await running

"""What waits for the log: in order, in memory or on disk, through the end of the process and of files."""

from __future__ import annotations

import random
from collections.abc import AsyncIterator, Callable
from pathlib import Path

import pytest

from eventlog.backlog import RECORD_OVERHEAD_BYTES, Backlog
from eventlog.disk_queue import DiskQueue
from eventlog.file_thread import FileThread
from eventlog.port import Record
from tests.unit.eventlog.spooling import record

BacklogOn = Callable[..., Backlog]


@pytest.fixture
async def thread() -> AsyncIterator[FileThread]:
    made = FileThread("spool")
    yield made
    made.close()


@pytest.fixture
def backlog_on(tmp_path: Path, thread: FileThread) -> BacklogOn:
    return lambda memory=10**7, disk=10**8: Backlog(tmp_path, memory, disk, thread)


def numbers_of(records: list[Record]) -> list[int]:
    return [int(r.value.rstrip(b".")) for r in records]


async def taken(backlog: Backlog) -> list[int]:
    """All that waits, as the log would take it."""
    found: list[int] = []
    while batch := await backlog.head(7, 10**6):
        found += numbers_of(batch)
        await backlog.settle(len(batch))
    return found


async def test_a_copy_on_disk_goes_to_the_log_from_memory(
    backlog_on: BacklogOn, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    backlog = backlog_on()
    for i in range(100):
        backlog.put(record(i))
    await backlog.copy()
    assert (backlog.n_spilled, backlog.n_in_memory, len(backlog)) == (100, 100, 100)
    batch = await backlog.head(60, 10**6)
    monkeypatch.setattr(DiskQueue, "_read", None)  # whoever reads the disk now fails
    await backlog.settle(len(batch))
    assert numbers_of(await backlog.head(10**6, 10**6)) == list(range(60, 100))
    monkeypatch.undo()
    await backlog.sweep()
    assert [int(r.value) for r in DiskQueue(tmp_path / "0", 10**9).peek(10**6, 10**9)] == list(range(60, 100))


async def test_only_the_oldest_are_copied_where_so_many_are_asked_for(backlog_on: BacklogOn) -> None:
    backlog = backlog_on()
    for i in range(500):
        backlog.put(record(i))
    await backlog.copy(300)
    await backlog.copy(300)
    assert backlog.n_spilled == 300
    await backlog.copy(301)
    assert backlog.n_spilled == 301


async def test_copies_make_room_once_a_quarter_of_memory_is_used(backlog_on: BacklogOn) -> None:
    backlog = backlog_on(memory=100 * (RECORD_OVERHEAD_BYTES + 2))
    for i in range(10, 34):
        backlog.put(record(i))
    await backlog.copy()
    assert backlog.n_in_memory == 24
    for i in range(34, 40):
        backlog.put(record(i))
    await backlog.copy()
    assert (backlog.n_in_memory, backlog.fill_share < 0.01) == (0, True)
    assert await taken(backlog) == list(range(10, 40))


async def test_what_the_log_took_comes_again_where_the_process_died_before_the_disk_knew(
    backlog_on: BacklogOn, thread: FileThread, tmp_path: Path
) -> None:
    backlog = backlog_on()
    for i in range(10):
        backlog.put(record(i))
    await backlog.copy()
    await backlog.settle(4)
    left = DiskQueue(tmp_path / "0", 10**9)  # what a process that came now would find
    assert len(left) == 10
    await backlog.sweep()
    left = DiskQueue(tmp_path / "0", 10**9)
    assert len(left) == 6


async def test_a_damaged_file_costs_no_record_that_is_in_memory(backlog_on: BacklogOn, tmp_path: Path) -> None:
    backlog = backlog_on(memory=100 * (RECORD_OVERHEAD_BYTES + 2))
    for i in range(10, 50):
        backlog.put(record(i))
    await backlog.copy()
    assert backlog.n_in_memory == 0
    for i in range(50, 70):
        backlog.put(record(i))
    await backlog.copy()
    assert backlog.n_in_memory == 20
    (file,) = (tmp_path / "0").glob("*.spool")
    file.write_bytes(b"x" * file.stat().st_size)
    assert await taken(backlog) == list(range(50, 70))
    assert backlog.n_corrupt_bytes > 0


@pytest.mark.parametrize("seed", range(40))
async def test_whatever_is_done_in_between_order_stands_and_nothing_is_lost(
    backlog_on: BacklogOn, seed: int
) -> None:
    rng = random.Random(seed)
    backlog = backlog_on(memory=rng.choice((30, 200, 10**5)) * (RECORD_OVERHEAD_BYTES + 3))
    n_put, log = 0, []
    for _ in range(400):
        match rng.randrange(6):
            case 0 | 1:
                for _ in range(rng.randrange(12)):
                    n_put += backlog.put(record(n_put))
            case 2 | 3:
                batch = await backlog.head(rng.randrange(1, 25), 10**6)
                if rng.random() < 0.3:
                    await backlog.copy()
                if rng.random() < 0.8:
                    n_taken = rng.randrange(len(batch) + 1)
                    await backlog.settle(n_taken)
                    log += numbers_of(batch[:n_taken])
            case 4:
                await backlog.copy(rng.choice((None, 1, 5, 50)))
            case _:
                await backlog.sweep()
        assert len(backlog) == n_put - len(log)
        if rng.random() < 0.02:
            assert await backlog.close() == 0
            backlog = backlog_on(memory=rng.choice((30, 10**5)) * (RECORD_OVERHEAD_BYTES + 3))
            assert backlog.n_restored == n_put - len(log)
    assert log + await taken(backlog) == list(range(n_put))

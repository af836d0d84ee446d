"""A spool whose disk takes nothing."""

from __future__ import annotations

import asyncio
import errno
import logging
from collections.abc import Callable, Sequence
from pathlib import Path

import pytest

from eventlog.backlog import RECORD_OVERHEAD_BYTES
from eventlog.disk_queue import DiskQueue
from eventlog.port import Record
from tests.running import eventually
from tests.unit.eventlog.spooling import FakeLog, SpoolOn, left_by_the_dead, numbers, record


class TestDiskFull:
    """``put`` never raises, the work goes on, and what memory has room for is appended once the log is back."""

    @pytest.fixture
    def full(self, monkeypatch: pytest.MonkeyPatch) -> list[bool]:
        """Whether the disk is full: by its one element."""
        state = [True]
        push = DiskQueue.push

        def fails(self: DiskQueue, records: Sequence[Record]) -> int:
            if state[0]:
                raise OSError(errno.ENOSPC, "No space left on device")
            return push(self, records)

        monkeypatch.setattr(DiskQueue, "push", fails)
        return state

    async def test_memory_holds_what_it_may_and_the_rest_is_dropped(
        self, spool_on: SpoolOn, full: list[bool], caplog: pytest.LogCaptureFixture
    ) -> None:
        log = FakeLog()
        log.away = True
        spool = spool_on(log, memory=100 * (100 + RECORD_OVERHEAD_BYTES))
        kept = []
        for i in range(300):
            if spool.put(record(i, 90)):
                kept.append(i)
            await asyncio.sleep(0.001)
        assert 100 <= len(kept) < 110
        assert spool.n_dropped == 300 - len(kept)
        said = [r for r in caplog.records if r.getMessage() == "spool_disk_failed"]
        assert [getattr(r, "reason", "") for r in said] == ["the disk the spool writes to is full"]
        log.away = False
        await eventually(lambda: spool.n_waiting == 0)
        spool.put(record(999))
        await eventually(lambda: spool.n_waiting == 0)
        assert numbers(log) == [*kept, 999]

    async def test_once_there_is_room_again_what_waits_goes_to_disk(
        self, spool_on: SpoolOn, full: list[bool], caplog: pytest.LogCaptureFixture
    ) -> None:
        caplog.set_level(logging.INFO)
        log = FakeLog()
        log.away = True
        spool = spool_on(log)
        for i in range(50):
            spool.put(record(i))
        await eventually(lambda: "spool_disk_failed" in caplog.messages)
        full[0] = False
        await eventually(lambda: spool.n_spilled == 50)
        assert "spool_disk_works_again" in caplog.messages

    async def test_a_directory_that_cannot_be_made_is_no_reason_not_to_start(
        self, tmp_path: Path, spool_on: SpoolOn, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr("eventlog.backlog.DISK_RETRY_S", 0.01)
        left_by_the_dead(tmp_path / "0", range(100, 103)).release()
        put_back = stand_in_the_way(tmp_path)
        log = FakeLog()
        log.away = True
        spool = spool_on(log)
        for i in range(20):
            assert spool.put(record(i))
        await eventually(lambda: spool.n_retries > 2)
        put_back()
        await eventually(lambda: spool.n_spilled == 20)
        log.away = False
        await eventually(lambda: spool.n_waiting == 0)
        assert numbers(log)[:20] == list(range(20))


def stand_in_the_way(directory: Path) -> Callable[[], None]:
    """Put a file where the directory is; returns what undoes it."""
    away = directory.with_name("away")
    directory.rename(away)
    directory.write_text("a file")

    def put_back() -> None:
        directory.unlink()
        away.rename(directory)

    return put_back

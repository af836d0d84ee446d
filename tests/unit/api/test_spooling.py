"""The spool as a background task: what ends it ends nothing else, and its filling is told in time."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from pathlib import Path

import pytest

from api.process import spooling
from api.process.spooling import SpoolWatch
from background.supervisor import TaskSupervisor
from eventlog.port import LogPosition, Record
from eventlog.spool import Spool
from personalization.errors import Unavailable
from tests.running import eventually


class FailingLog:
    """Raises what it is told to, else keeps what it gets."""

    def __init__(self) -> None:
        self.error: Exception | None = None
        self.records: list[Record] = []

    async def append(self, records: Sequence[Record]) -> list[LogPosition]:
        if self.error is not None:
            raise self.error
        self.records += records
        return []

    async def until_appended(self) -> None:
        await asyncio.Event().wait()


def record(n: int) -> Record:
    return Record("decisions", "a:1", b"%04d" % n)


async def test_a_spool_that_ended_is_started_again_and_loses_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    log = FailingLog()
    ended: list[str] = []
    fails = [RuntimeError("nobody expected this")]
    next_batch = Spool._next_batch

    async def failing(spool: Spool) -> Sequence[Record] | None:
        if fails:
            raise fails.pop()
        return await next_batch(spool)

    monkeypatch.setattr(Spool, "_next_batch", failing)
    async with TaskSupervisor(ended.append) as tasks:
        spool = Spool(log, tmp_path)  # type: ignore[arg-type]
        for n in range(20):
            assert spool.put(record(n))
        tasks.keep("spool", spool.run, may_return=True)
        await eventually(lambda: len(ended) > 0)
        assert "nobody expected this" in tasks.not_ready()["spool"]
        await eventually(lambda: len(log.records) == 20)
        assert [r.value for r in log.records] == [record(n).value for n in range(20)]
        assert spool.put(record(20))
        assert await spool.drain(5) == 0
    assert len(log.records) == 21


async def test_draining_ends_the_task_though_the_log_is_away(tmp_path: Path) -> None:
    log = FailingLog()
    log.error = Unavailable("away")
    async with TaskSupervisor() as tasks:
        spool = Spool(log, tmp_path)  # type: ignore[arg-type]
        tasks.keep("spool", spool.run, may_return=True)
        spool.put(record(0))
        await eventually(lambda: spool.n_retries > 0)
        assert await spool.drain(0.05) == 1, "kept on disk"
        await asyncio.sleep(0)
        assert tasks.restarts() == {"spool": 0}


async def test_a_spool_that_fills_is_told_before_it_is_full(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(spooling, "STUCK_S", 0.05)
    log = FailingLog()
    log.error = Unavailable("away")
    spool = Spool(log, tmp_path, max_memory_bytes=10**9, max_disk_bytes=1_000)  # type: ignore[arg-type]
    watch = SpoolWatch(spool)
    assert watch.problem() is None
    spool.put(record(0))
    watch.look()

    def stuck() -> bool:
        return "1 records wait for the log, which has taken none for" in (watch.problem() or "")

    await eventually(stuck)
    for n in range(1, 19):
        spool.put(record(n))
    await spool._backlog.copy()
    assert 0.5 < spool.fill_share < 0.9
    assert "full: 19 records wait for the log; at 100% decisions go unlogged" in (watch.problem() or "")
    await spool.drain(0)

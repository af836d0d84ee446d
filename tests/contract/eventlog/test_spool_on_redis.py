"""The spool in front of a real Redis that goes away and comes back."""

from __future__ import annotations

import asyncio
import os
import signal
from multiprocessing.connection import Connection
from pathlib import Path

import pytest

from background.supervisor import TaskSupervisor
from eventlog.port import Record
from eventlog.redis_streams import RedisStreamsLog
from eventlog.spool import Spool
from eventlog.topics import DECISIONS, VISITOR_LOG, Retention, Topics, Trim
from personalization.errors import LogFull
from state.embedded import EmbeddedRedis
from tests.forks import FORKS
from tests.requirements import require
from tests.running import eventually

pytestmark = pytest.mark.redis


async def until_appended(spool: Spool, n: int) -> None:
    await eventually(lambda: spool.n_appended >= n, f"{n} appended", bound_s=30)


async def test_an_outage_of_the_log_loses_nothing_and_keeps_the_order(tmp_path: Path) -> None:
    require("redis")
    server = EmbeddedRedis(tmp_path / "redis").start()
    log = RedisStreamsLog(server.url)
    spool = Spool(log, tmp_path / "spool")
    tasks = TaskSupervisor()
    tasks.keep("spool", spool.run)

    def put(start: int, stop: int) -> None:
        for i in range(start, stop):
            assert spool.put(Record(DECISIONS, "v", str(i).encode()))

    try:
        await log.create(1)
        put(0, 100)
        await until_appended(spool, 100)
        server.stop()
        for start in range(100, 2100, 100):
            put(start, start + 100)
            await asyncio.sleep(0)
        await eventually(lambda: spool.n_spilled >= 2000)
        server.start()
        await until_appended(spool, 2100)
        put(2100, 2200)
        await tasks.stop()
        assert await spool.drain(10) == 0
        values = [int(entry.value) async for entry in log.read(DECISIONS, 0, 0)]
        # A batch whose answer was lost may be there twice; readers know decisions by their ids.
        assert list(dict.fromkeys(values)) == list(range(2200))
        assert spool.n_dropped == 0
    finally:
        await tasks.stop()
        await log.close()
        server.stop()


N_KILLED = 500
KEPT = {VISITOR_LOG: Retention(40_000, trim=Trim.COMMITTED)}


def spool_until_killed(url: str, root: str, told: Connection) -> None:
    """The process: puts records before a log that is full, and says once they are on disk."""

    async def work() -> None:
        log = RedisStreamsLog(url, Topics("k.", KEPT), append_timeout_s=1.0)
        spool = Spool(log, Path(root))
        async with TaskSupervisor() as tasks:
            tasks.keep("spool", spool.run)
            for i in range(N_KILLED):
                spool.put(Record(VISITOR_LOG, "v", str(i).encode()))
            await eventually(lambda: spool.n_spilled == N_KILLED)
            told.send("on disk")
            await asyncio.Event().wait()

    asyncio.run(work())


async def test_what_a_killed_process_had_accepted_is_appended_by_another(redis_url: str, tmp_path: Path) -> None:
    log = RedisStreamsLog(redis_url, Topics("k.", KEPT), append_timeout_s=1.0)
    await log.create(1)
    await log.append([Record(VISITOR_LOG, "v", b"x" * 1000)] * 41)
    with pytest.raises(LogFull):
        await log.append([Record(VISITOR_LOG, "v", b"")])
    [n_full] = await log.end_offsets(VISITOR_LOG)
    heard, told = FORKS.Pipe(duplex=False)
    process = FORKS.Process(target=spool_until_killed, args=(redis_url, str(tmp_path), told), daemon=True)
    process.start()
    try:
        assert await asyncio.to_thread(heard.poll, 30)
        spool = Spool(log, tmp_path)  # a second process, say
        async with TaskSupervisor() as tasks:
            tasks.keep("spool", spool.run)
            assert process.pid is not None
            os.kill(process.pid, signal.SIGKILL)
            await asyncio.to_thread(process.join, 30)
            await log.set_trim_floor(VISITOR_LOG, 0, n_full)  # all of it was folded
            await eventually(lambda: spool.n_adopted == N_KILLED and spool.n_waiting == 0, bound_s=30)
        await spool.drain(1)
        values = [int(e.value) async for e in log.read(VISITOR_LOG, 0, n_full)]
        assert list(dict.fromkeys(values)) == list(range(N_KILLED))
    finally:
        process.kill()
        heard.close()
        told.close()
        await log.close()

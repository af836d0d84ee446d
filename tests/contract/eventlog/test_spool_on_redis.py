"""The spool in front of a real Redis that goes away and comes back."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from background.supervisor import TaskSupervisor
from eventlog.port import Record
from eventlog.redis_streams import RedisStreamsLog
from eventlog.spool import Spool
from eventlog.topics import DECISIONS
from state.embedded import EmbeddedRedis
from tests.parts import require
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

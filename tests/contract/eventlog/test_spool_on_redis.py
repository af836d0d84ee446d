"""The spool in front of a real Redis that goes away and comes back."""

from __future__ import annotations

import asyncio
import time
from pathlib import Path

import pytest

from eventlog.disk_queue import DiskQueue
from eventlog.port import Record
from eventlog.redis_streams import RedisStreamsLog
from eventlog.spool import RECORD_OVERHEAD_BYTES, Spool
from eventlog.topics import DECISIONS
from state.embedded import EmbeddedRedis
from tests.parts import require

pytestmark = pytest.mark.redis


async def until_appended(spool: Spool, n: int) -> None:
    deadline = time.monotonic() + 30
    while spool.n_appended < n:
        assert time.monotonic() < deadline, f"{spool.n_appended} of {n} appended"
        await asyncio.sleep(0.01)


async def test_an_outage_of_the_log_loses_nothing_and_keeps_the_order(tmp_path: Path) -> None:
    require("redis")
    server = EmbeddedRedis(tmp_path / "redis").start()
    log = RedisStreamsLog(server.url)
    memory = 200 * (10 + RECORD_OVERHEAD_BYTES)
    spool = Spool(log, DiskQueue(tmp_path / "spool", 10**7), max_memory_bytes=memory)
    spool.start()

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
        assert spool.n_spilled > 0
        server.start()
        await until_appended(spool, 2100)
        put(2100, 2200)
        assert await spool.drain(10) == 0
        values = [int(entry.value) async for entry in log.read(DECISIONS, 0, 0)]
        # A batch whose answer was lost may be there twice; readers know decisions by their ids.
        assert list(dict.fromkeys(values)) == list(range(2200))
        assert spool.n_dropped == 0
    finally:
        await log.close()
        server.stop()

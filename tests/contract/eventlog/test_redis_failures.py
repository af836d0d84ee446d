"""Redis that hangs, has no room, or refuses: what an append says, and how soon."""

from __future__ import annotations

import asyncio
import os
import signal
import time
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest
from redis.asyncio import Redis

from background.ports import free_port
from eventlog.port import Record
from eventlog.redis_keys import partition_keys
from eventlog.redis_streams import RedisStreamsLog
from eventlog.topics import VISITOR_LOG, Topics
from personalization.errors import Refused, StorageFull, Unavailable
from state.embedded import EmbeddedRedis
from tests.requirements import require
from tests.standing_still import stand_still

pytestmark = pytest.mark.redis

APPEND_TIMEOUT_S = 0.4


@pytest.fixture
def server(tmp_path: Path) -> Iterator[EmbeddedRedis]:
    """A Redis that a test may harm."""
    require("redis")
    with EmbeddedRedis(tmp_path / "redis") as server:
        yield server
        if server.pid is not None:
            os.kill(server.pid, signal.SIGCONT)


@pytest.fixture
async def log(server: EmbeddedRedis) -> AsyncIterator[RedisStreamsLog]:
    log = RedisStreamsLog(server.url, Topics("t."), append_timeout_s=APPEND_TIMEOUT_S)
    await log.create(1)
    yield log
    await log.close()


def one(n: int) -> list[Record]:
    return [Record(VISITOR_LOG, "v", str(n).encode())]


async def numbers(log: RedisStreamsLog) -> list[int]:
    return [int(e.value) async for e in log.read(VISITOR_LOG, 0, 0)]


async def test_an_append_to_a_redis_that_hangs_fails_in_its_own_time_however_many_wait_before_it(
    server: EmbeddedRedis, log: RedisStreamsLog
) -> None:
    await log.append(one(0))
    assert server.pid is not None
    stand_still(server.pid)
    took: list[float] = []

    async def try_once(n: int) -> None:
        began = time.monotonic()
        with pytest.raises(Unavailable, match="in time"):
            await log.append(one(n))
        took.append(time.monotonic() - began)

    tasks = []
    for n in range(1, 9):  # longer than the first call may hang
        tasks.append(asyncio.create_task(try_once(n)))
        await asyncio.sleep(0.1)
    await asyncio.gather(*tasks)
    assert max(took) < APPEND_TIMEOUT_S + 0.5
    os.kill(server.pid, signal.SIGCONT)
    async with asyncio.timeout(10):
        while True:
            try:
                await log.append(one(99))
                break
            except Unavailable:
                await asyncio.sleep(0.01)
    found = await numbers(log)
    assert found[0] == 0
    assert 99 in found
    # What was under way may have been carried out; what only waited was not sent.
    assert set(found) <= {0, 1, 2, 3, 4, 5, 6, 7, 8, 99}
    assert len(found) < 10


async def test_out_of_memory_says_so(server: EmbeddedRedis, log: RedisStreamsLog) -> None:
    async with Redis.from_url(server.url) as redis:
        await redis.config_set("maxmemory", 1)
        with pytest.raises(StorageFull, match=r"^Redis is out of memory$") as caught:
            await log.append(one(1))
        assert caught.value.public
        await redis.config_set("maxmemory", 0)
    await log.append(one(1))


async def test_a_replica_says_so(server: EmbeddedRedis, log: RedisStreamsLog) -> None:
    async with Redis.from_url(server.url) as redis:
        await redis.replicaof("127.0.0.1", str(free_port()))
        with pytest.raises(Unavailable, match="a replica and takes no writes"):
            await log.append(one(1))
        await redis.replicaof("NO", "ONE")
    await log.append(one(1))


async def test_a_disk_that_cannot_be_written_says_so(
    server: EmbeddedRedis, log: RedisStreamsLog, tmp_path: Path
) -> None:
    """Redis takes no writes after a snapshot it could not save."""
    (tmp_path / "redis" / "dump.rdb").mkdir()  # stands where the snapshot should go
    (tmp_path / "redis" / "dump.rdb" / "x").touch()
    async with Redis.from_url(server.url) as redis:
        await redis.config_set("save", "3600 1")
        await log.append(one(0))
        await redis.bgsave()
        async with asyncio.timeout(10):
            while True:
                if (await redis.info("persistence"))["rdb_last_bgsave_status"] != "ok":
                    break
                await asyncio.sleep(0.01)
        with pytest.raises(StorageFull, match=r"^the disk Redis writes to is full or cannot be written$"):
            await log.append(one(1))
        await redis.config_set("save", "")
    await log.append(one(1))


async def test_a_key_somebody_else_wrote_is_refused_and_not_waited_for(
    server: EmbeddedRedis, log: RedisStreamsLog
) -> None:
    async with Redis.from_url(server.url) as redis:
        stream = partition_keys(log.topics.on_server(VISITOR_LOG, 1), 0).stream
        await redis.set(stream, "mine")
        with pytest.raises(Refused, match=r"WRONGTYPE.*nextbest epoch open"):
            await log.append(one(1))
        await redis.delete(stream)
    await log.append(one(1))


async def test_what_waits_behind_a_call_that_failed_fails_with_it(
    server: EmbeddedRedis, log: RedisStreamsLog
) -> None:
    """Else it would stand before what its caller tries again."""
    await log.append(one(0))
    server.stop()
    tasks = [asyncio.create_task(log.append(one(1)))]
    await asyncio.sleep(0)
    await asyncio.sleep(0)  # the first is under way
    tasks += [asyncio.create_task(log.append(one(n))) for n in (2, 3)]
    done = await asyncio.gather(*tasks, return_exceptions=True)
    assert all(isinstance(result, Unavailable) for result in done), done
    server.start()
    for n in (1, 2, 3):
        await log.append(one(n))
    assert await numbers(log) == [0, 1, 2, 3]

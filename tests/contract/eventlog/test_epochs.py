"""An append names the epoch it was made for, and is refused in another: by the server, in the step that appends."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

import pytest
from redis.asyncio import Redis

from eventlog.kafka import KafkaLog
from eventlog.opening import open_log
from eventlog.port import LogEntry, Record
from eventlog.redis_keys import identity_key
from eventlog.redis_streams import RedisStreamsLog
from eventlog.topics import VISITOR_LOG, Topics
from personalization.errors import EpochClosed, Unavailable
from tests.running import eventually

AnyLog = RedisStreamsLog | KafkaLog
PATIENCE_S = 30.0


@pytest.fixture
async def operator(log: AnyLog, log_url: str) -> AsyncIterator[AnyLog]:
    """The log as another process has it: the one that opens epochs."""
    other = open_log(log_url, log.topics)
    await other.start()
    await other.identity()
    yield other
    await other.close()


async def entries(log: AnyLog) -> list[LogEntry]:
    n_partitions = (await log.identity(anew=True)).n_partitions
    return [e for p in range(n_partitions) async for e in log.read(VISITOR_LOG, p, 0)]


async def until_accepted(log: AnyLog, records: list[Record]) -> None:
    async with asyncio.timeout(PATIENCE_S):
        while True:
            try:
                await log.append(records)
                return
            except Unavailable:
                await asyncio.sleep(0.01)


def numbered(start: int, stop: int) -> list[Record]:
    return [Record(VISITOR_LOG, f"v{i % 7}", str(i).encode()) for i in range(start, stop)]


async def test_a_producer_left_running_goes_on_in_the_next_epoch(log: AnyLog, operator: AnyLog) -> None:
    await log.append(numbered(0, 10))
    old = await operator.identity()
    new = await operator.open_epoch(8)
    positions = await log.append(numbered(10, 20))
    assert await log.identity() == new != old
    assert len(positions) == 10
    assert sorted(int(e.value) for e in await entries(operator)) == list(range(10, 20))


async def test_what_was_made_for_a_log_is_refused_in_another(log: AnyLog, operator: AnyLog) -> None:
    old = await log.identity()
    await log.append(numbered(0, 10), only_in=old)
    new = await operator.open_epoch(4)
    with pytest.raises(EpochClosed, match=r"epoch 1.*epoch 2.*start again"):
        await log.append(numbered(10, 20), only_in=old)
    with pytest.raises(EpochClosed):
        await log.append(numbered(10, 20), only_in=old)
    await log.append(numbered(20, 30), only_in=new)
    assert sorted(int(e.value) for e in await entries(operator)) == list(range(20, 30))


async def test_a_closed_epoch_takes_nothing_and_keeps_what_it_has(log: AnyLog, operator: AnyLog) -> None:
    await log.append(numbered(0, 10))
    await operator.close_epoch()
    ends = await operator.end_offsets(VISITOR_LOG)
    for only_in in (None, await log.identity()):
        with pytest.raises(Unavailable, match="closed"):
            await log.append(numbered(10, 20), only_in=only_in)
    assert await operator.end_offsets(VISITOR_LOG) == ends
    assert sorted(int(e.value) for e in await entries(operator)) == list(range(10))
    await operator.reopen_epoch()
    await until_accepted(log, numbered(10, 20))
    assert sorted(int(e.value) for e in await entries(operator)) == list(range(20))


async def test_nothing_enters_an_epoch_behind_its_end_and_nothing_accepted_is_lost(
    log: AnyLog, operator: AnyLog
) -> None:
    """Appends go on all the time while an epoch is closed and the next one opened."""
    accepted: list[int] = []
    stop = asyncio.Event()

    async def produce(first: int) -> None:
        n = first
        while not stop.is_set():
            try:
                await log.append([Record(VISITOR_LOG, f"v{first}", str(n).encode())])
            except Unavailable:
                await asyncio.sleep(0.005)
                continue
            accepted.append(n)
            n += 100

    producers = [asyncio.create_task(produce(n)) for n in range(10)]
    await eventually(lambda: len(accepted) >= 100, bound_s=PATIENCE_S)
    await operator.close_epoch()
    ends = await operator.end_offsets(VISITOR_LOG)
    old = [e for p, end in enumerate(ends) async for e in operator.read(VISITOR_LOG, p, 0, end)]
    assert len(old) == sum(ends)
    await operator.open_epoch(4)
    so_far = len(accepted)
    await eventually(lambda: len(accepted) >= so_far + 100, bound_s=PATIENCE_S)
    stop.set()
    await asyncio.gather(*producers)
    new = await entries(operator)
    seen = [int(e.value) for e in (*old, *new)]
    assert set(accepted) <= set(seen)
    for first in range(10):
        mine = [n for n in dict.fromkeys(seen) if n % 100 == first]
        assert mine == sorted(mine), "each producer's records are in order, over both epochs"


async def test_identity_is_looked_up_anew_if_asked(log: AnyLog, operator: AnyLog) -> None:
    old = await log.identity()
    new = await operator.open_epoch(4)
    assert await log.identity() == old
    assert await log.identity(anew=True) == new


@pytest.mark.redis
async def test_a_log_that_was_lost_takes_nothing_until_somebody_opens_another(
    redis_url: str, namespace: str
) -> None:
    log = RedisStreamsLog(redis_url, Topics(prefix=namespace))
    try:
        lost = await log.create(2)
        await log.append(numbered(0, 5))
        async with Redis.from_url(redis_url) as redis:
            await redis.delete(identity_key(namespace))
        with pytest.raises(Unavailable, match="epoch open"):
            await log.append(numbered(5, 10))
        other = RedisStreamsLog(redis_url, Topics(prefix=namespace))
        await other.create(2)
        await other.close()
        with pytest.raises(EpochClosed):
            await log.append(numbered(5, 10), only_in=lost)
        await log.append(numbered(5, 10))
    finally:
        await log.close()

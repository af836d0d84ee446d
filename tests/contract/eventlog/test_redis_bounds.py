"""Redis Streams hold a log in memory: it is bounded, and blocks rather than forget what nobody has read.

Kafka keeps by age on disk, whoever has read it, and never blocks: there the horizon is retention (7 days).
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator
from typing import Any

import pytest
from redis.asyncio import Redis

from eventlog.port import Record, check_resumption
from eventlog.redis_keys import group_keys, partition_keys
from eventlog.redis_streams import RedisStreamsLog
from eventlog.topics import DECISIONS, OUTCOMES, VISITOR_LOG, Retention, Topics, Trim
from personalization.errors import LogFull, Refused
from stream.transports.lease import Lease

pytestmark = pytest.mark.redis

MAX_BYTES = 64_000
RECORD = b"x" * 99  # with a key of one byte: 100


@pytest.fixture
async def log(redis_url: str, namespace: str) -> AsyncIterator[RedisStreamsLog]:
    kept = {
        VISITOR_LOG: Retention(MAX_BYTES, trim=Trim.COMMITTED),
        OUTCOMES: Retention(MAX_BYTES, trim=Trim.FLOOR),
        DECISIONS: Retention(MAX_BYTES),
    }
    log = RedisStreamsLog(redis_url, Topics(namespace, kept))
    await log.create(1)
    yield log
    await log.close()


async def fill(log: RedisStreamsLog, topic: str, n: int) -> None:
    for start in range(0, n, 10):
        await log.append([Record(topic, "k", RECORD) for _ in range(min(10, n - start))])


async def test_blocks_when_full_of_what_nobody_has_folded(log: RedisStreamsLog) -> None:
    with pytest.raises(LogFull):
        await fill(log, VISITOR_LOG, 1000)
    assert await log.earliest_offsets(VISITOR_LOG) == [0]
    assert await log.end_offsets(VISITOR_LOG) == [640]


async def test_who_reads_a_full_log_may_still_append_to_it(log: RedisStreamsLog, redis_url: str) -> None:
    with pytest.raises(LogFull):
        await fill(log, VISITOR_LOG, 1000)
    reader = RedisStreamsLog(redis_url, log.topics, headroom_share=0.5)
    try:
        await fill(reader, VISITOR_LOG, 300)
        with pytest.raises(LogFull):
            await fill(reader, VISITOR_LOG, 30)
    finally:
        await reader.close()


async def test_folding_makes_room_but_only_below_the_committed_offset(log: RedisStreamsLog) -> None:
    await fill(log, VISITOR_LOG, 640)
    await log.set_trim_floor(VISITOR_LOG, 0, 333)
    with pytest.raises(LogFull):
        await fill(log, VISITOR_LOG, 1000)
    [earliest], [end] = await log.earliest_offsets(VISITOR_LOG), await log.end_offsets(VISITOR_LOG)
    assert 300 < earliest <= 333
    assert end - earliest == 640


async def test_outcomes_wait_for_the_learners_floor(log: RedisStreamsLog) -> None:
    await fill(log, OUTCOMES, 640)
    with pytest.raises(LogFull):
        await log.append([Record(OUTCOMES, "k", RECORD)])
    await log.set_trim_floor(OUTCOMES, 0, 640)
    await fill(log, OUTCOMES, 500)
    assert await log.end_offsets(OUTCOMES) == [1140]
    assert (await log.earliest_offsets(OUTCOMES))[0] <= 640


async def test_a_floor_only_rises(log: RedisStreamsLog) -> None:
    await log.set_trim_floor(OUTCOMES, 0, 100)
    await log.set_trim_floor(OUTCOMES, 0, 50)
    await fill(log, OUTCOMES, 640 + 90)
    assert (await log.earliest_offsets(OUTCOMES))[0] >= 80


async def test_topics_without_a_reader_forget_the_oldest_and_stay_in_bounds(
    log: RedisStreamsLog, redis_url: str
) -> None:
    await fill(log, DECISIONS, 3000)
    [earliest], [end] = await log.earliest_offsets(DECISIONS), await log.end_offsets(DECISIONS)
    assert end == 3000
    assert 600 <= end - earliest <= 650
    async with Redis.from_url(redis_url) as redis:
        keys = partition_keys(log.topics.on_server(DECISIONS, 1), 0)
        assert await redis.xlen(keys.stream) == end - earliest
        assert await redis.llen(keys.segments) <= 66


async def test_entries_go_by_age(redis_url: str, namespace: str) -> None:
    log = RedisStreamsLog(redis_url, Topics(namespace, {DECISIONS: Retention(max_age_ms=1)}))
    try:
        await log.create(1)
        async with Redis.from_url(redis_url) as redis:
            for _ in range(5):
                await log.append([Record(DECISIONS, "k", b"1")])
                before = await redis.time()
                while await redis.time() <= (before[0], before[1] + 3000):
                    pass  # until three milliseconds have passed
        assert (await log.earliest_offsets(DECISIONS))[0] >= 2
    finally:
        await log.close()


HOUR_MS = 3_600_000
DAY_MS = 24 * HOUR_MS


def now_ms() -> int:
    return time.time_ns() // 1_000_000


async def kept(log: RedisStreamsLog, topic: str) -> list[int]:
    return [entry.offset async for entry in log.read(topic, 0, 0)]


async def test_a_lone_entry_goes_by_age_though_nothing_follows_it(log: RedisStreamsLog, redis_url: str) -> None:
    await fill(log, DECISIONS, 1)
    began_ms = now_ms()
    for hours in (1, 3, 6 * 24, 7 * 24):  # after 7 days / 64 its segment ends
        assert await log.trim_by_age(began_ms + hours * HOUR_MS) == 0
    assert await kept(log, DECISIONS) == [0]
    assert await log.trim_by_age(began_ms + (7 * 24 + 3) * HOUR_MS) == 1
    assert await kept(log, DECISIONS) == []
    assert await log.earliest_offsets(DECISIONS) == await log.end_offsets(DECISIONS) == [1]
    assert await log.trim_by_age(began_ms + 30 * DAY_MS) == 0
    async with Redis.from_url(redis_url) as redis:
        keys = partition_keys(log.topics.on_server(DECISIONS, 1), 0)
        assert await redis.llen(keys.segments) == 1
    (position,) = await log.append([Record(DECISIONS, "k", RECORD)])
    assert (position.offset, await kept(log, DECISIONS)) == (1, [1])


async def test_what_is_young_stays_when_what_is_old_goes(log: RedisStreamsLog) -> None:
    await fill(log, DECISIONS, 15)
    began_ms = now_ms()
    await log.trim_by_age(began_ms + DAY_MS)
    await fill(log, DECISIONS, 5)
    await log.trim_by_age(began_ms + 8 * DAY_MS)
    assert await kept(log, DECISIONS) == [15, 16, 17, 18, 19]


@pytest.mark.parametrize("topic", [VISITOR_LOG, OUTCOMES])
async def test_nothing_goes_by_age_that_somebody_may_still_need(log: RedisStreamsLog, topic: str) -> None:
    await fill(log, topic, 30)
    began_ms = now_ms()
    await log.set_trim_floor(topic, 0, 25)
    for day in range(1, 20):
        await log.trim_by_age(began_ms + day * DAY_MS)
    found = await kept(log, topic)
    assert 0 < found[0] <= 25
    assert found[-1] == 29
    await log.set_trim_floor(topic, 0, 30)
    await log.trim_by_age(began_ms + 20 * DAY_MS)
    assert await kept(log, topic) == []
    assert await log.fill_share(topic) == 0.0


async def test_a_full_topic_refuses_the_whole_append_and_no_other(log: RedisStreamsLog) -> None:
    await fill(log, OUTCOMES, 640)
    before = await log.end_offsets(DECISIONS)
    with pytest.raises(LogFull):
        await log.append([Record(DECISIONS, "k", b"1"), Record(OUTCOMES, "k", b"1")])
    assert await log.end_offsets(DECISIONS) == before
    await log.append([Record(DECISIONS, "k", b"1")])


async def test_erased_entries_are_gone_and_the_rest_stays(log: RedisStreamsLog) -> None:
    await fill(log, VISITOR_LOG, 10)
    assert await log.delete(VISITOR_LOG, 0, [3, 4, 99]) == 2
    assert [e.offset async for e in log.read(VISITOR_LOG, 0, 0)] == [0, 1, 2, 5, 6, 7, 8, 9]


async def test_no_byte_of_an_erased_entry_is_left_between_its_neighbours(
    log: RedisStreamsLog, redis_url: str, namespace: str
) -> None:
    planted = b"planted-91c2"
    for value in (*[RECORD] * 250, planted, *[RECORD] * 250):
        await log.append([Record(VISITOR_LOG, "k", value)])
    stream = partition_keys(log.topics.on_server(VISITOR_LOG, 1), 0).stream
    async with Redis.from_url(redis_url) as redis:
        await redis.config_set("rdbcompression", "no")
        await log.delete(VISITOR_LOG, 0, [250])
        assert planted in (await redis.dump(stream) or b"")
        assert await log.purge(VISITOR_LOG, 0)
        assert planted not in (await redis.dump(stream) or planted)
        assert await redis.pttl(stream) == -1
        assert [name async for name in redis.scan_iter(match=f"{{{namespace}*") if b":copy:" in name] == []
        await redis.config_set("rdbcompression", "yes")
    kept = [(entry.offset, entry.value) async for entry in log.read(VISITOR_LOG, 0, 0)]
    assert kept == [(offset, RECORD) for offset in range(501) if offset != 250]
    (position,) = await log.append([Record(VISITOR_LOG, "k", b"next")])
    assert position.offset == 501
    assert await log.purge(DECISIONS, 0)  # nothing ever was


async def test_what_is_appended_and_trimmed_during_a_purge_is_as_it_would_be_without(
    log: RedisStreamsLog, redis_url: str
) -> None:
    await fill(log, DECISIONS, 600)
    stream = partition_keys(log.topics.on_server(DECISIONS, 1), 0).stream
    await log.delete(DECISIONS, 0, [300])
    purging = asyncio.create_task(log.purge(DECISIONS, 0))
    while not purging.done():
        await fill(log, DECISIONS, 20)
    assert purging.result()
    earliest, end = (await log.earliest_offsets(DECISIONS))[0], (await log.end_offsets(DECISIONS))[0]
    kept = [entry.offset async for entry in log.read(DECISIONS, 0, 0)]
    assert kept == [offset for offset in range(earliest, end) if offset != 300]
    async with Redis.from_url(redis_url) as redis:
        assert await redis.xlen(stream) == len(kept)


async def test_a_purge_that_another_overtakes_brings_nothing_back(
    log: RedisStreamsLog, monkeypatch: pytest.MonkeyPatch
) -> None:
    await fill(log, VISITOR_LOG, 300)
    copy: Any = log._copy
    erased: list[int] = []

    async def copies_and_then_somebody_erases(**arguments: Any) -> Any:
        last = await copy(**arguments)
        if not erased:
            erased.append(await log.delete(VISITOR_LOG, 0, [5]))
        return last

    monkeypatch.setattr(log, "_copy", copies_and_then_somebody_erases)
    assert await log.purge(VISITOR_LOG, 0)
    assert [e.offset async for e in log.read(VISITOR_LOG, 0, 0)] == [n for n in range(300) if n != 5]


async def test_a_commit_of_an_earlier_generation_is_refused(redis_url: str, namespace: str) -> None:
    async with Redis.from_url(redis_url) as redis:
        zombie, owner = (Lease(redis, f"{namespace}folder", ttl_s=30) for _ in range(2))
        assert await zombie.acquire() == 1
        assert await zombie.commit({"t": {0: 5}})
        await redis.delete(group_keys("", f"{namespace}folder").lease)  # it ran out
        assert await owner.acquire() == 2
        assert await owner.commit({"t": {0: 9, 1: 1}, "u": {0: 2}})
        assert not await zombie.commit({"t": {0: 7}})
        assert await redis.hgetall(group_keys("", f"{namespace}folder").committed("t")) == {
            b"0": b"9",
            b"1": b"1",
        }


async def test_a_committed_offset_beyond_the_end_is_refused(log: RedisStreamsLog, redis_url: str) -> None:
    """The streams were lost, the rest of Redis was not: an old file was restored, or keys were deleted."""
    async with Redis.from_url(redis_url) as redis:
        lease = Lease(redis, f"{log.topics.prefix}folder", ttl_s=30)
        await lease.acquire()
        assert await lease.commit({log.topics.on_server(VISITOR_LOG, 1): {0: 5}})
    await fill(log, VISITOR_LOG, 4)
    with pytest.raises(Refused, match=r"offset 5, but the log ends at 4.*nextbest epoch open"):
        await check_resumption(log, "folder", VISITOR_LOG, await log.identity())


async def test_a_lease_nobody_took_meanwhile_is_still_ours(redis_url: str, namespace: str) -> None:
    async with Redis.from_url(redis_url) as redis:
        lease = Lease(redis, f"{namespace}folder", ttl_s=0.3)
        await lease.acquire()
        await redis.delete(group_keys("", f"{namespace}folder").lease)
        assert await lease._keep(
            keys=[lease._keys.lease, lease._keys.generation], args=[lease.owner, 300, lease.generation]
        )
        assert await redis.get(lease._keys.lease) == lease.owner.encode()


async def test_the_share_that_is_full_counts_what_may_not_be_trimmed(log: RedisStreamsLog) -> None:
    assert await log.fill_share(VISITOR_LOG) == 0.0
    await fill(log, VISITOR_LOG, 320)
    assert await log.fill_share(VISITOR_LOG) == pytest.approx(0.5, abs=0.02)
    with pytest.raises(LogFull):
        await fill(log, VISITOR_LOG, 1000)
    assert await log.fill_share(VISITOR_LOG) == 1.0
    await log.set_trim_floor(VISITOR_LOG, 0, 480)
    assert await log.fill_share(VISITOR_LOG) == pytest.approx(0.25, abs=0.04)
    await log.set_trim_floor(VISITOR_LOG, 0, 640)
    assert await log.fill_share(VISITOR_LOG) == 0.0


async def test_a_topic_that_forgets_the_oldest_is_never_full(log: RedisStreamsLog) -> None:
    await fill(log, DECISIONS, 3000)
    assert await log.fill_share(DECISIONS) == 0.0


async def test_the_fullest_partition_counts(redis_url: str, namespace: str) -> None:
    log = RedisStreamsLog(redis_url, Topics(namespace, {OUTCOMES: Retention(4000, trim=Trim.FLOOR)}))
    try:
        await log.create(4)
        await log.append([Record(OUTCOMES, "k", RECORD)] * 5)
        assert await log.fill_share(OUTCOMES) == 0.5
    finally:
        await log.close()


async def test_an_append_behind_one_that_found_no_room_does_not_overtake_it(log: RedisStreamsLog) -> None:
    """All of one tick: what was refused is tried again by its caller, and must still be first then."""
    with pytest.raises(LogFull):
        await fill(log, OUTCOMES, 1000)
    first = asyncio.create_task(log.append([Record(OUTCOMES, "k", b"1"), Record(DECISIONS, "k", b"2")]))
    behind = asyncio.create_task(log.append([Record(DECISIONS, "k", b"3")]))
    for refused in (first, behind):
        with pytest.raises(LogFull):
            await refused
    assert await log.end_offsets(DECISIONS) == [0]
    await log.append([Record(DECISIONS, "k", b"3")])


async def test_an_epoch_that_is_over_goes_by_age(redis_url: str, namespace: str) -> None:
    log = RedisStreamsLog(redis_url, Topics(namespace, {DECISIONS: Retention(max_age_ms=60_000)}))
    try:
        await log.create(1)
        await log.append([Record(DECISIONS, "k", b"1")])
        await log.open_epoch(1)
        await log.append([Record(DECISIONS, "k", b"2")])
        async with Redis.from_url(redis_url) as redis:
            old, new = (partition_keys(log.topics.on_server(DECISIONS, epoch), 0) for epoch in (1, 2))
            assert all([0 < await redis.pttl(name) <= 60_000 for name in old])
            assert await redis.pttl(new.stream) == -1
    finally:
        await log.close()

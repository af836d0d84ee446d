"""What every log promises to those who append and read back."""

from __future__ import annotations

import asyncio
from collections import defaultdict

import pytest
from aiokafka.partitioner import DefaultPartitioner

from background.ports import free_port
from eventlog.kafka import KafkaLog
from eventlog.opening import open_log
from eventlog.port import EventLog, LogIdentity, Record, check_identity, check_resumption
from eventlog.redis_streams import RedisStreamsLog
from eventlog.topics import DECISIONS, OUTCOMES, VISITOR_LOG, Topics
from personalization.data_cipher import CLEAR, SEALED, DataCipher
from personalization.errors import InvalidInput, Refused, Unavailable
from tests.ciphers import new_cipher

AnyLog = RedisStreamsLog | KafkaLog


@pytest.fixture(params=["clear", "sealed"])
def cipher(request: pytest.FixtureRequest) -> DataCipher:
    """Every promise holds of a log that seals what it keeps."""
    return CLEAR if request.param == "clear" else new_cipher()


async def test_what_a_sealed_log_keeps_is_not_what_was_appended(log_url: str, namespace: str) -> None:
    log = open_log(log_url, Topics(prefix=namespace), cipher=new_cipher())
    await log.create(1)
    await log.append([Record(VISITOR_LOG, "a:1", b"planted")])
    assert await read_all(log, VISITOR_LOG) == [[(0, "a:1", b"planted")]]
    await log.close()
    plain = open_log(log_url, Topics(prefix=namespace), cipher=new_cipher())
    (((_, key, value),),) = await read_all(plain, VISITOR_LOG)
    await plain.close()
    assert key == "a:1"
    assert value.startswith(SEALED)
    assert b"planted" not in value


async def read_all(log: AnyLog, topic: str) -> list[list[tuple[int, str, bytes]]]:
    identity = await log.identity()
    return [[(e.offset, e.key, e.value) async for e in log.read(topic, p, 0)] for p in range(identity.n_partitions)]


def test_both_adapters_satisfy_the_port(log: AnyLog) -> None:
    assert isinstance(log, EventLog)


async def test_acknowledged_means_readable(log: AnyLog) -> None:
    [position] = await log.append([Record(VISITOR_LOG, "v1", b"\x00raw\xff")])
    assert [e async for e in log.read(VISITOR_LOG, position.partition, position.offset)] == [
        (position.offset, "v1", b"\x00raw\xff")
    ]


async def test_offsets_are_dense_from_zero_and_positions_tell_the_truth(log: AnyLog) -> None:
    records = [Record(VISITOR_LOG, f"visitor-{i % 37}", str(i).encode()) for i in range(500)]
    positions = await log.append(records)
    found = await read_all(log, VISITOR_LOG)
    for entries in found:
        assert [offset for offset, _, _ in entries] == list(range(len(entries)))
    for record, position in zip(records, positions, strict=True):
        assert found[position.partition][position.offset] == (position.offset, record.key, record.value)
    assert await log.end_offsets(VISITOR_LOG) == [len(entries) for entries in found]
    assert await log.earliest_offsets(VISITOR_LOG) == [0] * 4


async def test_each_key_keeps_its_order_under_concurrent_appends(log: AnyLog) -> None:
    async def visit(key: str) -> None:
        for i in range(0, 60, 3):
            await log.append([Record(VISITOR_LOG, key, str(i + n).encode()) for n in range(3)])

    await asyncio.gather(*(visit(f"visitor-{n}") for n in range(20)))
    seen: dict[str, list[int]] = defaultdict(list)
    for entries in await read_all(log, VISITOR_LOG):
        for _, key, value in entries:
            seen[key].append(int(value))
    assert len(seen) == 20
    assert all(values == list(range(60)) for values in seen.values())


async def test_appends_of_one_producer_keep_the_order_of_the_calls(log: AnyLog) -> None:
    tasks = [asyncio.create_task(log.append([Record(VISITOR_LOG, "v", str(i).encode())])) for i in range(300)]
    await asyncio.gather(*tasks)
    values = [int(value) for entries in await read_all(log, VISITOR_LOG) for _, _, value in entries]
    assert values == list(range(300))


async def test_partitions_are_those_kafka_would_choose(log: AnyLog) -> None:
    keys = [f"visitor-{i}" for i in range(200)] + ["é", "日本", "x" * 300]
    positions = await log.append([Record(VISITOR_LOG, key, b"") for key in keys])
    theirs = [DefaultPartitioner()(key.encode(), [0, 1, 2, 3], [0, 1, 2, 3]) for key in keys]
    assert [position.partition for position in positions] == theirs


async def test_one_append_may_touch_several_topics(log: AnyLog) -> None:
    positions = await log.append(
        [Record(VISITOR_LOG, "v", b"1"), Record(DECISIONS, "v", b"2"), Record(OUTCOMES, "home.hero", b"3")]
    )
    assert [p.topic for p in positions] == [VISITOR_LOG, DECISIONS, OUTCOMES]
    assert [e.value for p in positions async for e in log.read(*p)] == [b"1", b"2", b"3"]


async def test_a_range_is_read_without_its_end(log: AnyLog) -> None:
    positions = await log.append([Record(VISITOR_LOG, "v", str(i).encode()) for i in range(1200)])
    partition = positions[0].partition
    found = [e.offset async for e in log.read(VISITOR_LOG, partition, 100, 1100)]
    assert found == list(range(100, 1100))
    assert [e async for e in log.read(VISITOR_LOG, partition, 1200)] == []


async def test_create_is_idempotent_and_keeps_the_partition_count(log: AnyLog) -> None:
    identity = await log.identity()
    assert await log.create(64) == identity
    assert identity.n_partitions == 4
    assert identity.epoch == 1


async def test_another_client_sees_the_same_identity(log: AnyLog, log_url: str) -> None:
    other = open_log(log_url, log.topics)
    try:
        assert await other.identity() == await log.identity()
    finally:
        await other.close()


async def test_a_new_epoch_is_another_log_that_starts_at_zero(log: AnyLog) -> None:
    await log.append([Record(VISITOR_LOG, "v", b"old")])
    before = await log.identity()
    after = await log.open_epoch(8, after=before.epoch)
    assert (after.epoch, after.n_partitions) == (2, 8)
    assert after.log_id != before.log_id
    assert await log.end_offsets(VISITOR_LOG) == [0] * 8
    [position] = await log.append([Record(VISITOR_LOG, "v", b"new")])
    assert position.offset == 0
    with pytest.raises(Refused, match="nextbest epoch open"):
        check_identity(after, before)


async def test_an_epoch_is_never_behind_the_states(log: AnyLog) -> None:
    assert (await log.open_epoch(4, after=6)).epoch == 7


async def test_a_log_that_was_never_created_is_unavailable(log_url: str, namespace: str) -> None:
    log = open_log(log_url, Topics(prefix=f"{namespace}never."))
    try:
        with pytest.raises(Unavailable, match="created"):
            await log.identity()
    finally:
        await log.close()


@pytest.mark.parametrize("scheme", ["redis", "kafka"])
async def test_a_log_that_is_away_says_so(scheme: str) -> None:
    server = f"127.0.0.1:{free_port()}"
    log = KafkaLog(server, timeout_s=2.0) if scheme == "kafka" else RedisStreamsLog(f"redis://{server}")
    await log.start()
    try:
        with pytest.raises(Unavailable):
            await asyncio.wait_for(log.append([Record(VISITOR_LOG, "v", b"1")]), 6.0)
    finally:
        await log.close()


async def test_what_waits_to_be_written_is_bounded(log: AnyLog) -> None:
    if isinstance(log, KafkaLog):
        small: AnyLog = KafkaLog(log.servers, log.topics, max_pending_bytes=1000)
    else:
        small = RedisStreamsLog(log.url, log.topics, max_pending_bytes=1000)
    await small.start()
    try:
        with pytest.raises(Unavailable, match="already"):
            await small.append([Record(VISITOR_LOG, "v", b"x" * 2000)])
    finally:
        await small.close()


async def test_a_worker_may_go_on_in_the_log_it_knows_and_in_no_other(log: AnyLog) -> None:
    [position] = await log.append([Record(VISITOR_LOG, "v", b"1")])
    known = await check_resumption(log, "folder", VISITOR_LOG, None)
    assert await check_resumption(log, "folder", VISITOR_LOG, known, {position.partition: position.offset})
    with pytest.raises(Refused, match="the log ends at 1"):
        await check_resumption(log, "folder", VISITOR_LOG, known, {position.partition: position.offset + 1})


class TestCheckIdentity:
    here = LogIdentity(epoch=2, log_id="a", n_partitions=4)

    def test_accepts_the_same_log_read_up_to_its_end(self) -> None:
        check_identity(self.here, self.here, {0: 10, 3: 0}, [10, 0, 0, 5])
        check_identity(self.here, None)

    def test_refuses_an_offset_beyond_the_end(self) -> None:
        with pytest.raises(Refused, match=r"offset 11, but the log ends at 10.*nextbest epoch open"):
            check_identity(self.here, self.here, {0: 11}, [10, 0, 0, 5])

    def test_refuses_another_log(self) -> None:
        with pytest.raises(Refused, match="nextbest epoch open"):
            check_identity(self.here, LogIdentity(2, "b", 4))


async def test_an_empty_log_is_not_full(log: AnyLog) -> None:
    await log.append([Record(VISITOR_LOG, "v", b"1")])
    assert 0.0 <= await log.fill_share(VISITOR_LOG) < 0.01
    assert await log.fill_share(DECISIONS) == 0.0


async def test_who_waits_for_a_success_is_woken_by_one(log: AnyLog) -> None:
    waiting = asyncio.create_task(log.until_appended())
    await asyncio.sleep(0)
    assert not waiting.done()
    await log.append([Record(VISITOR_LOG, "v", b"1")])
    await asyncio.wait_for(waiting, 5.0)


async def test_what_is_wrong_with_one_append_does_not_fail_others(log: AnyLog) -> None:
    good = asyncio.create_task(log.append([Record(VISITOR_LOG, "v", b"1")]))
    for bad in (Record(VISITOR_LOG, "\ud800", b""), Record("no-such-topic", "v", b"")):
        with pytest.raises(InvalidInput):
            await log.append([bad])
    assert len(await good) == 1

"""What tests have in place of Redis, the log and the spool keeps the promises of what it stands for.

Each promise is asked of both. The checkpoints' fake has its suite in ``tests/integration/test_state_stores.py``.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
from redis.asyncio import Redis

from eventlog.partition import partition_of
from eventlog.port import Record
from eventlog.redis_streams import RedisStreamsLog
from eventlog.spool import Spool
from eventlog.topics import VISITOR_LOG, Topics
from installation.redis_clients import DeciderReads, worker_client
from online_models.placement_model import PlacementModel
from personalization.events.outcome import ClosingReason, Outcome
from personalization.visitor.choice import Choice
from personalization.visitor.folder_state import FolderState
from personalization.visitor.visitor import Visitor
from personalization.visitor.visitor_state import VisitorState
from state.attempts import Attempt, AttemptStore
from state.conversion_store import ConversionPublisher, keep_challenger
from state.keys import Keys
from state.model_store import ModelFollower, ModelPublisher, Published, read_model
from state.timers import N_BUCKETS, Look, RedisTimerStore, Timer, bucket_of, buckets_of
from state.visitor_reader import VisitorReader
from state.visitor_store import ABSENT, NEVER_SEEN, Change, RedisVisitorStore, unpack_visitor
from tests.unit.api import site as api
from tests.unit.eventlog import spooling
from tests.unit.stream.fakes import N_PARTITIONS, MemoryLog, MemoryTimers, MemoryVisitors
from tests.unit.stream.learning.test_learner import MemoryConversions, MemoryPublisher
from tests.unit.stream.test_isolation import MemoryAttempts

pytestmark = pytest.mark.redis
KEYS = Keys("t")
SECRET = b"secret"
BOTH = pytest.mark.parametrize("real", [False, True], ids=["fake", "real"])


@pytest.fixture
async def redis(redis_url: str) -> AsyncIterator[Redis]:
    client = worker_client(redis_url)
    yield client
    await client.aclose()


def at(offset: int) -> Visitor:
    visitor = Visitor(VisitorState(), FolderState())
    visitor.state.epoch, visitor.state.offset = 1, offset
    return visitor


@BOTH
async def test_visitors_are_written_only_over_what_was_read(redis: Redis, real: bool) -> None:
    store: Any = RedisVisitorStore(redis, KEYS, b"key") if real else MemoryVisitors()
    assert (await store.load(["a:1"]))["a:1"].fence == ABSENT
    assert await store.save([Change(key, NEVER_SEEN, at(3)) for key in ("a:1", "a:2")]) == []
    read = await store.load(["a:1", "a:2", "a:3"])
    assert list(read) == ["a:1", "a:2", "a:3"]
    assert await store.save([Change("a:1", read["a:1"], at(9))]) == []
    assert await store.save([Change(key, read[key], at(5)) for key in ("a:1", "a:2")]) == ["a:1"]
    after = await store.load(["a:1", "a:2"])
    assert [unpack_visitor(after[key].visitor_value).offset for key in ("a:1", "a:2")] == [9, 5]
    mine, theirs = (after["a:1"].visitor() for _ in range(2))
    mine.state.traits["plan"] = "pro"
    assert theirs.state.traits == {}, "each read is the reader's own"


@BOTH
async def test_timers_come_and_go_with_the_write_and_never_without_it(redis: Redis, real: bool) -> None:
    timers: Any = RedisTimerStore(redis, KEYS) if real else MemoryTimers()
    store: Any = RedisVisitorStore(redis, KEYS, b"key") if real else MemoryVisitors(timers)

    async def waiting() -> set[Timer]:
        return set((await timers.look(range(N_BUCKETS), 1_000, 100)).due)

    first = [Change(key, NEVER_SEEN, at(3), due_ms=(10, 20)) for key in ("a:1", "a:2")]
    assert await store.save(first) == []
    assert await waiting() == {Timer(due_ms, key) for due_ms in (10, 20) for key in ("a:1", "a:2")}
    read = await store.load(["a:1", "a:2"])
    assert await store.save([Change("a:1", read["a:1"], at(4))]) == []
    second = [Change(key, read[key], at(5), due_ms=(30,), done_ms=(10, 15)) for key in ("a:1", "a:2")]
    assert await store.save(second) == ["a:1"]
    left = {Timer(10, "a:1"), Timer(20, "a:1"), Timer(20, "a:2"), Timer(30, "a:2")}
    assert await waiting() == left, "who lost adds none and removes none"
    gone = Visitor.forgotten(1, 9, 0)
    assert await store.save([Change("a:2", (await store.load(["a:2"]))["a:2"], gone, 0, done_ms=(20, 30))]) == []
    assert await waiting() == {Timer(10, "a:1"), Timer(20, "a:1")}, "who is forgotten is woken no more"


@BOTH
async def test_timers_are_found_in_the_buckets_asked_for(redis: Redis, real: bool) -> None:
    store: Any = RedisTimerStore(redis, KEYS) if real else MemoryTimers()
    timers = [Timer(100 + n, f"a:{n}") for n in range(40)]
    await store.add(timers)
    await store.add(timers[:5])
    asked = buckets_of({0, 2}, 4)
    mine = {timer for timer in timers if partition_of(timer.key, 4) in {0, 2}}
    look = await store.look(asked, 1_000, 100)
    assert set(look.due) == mine
    assert look.earliest_ms == {bucket_of(timer.key): timer.due_ms for timer in sorted(mine, reverse=True)}
    earlier = await store.look(asked, 119, 100)
    assert set(earlier.due) == {timer for timer in mine if timer.due_ms <= 119}
    assert earlier.earliest_ms == look.earliest_ms, "it is told when those not due yet will be"
    few = await store.look(asked, 1_000, 3)
    assert (len(few.due), few.earliest_ms) == (3, look.earliest_ms)
    assert await store.look([], 1_000, 100) == Look([], {})
    gone, *_ = mine
    await store.remove([gone, Timer(1, "a:nobody")])
    assert set((await store.look(asked, 1_000, 100)).due) == mine - {gone}


@BOTH
async def test_attempts_outlive_the_worker_that_made_them(redis: Redis, real: bool) -> None:
    store: Any = AttemptStore(redis, KEYS, "folder") if real else MemoryAttempts()
    assert await store.get(0) is None
    await store.put(0, Attempt(1, 5, n_starts=2))
    await store.put(1, Attempt(1, 7))
    await store.put(0, Attempt(1, 5, n_starts=3, given_up=(5,)))
    assert await store.get(0) == Attempt(1, 5, n_starts=3, given_up=(5,))
    await store.forget(0)
    await store.forget(3)
    assert (await store.get(0), await store.get(1)) == (None, Attempt(1, 7))


@pytest.mark.parametrize("which", ["of workers", "of the spool", "of the api", "real"])
async def test_a_log_keeps_what_is_appended_in_order(redis_url: str, namespace: str, which: str) -> None:
    fakes: dict[str, Any] = {
        "of workers": MemoryLog(),
        "of the spool": spooling.FakeLog(),
        "of the api": api.FakeLog(),
    }
    log: Any = fakes.get(which) or RedisStreamsLog(redis_url, Topics(prefix=namespace))
    if which == "real":
        await log.start()
        await log.create(N_PARTITIONS)
    records = [Record(VISITOR_LOG, f"a:{n % 3}", b"%d" % n) for n in range(12)]
    first, second = await log.append(records[:8]), await log.append(records[8:])
    assert len([*first, *second]) == len(records), "a position for each"
    if which in ("of workers", "real"):
        for record, position in zip(records, [*first, *second], strict=True):
            assert position.partition == partition_of(record.key, N_PARTITIONS)
        assert [position.offset for position in first if position.partition == first[0].partition][:2] == [0, 1]
        kept = []
        for partition in range(N_PARTITIONS):
            entries = [entry async for entry in log.read(VISITOR_LOG, partition, 0)]
            assert [entry.offset for entry in entries] == list(range(len(entries)))
            assert (await log.end_offsets(VISITOR_LOG))[partition] == len(entries)
            kept += [entry.value for entry in entries]
            later = [entry async for entry in log.read(VISITOR_LOG, partition, 2)]
            assert later == entries[2:]
        assert sorted(kept) == sorted(record.value for record in records)
    else:
        values = [record.value for record in log.records] if which == "of the api" else log.values
        assert values == [record.value for record in records]
    if which == "real":
        await log.close()


@BOTH
async def test_the_spool_takes_records_without_waiting(
    redis_url: str, namespace: str, tmp_path: Path, real: bool
) -> None:
    records = [Record(VISITOR_LOG, "a:1", b"%d" % n) for n in range(3)]
    if not real:
        fake = api.FakeSpool()
        assert [fake.put(record) for record in records] == [True] * 3
        assert fake.records == records
        fake.full = True
        assert fake.put(records[0]) is False
        assert fake.records == records
        return
    log = RedisStreamsLog(redis_url, Topics(prefix=namespace))
    await log.start()
    await log.create(N_PARTITIONS)
    spool = Spool(log, tmp_path / "spool")
    running = asyncio.create_task(spool.run())
    assert [spool.put(record) for record in records] == [True] * 3
    assert await spool.drain(10.0) == 0
    running.cancel()
    partition = partition_of("a:1", N_PARTITIONS)
    assert [entry.value async for entry in log.read(VISITOR_LOG, partition, 0)] == [b"0", b"1", b"2"]
    await log.close()


@BOTH
async def test_a_reader_gives_the_states_there_are_each_time_its_own(
    redis: Redis, redis_url: str, real: bool
) -> None:
    one, other = at(3), at(4)
    one.state.traits["plan"] = "pro"
    if real:
        await RedisVisitorStore(redis, KEYS, b"key").save(
            [Change("a:1", NEVER_SEEN, one), Change("u:1", NEVER_SEEN, other)]
        )
        reads = DeciderReads(redis_url)
        reader: Any = VisitorReader(reads, KEYS, 1.0)
    else:
        reader = api.FakeVisitors({"a:1": one.state, "u:1": other.state})
    states = await reader.read(["u:1", "a:1", "a:nobody"], "u:1")
    assert [state.offset for state in states] == [4, 3]
    states[1].traits["plan"] = "free"
    assert (await reader.read(["a:1"], None))[0].traits == {"plan": "pro"}
    each = await reader.read_each([(["a:1"], None), (["a:nobody"], None)])
    assert [[state.offset for state in found] for found in each] == [[3], []]
    key, (state,) = await reader.read_canonical("a:1")
    assert (key, state.offset) == ("a:1", 3)
    assert (await reader.read_canonical("a:nobody"))[1] == []
    if real:
        await reads.aclose()


def trained(generation: int) -> Any:
    model = PlacementModel("hero")
    model.learn(Outcome(Choice("d", "hero", 0, "a", 2**31), 1.0, ClosingReason.WINDOW, 1, 2, exposed_at_ms=1))
    return model.snapshot(generation)


@BOTH
async def test_a_publisher_of_models_fences_whoever_was_replaced(redis: Redis, real: bool) -> None:
    publisher: Any = ModelPublisher(redis, KEYS, SECRET) if real else MemoryPublisher()
    for generation, expected in ((1, Published.DONE), (3, Published.DONE), (2, Published.FENCED)):
        published, n_bytes = await publisher.publish("hero", trained(generation), 5)
        assert published is expected
        assert n_bytes > 0
    assert (await publisher.publish("other", trained(1), 5))[0] is Published.DONE
    if real:
        followed = await read_model(redis, KEYS, "hero", SECRET)
        assert followed is not None
        assert followed.snapshot.version == trained(3).version
        follower: Any = ModelFollower(redis, KEYS, SECRET)
        await follower.refresh()
    else:
        assert publisher.published[1].version == trained(3).version
        follower = api.FakeFollower(models={"hero": publisher.published[1]})
    assert follower.get("hero") is not None
    assert follower.get("nobody's") is None


@BOTH
async def test_a_challenger_is_found_by_its_id_alone(redis: Redis, real: bool) -> None:
    publisher: Any = ConversionPublisher(redis, KEYS) if real else MemoryConversions()
    assert await publisher.challenger("c1") is None
    if real:
        await keep_challenger(redis, KEYS, "c1", b"model", 60_000)
    else:
        publisher.challengers["c1"] = b"model"
    assert await publisher.challenger("c1") == b"model"
    assert await publisher.challenger("c2") is None

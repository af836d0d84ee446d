"""Sums and positions on a real Redis: written together, and once, whoever tries it how often."""

from __future__ import annotations

import time
from collections.abc import AsyncIterator, Sequence
from typing import NamedTuple

import pytest
from msgspec import structs
from redis.asyncio import Redis

from eventlog.topics import DECISIONS, OUTCOMES, VISITOR_LOG
from installation.redis_clients import worker_client
from personalization.events.decision_record import DecisionRecord, encode_record
from personalization.events.outcome import ClosingReason, Outcome, encode_outcome
from personalization.projecting.arms import Arms, arms_in, buckets_over
from personalization.projecting.record_rows import SEGMENT_BYTES, SEGMENT_ROWS, Column, places_of, row_of
from personalization.projecting.sums import no_sums
from personalization.visitor.choice import Choice
from state.keys import Keys
from state.projection_store import Place, ProjectionStore
from stream.metrics import ProjectorMetrics
from stream.projecting.projector import Logged, Projector

pytestmark = pytest.mark.redis

KEYS = Keys("t")
AT = Place(DECISIONS, 0)
NOW_MS = int(time.time() * 1000)


class Read(NamedTuple):
    offset: int
    key: bytes | None
    value: bytes | None


@pytest.fixture
async def redis(redis_url: str) -> AsyncIterator[Redis]:
    client = worker_client(redis_url)
    yield client
    await client.aclose()


def projector(redis: Redis, rows_bytes: int = 1 << 24) -> Projector:
    return Projector(
        ProjectionStore(redis, KEYS, 1, 60_000),
        [Arms()],
        lambda topic, entry: entry.value or b"",
        b"row key",
        1,
        rows_bytes,
        ProjectorMetrics(lambda: 0.0),
    )


def decision(offset: int, decision_id: str = "", arm: str = "red") -> Read:
    return Read(offset, b"a:1", encode_record(record_of(decision_id or f"d{offset}", arm)))


def record_of(decision_id: str, arm: str = "red") -> DecisionRecord:
    chosen = Choice(decision_id, "hero", 0, arm, 1)
    return DecisionRecord(
        choice=chosen, message_id="m", request_id="r", key="a:1", tier="rules", reason="", decided_at_ms=NOW_MS
    )


def outcome(offset: int, reward: float) -> Read:
    chosen = Choice(f"d{offset}", "hero", 0, "red", 1)
    closed = Outcome(chosen, reward, ClosingReason.WINDOW, NOW_MS, NOW_MS, exposed_at_ms=NOW_MS)
    return Read(offset, b"hero", encode_outcome(closed))


async def n_decisions(redis: Redis) -> float:
    sums = await ProjectionStore(redis, KEYS, 1).read_sums(buckets_over("hero", 3_600_000, NOW_MS))
    return sum(arm.n_decisions for arm in arms_in(sums, "hero").values())


def entries(first: int, n: int) -> Sequence[Logged]:
    return [decision(offset) for offset in range(first, first + n)]


async def test_what_is_read_again_by_a_projector_that_was_killed_counts_once(redis: Redis) -> None:
    first = projector(redis)
    await first.assigned({AT: 10})
    await first.take({AT: entries(0, 6)})
    second = projector(redis)  # it was killed: its successor begins where the sums do
    assert await second.assigned({AT: 10}) == {AT: 6}
    assert await second.take({AT: entries(6, 4)}) == {AT: 10}
    assert await n_decisions(redis) == 10


async def test_one_that_slept_past_its_lease_adds_nothing_and_is_sent_on(redis: Redis) -> None:
    sleeper, successor = projector(redis), projector(redis)
    await sleeper.assigned({AT: 10})
    await sleeper.take({AT: entries(0, 2)})
    await successor.assigned({AT: 10})
    await successor.take({AT: entries(2, 5)})
    assert await sleeper.take({AT: entries(2, 3)}) == {AT: 7}
    assert await n_decisions(redis) == 7
    assert await sleeper.take({AT: entries(7, 1)}) == {AT: 8}
    assert await n_decisions(redis) == 8


async def test_where_one_partition_was_projected_by_another_the_others_are_read_again(redis: Redis) -> None:
    other_place = Place(DECISIONS, 1)
    sleeper, successor = projector(redis), projector(redis)
    await sleeper.assigned({AT: 10, other_place: 10})
    await successor.assigned({AT: 10})
    await successor.take({AT: entries(0, 5)})
    both = {AT: entries(0, 3), other_place: [decision(offset, f"other-{offset}") for offset in range(3)]}
    assert await sleeper.take(both) == {AT: 5, other_place: 0}
    assert await n_decisions(redis) == 5
    assert await sleeper.take({other_place: both[other_place]}) == {other_place: 3}
    assert await n_decisions(redis) == 8


async def test_a_step_whose_answer_was_lost_is_not_added_again(redis: Redis) -> None:
    store, ours = ProjectionStore(redis, KEYS, 1), projector(redis)
    await ours.assigned({AT: 10})
    await ours.take({AT: entries(0, 1)})
    sums = no_sums()
    step = ours._step(AT, entries(1, 3), sums)
    assert await store.advance([step], sums) == [4]
    assert await store.advance([step], sums) == [4]
    assert await n_decisions(redis) == 4


async def test_copies_of_a_decision_count_once_also_for_a_successor(redis: Redis) -> None:
    first = projector(redis)
    await first.assigned({AT: 10})
    await first.take({AT: [decision(0, "same"), decision(1, "same")]})
    second = projector(redis)
    await second.assigned({AT: 10})
    await second.take({AT: [decision(2, "same"), decision(3)]})
    assert await n_decisions(redis) == 2


async def test_what_was_not_added_because_another_had_is_told_apart_all_the_same(redis: Redis) -> None:
    other_place = Place(DECISIONS, 1)
    sleeper, successor = projector(redis), projector(redis)
    await sleeper.assigned({AT: 10, other_place: 10})
    await successor.assigned({AT: 10})
    await successor.take({AT: entries(0, 5)})
    blue = [decision(0, "blue", arm="blue")]
    await sleeper.take({AT: entries(0, 3), other_place: blue})  # refused as a whole
    await sleeper.take({other_place: blue})
    (day,) = [key async for key in redis.scan_iter(KEYS.sums("arms:told:*"))]
    assert sorted(await redis.hgetall(day)) == [b"hero\x1f\x1fblue", b"hero\x1f\x1fred"]


async def test_what_cannot_be_read_is_counted_and_the_others_go_on(redis: Redis) -> None:
    ours = projector(redis)
    await ours.assigned({AT: 10})
    reached = await ours.take(
        {AT: [decision(0), Read(1, b"a:1", b"\xc1damaged"), Read(2, None, None), decision(3)]}
    )
    assert reached == {AT: 4}
    assert await n_decisions(redis) == 2
    assert ours._metrics.projected.labels(DECISIONS, "unreadable")._value.get() == 2


async def test_what_no_number_can_be_added_to_is_left_out(redis: Redis) -> None:
    at, ours = Place(OUTCOMES, 0), projector(redis)
    await ours.assigned({at: 3})
    assert await ours.take({at: [outcome(0, 1.0), outcome(1, float("nan")), outcome(2, 0.5)]}) == {at: 3}
    sums = await ProjectionStore(redis, KEYS, 1).read_sums(buckets_over("hero", 3_600_000, NOW_MS))
    (arm,) = arms_in(sums, "hero").values()
    assert (arm.n_outcomes, arm.reward) == (2, 1.5)


async def test_a_request_that_goes_by_several_names_has_a_row_of_each_and_others_take_up_no_room(
    redis: Redis,
) -> None:
    ours, store = projector(redis), ProjectionStore(redis, KEYS, 1)
    trace = bytes(range(24))
    await ours.assigned({AT: 0})

    async def places(column: Column, name: str) -> list[int]:
        (rows,) = await store.rows(column, [(AT, 0)])
        return list(places_of(rows, row_of(b"row key", name)))

    async def room() -> float:
        await ours.tidy({})
        return float(ours._metrics.rows_bytes._value.get()) / SEGMENT_BYTES

    begun_here = structs.replace(record_of("d1"), request_id=trace[8:16].hex(), trace=trace)
    await ours.take({AT: [decision(0), Read(1, b"a:1", encode_record(begun_here))]})
    assert await store.rows(Column.TRACE, [(AT, 0)]) == await store.rows(Column.ANSWERED, [(AT, 0)]) == [b""]
    assert await room() == 3
    both = structs.replace(record_of("d3"), answered_as="proxy-7", trace=trace)
    await ours.take({AT: [decision(2), Read(3, b"a:1", encode_record(both))]})
    assert await places(Column.REQUEST, "r") == [0, 2, 3]
    assert (await places(Column.ANSWERED, "proxy-7"), await places(Column.TRACE, trace[:16].hex())) == ([3], [3])
    assert await room() == 5


async def test_rows_go_as_the_log_lets_entries_go_and_beyond_their_room(redis: Redis) -> None:
    at, ours = Place(VISITOR_LOG, 0), projector(redis, rows_bytes=0)  # two segments at least
    await ours.assigned({at: 5 * SEGMENT_ROWS})
    for segment in range(4):
        await ours.take({at: [Read(segment * SEGMENT_ROWS + 7, b"a:1", b"")]})
    store = ProjectionStore(redis, KEYS, 1)

    async def kept() -> list[int]:
        rows = await store.rows(Column.VISITOR, [(at, segment) for segment in range(4)])
        return [n for n, data in enumerate(rows) if list(places_of(data, row_of(b"row key", "a:1"))) == [7]]

    assert await kept() == [0, 1, 2, 3]
    await ours.tidy({at: SEGMENT_ROWS - 1})
    assert await kept() == [2, 3], "two segments are what there is room for"
    await ours.tidy({at: 3 * SEGMENT_ROWS})
    assert (await kept(), await store.kept_from(at)) == ([3], 3)

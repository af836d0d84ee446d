"""What a worker is handed follows in the log, and what it commits follows on what is committed: on every log."""

from __future__ import annotations

import asyncio
import itertools
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import pytest
from aiokafka import TopicPartition
from aiokafka.admin import RecordsToDelete
from faust.types import TP

from eventlog.kafka import KafkaLog
from eventlog.partition import partition_of
from eventlog.port import Record
from eventlog.topics import VISITOR_LOG
from stream.transports.offsets import OffsetPolicy
from stream.worker_app import WorkerApp, WorkerSettings, make_app
from tests.contract.eventlog.working import AnyLog, at_work, until, until_committed

PARTITION = partition_of("somebody", 4)


class Working:
    """A worker that keeps what it was handed, acknowledges it unless told otherwise, and hears of gaps."""

    pause_s = 0.0

    def __init__(self, app: WorkerApp, gaps: list[tuple[int, int]], acks: Callable[[int], bool]) -> None:
        self.app = app
        self.gaps = gaps
        self.values: list[int] = []
        self._acks = acks
        app.receive([VISITOR_LOG], self)

    async def until_room(self) -> None:
        """There always is."""

    async def take(self, found: Mapping[TP, Sequence[Any]], offsets: Mapping[TP, int]) -> Mapping[TP, int]:
        for entries in found.values():
            self.values += [int(entry.value) for entry in entries]
        self.app.acknowledge(
            {tp: [each.offset for each in entries if self._acks(int(each.value))] for tp, entries in found.items()}
        )
        return {tp: entries[-1].offset + 1 for tp, entries in found.items()}


async def working(log: AnyLog, acks: Callable[[int], bool] = lambda value: True) -> Working:
    gaps: list[tuple[int, int]] = []
    policy = OffsetPolicy(on_gap=lambda partition, n_entries: gaps.append((partition, n_entries)))
    app = make_app("folder", log, await log.identity(), WorkerSettings(commit_interval_s=0.1), offset_policy=policy)
    return Working(app, gaps, acks)


async def append(log: AnyLog, *values: int) -> None:
    """Entries of one partition, each of which holds its own offset."""
    await log.append([Record(VISITOR_LOG, "somebody", str(value).encode()) for value in values])


async def remove(log: AnyLog, first: int, below: int) -> None:
    """Let the entries from ``first`` on go; on Kafka they are the oldest."""
    if isinstance(log, KafkaLog):
        at = TopicPartition(log.topics.on_server(VISITOR_LOG, (await log.identity()).epoch), PARTITION)
        async with log._connection.admin() as admin:
            await admin.delete_records({at: RecordsToDelete(before_offset=below)})
    else:
        assert await log.delete(VISITOR_LOG, PARTITION, range(first, below)) == below - first


async def test_entries_the_log_lost_are_noticed(log: AnyLog) -> None:
    await append(log, 0, 1)
    before = await working(log)
    async with at_work(before.app):
        await until_committed(log, 2)
    await append(log, 2, 3, 4)
    await remove(log, 2, below=4)
    after = await working(log)
    async with at_work(after.app):
        await until(lambda: after.values, "what is left is handled")
        await until_committed(log, 5)
    assert after.values == [4]
    assert after.gaps == [(PARTITION, 2)]


@pytest.mark.parametrize("log_url", ["redis"], indirect=True)  # Kafka removes nothing inside a partition
async def test_entries_lost_between_others_are_noticed(log: AnyLog) -> None:
    await append(log, *range(5))
    await remove(log, 2, below=4)
    worker = await working(log)
    async with at_work(worker.app):
        await until_committed(log, 5)
    assert worker.values == [0, 1, 4]
    assert worker.gaps == [(PARTITION, 2)]


@pytest.mark.parametrize("n_gone", [2, 5], ids=["some-are-left", "none-is-left"])
async def test_a_new_group_begins_at_the_oldest_entry_and_misses_nothing(log: AnyLog, n_gone: int) -> None:
    await append(log, *range(5))
    await remove(log, 0, below=n_gone)
    worker = await working(log)
    async with at_work(worker.app):
        await until(worker.app.owned_partitions, "assigned")
        await append(log, 5)
        await until_committed(log, 6)
    assert worker.values == list(range(n_gone, 6))
    assert worker.gaps == []


@pytest.mark.parametrize("n_before", [0, 1], ids=["the-first-read", "a-later-read"])
async def test_what_was_read_and_thrown_away_is_read_again(log: AnyLog, n_before: int) -> None:
    """As by a rebalance that overtakes another one: it is no gap in the log, and is not committed unread."""
    worker = await working(log)
    consumer = worker.app.consumer
    read = consumer.read_from
    thrown_away: list[object] = []

    async def losing(*args: Any) -> Any:
        found = await read(*args)
        if found and not thrown_away and len(worker.values) >= n_before:
            thrown_away.append(found)
            return {}
        return found

    consumer.read_from = losing
    numbers = itertools.count()
    async with at_work(worker.app):
        while not thrown_away:
            await append(log, next(numbers))
            await asyncio.sleep(0.02)
        await append(log, last := next(numbers))
        await until(lambda: last in worker.values, "the last is handled")
        await until_committed(log, last + 1)
    assert worker.values == list(range(last + 1))
    assert worker.gaps == []


async def test_a_read_begins_where_it_was_told_whoever_else_reads(log: AnyLog) -> None:
    """Of reads that overlap, as where a caller gave up waiting for one, none is given what follows on another."""
    worker = await working(log)
    tp = worker.app.tp(VISITOR_LOG, PARTITION)
    begun = 0

    async def reads() -> None:
        nonlocal begun
        for offset in itertools.islice(itertools.cycle([0, 7, 0, 3, 0]), 40):
            found = (await worker.app.consumer.read_from({tp: offset}, 0.05)).get(tp, [])
            offsets = [record.offset for record in found]
            assert offsets == list(range(offset, offset + len(offsets)))
            begun += bool(offsets)

    async with at_work(worker.app):
        await append(log, 0)
        await until(lambda: worker.values, "it works")
        async with asyncio.TaskGroup() as others:
            others.create_task(reads())
            others.create_task(reads())
            for value in range(1, 60):
                await append(log, value)
        await until_committed(log, 60)
    assert begun
    assert worker.values == list(range(60))
    assert worker.gaps == []


@pytest.mark.parametrize("kept_back", [0, 3], ids=["before-the-first-commit", "after-a-commit"])
async def test_nothing_is_committed_beyond_an_entry_that_is_not_acked(log: AnyLog, kept_back: int) -> None:
    worker = await working(log, acks=lambda value: value != kept_back)
    async with at_work(worker.app):
        await append(log, *range(kept_back))
        await until_committed(log, kept_back)
        await append(log, *range(kept_back, kept_back + 5))
        await until(lambda: len(worker.values) == kept_back + 5, "all are handled")
        await worker.app.consumer.commit()
        await until_committed(log, kept_back)

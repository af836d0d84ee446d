"""Where the Kafka transport reads: where it is told, whatever became of aiokafka's own position."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import nullcontext
from types import SimpleNamespace
from typing import Any, cast

import pytest
from aiokafka import TopicPartition
from aiokafka.errors import IllegalStateError
from faust.types import TP

from eventlog.kafka import KafkaLog
from eventlog.port import LogIdentity
from stream.transports.kafka import ConsumerThread
from stream.worker_app import make_app

AT = TP("log", 0)


class Aiokafka:
    """What a reader sees of aiokafka: one partition of ten entries, and a position that moves with every fetch."""

    _closed = False
    _max_poll_records = 2

    def __init__(self) -> None:
        self._fetcher = self
        self._subscriptions = SimpleNamespace(fetch_context=nullcontext)
        self._subscription = SimpleNamespace(subscription=SimpleNamespace(assignment=object()))
        self.assigned = {TopicPartition(*AT)}
        self.position = 0
        self.sought: list[int] = []
        self.while_fetching: list[Callable[[], Awaitable[Any]]] = []

    def seek(self, tp: TopicPartition, offset: int) -> None:
        if tp not in self.assigned:
            raise IllegalStateError(tp)
        self.sought.append(offset)
        self.position = offset

    def rebalance(self, begins_at: int) -> None:
        self._subscription.subscription.assignment = object()
        self.position = begins_at

    async def fetched_records(self, tps: set[TP], timeout: float, max_records: int) -> dict[TopicPartition, Any]:
        if self.while_fetching:
            await self.while_fetching.pop()()
        found = [SimpleNamespace(offset=n) for n in range(self.position, min(self.position + max_records, 10))]
        self.position += len(found)
        return {TopicPartition(*AT): found} if found else {}


@pytest.fixture
def aiokafka() -> Aiokafka:
    return Aiokafka()


@pytest.fixture
async def thread(aiokafka: Aiokafka) -> AsyncIterator[ConsumerThread]:
    app = make_app("folder", KafkaLog("nowhere:9092"), LogIdentity(1, "log", 1))
    thread: ConsumerThread = app.consumer._thread
    thread._consumer = aiokafka
    yield thread
    thread.thread_loop.close()  # it never ran


async def read(thread: ConsumerThread, offset: int) -> list[int]:
    found = await thread._read_from({AT: offset}, 1.0)
    return [record.offset for record in found.get(AT, [])]


async def test_it_seeks_only_where_it_does_not_go_on(thread: ConsumerThread, aiokafka: Aiokafka) -> None:
    assert [await read(thread, offset) for offset in (4, 6, 6, 8)] == [[4, 5], [6, 7], [6, 7], [8, 9]]
    assert aiokafka.sought == [4, 6]


async def test_where_entries_have_gone_by_age_it_goes_on(thread: ConsumerThread, aiokafka: Aiokafka) -> None:
    async def reset_to_the_oldest() -> None:
        aiokafka.position = 7

    aiokafka.while_fetching = [reset_to_the_oldest]
    assert [await read(thread, offset) for offset in (2, 9)] == [[7, 8], [9]]
    assert aiokafka.sought == [2]


async def test_nothing_below_what_was_asked_for_is_given(thread: ConsumerThread, aiokafka: Aiokafka) -> None:
    """A log that ends before it is read from its beginning, up to there."""

    async def reset_to_the_oldest() -> None:
        aiokafka.position = 4

    aiokafka.while_fetching = [reset_to_the_oldest]
    assert [await read(thread, offset) for offset in (7, 7, 8)] == [[], [7], [8, 9]]
    assert aiokafka.sought == [7]


async def test_a_read_over_a_rebalance_gives_nothing_and_the_next_one_seeks(
    thread: ConsumerThread, aiokafka: Aiokafka
) -> None:
    async def rebalance() -> None:
        aiokafka.rebalance(begins_at=5)

    assert await read(thread, 1) == [1, 2]
    aiokafka.while_fetching = [rebalance]
    assert await read(thread, 3) == []
    assert await read(thread, 3) == [3, 4]
    aiokafka.rebalance(begins_at=8)
    assert await read(thread, 5) == [5, 6]


async def test_of_two_reads_at_once_one_gives_what_was_asked_and_the_other_nothing(
    thread: ConsumerThread, aiokafka: Aiokafka
) -> None:
    others: list[list[int]] = []

    async def read_besides() -> None:
        others.append(await read(thread, 3))

    aiokafka.while_fetching = [read_besides]
    assert await read(thread, 3) == []
    assert others == [[3, 4]]
    assert await read(thread, 5) == [5, 6]


async def test_a_partition_that_went_away_gives_nothing(thread: ConsumerThread, aiokafka: Aiokafka) -> None:
    aiokafka.assigned.clear()
    assert await read(thread, 3) == []


def test_what_is_received_has_an_agent_and_no_scan_is_prepared(monkeypatch: pytest.MonkeyPatch) -> None:
    """Looking for the module it stands in goes through all that is loaded: a tenth of a start."""
    noted: list[object] = []
    monkeypatch.setattr("faust.utils.venusian._attach", lambda *args, **_: noted.append(args))
    app = make_app("folder", KafkaLog("nowhere:9092"), LogIdentity(1, "log", 1))
    app.receive(["visitor-log"], cast(Any, None))
    assert [name.rpartition(".")[2] for name in app.agents] == ["visitor-log"]
    assert noted == []

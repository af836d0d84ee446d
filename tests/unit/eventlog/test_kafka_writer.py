"""The writer on Kafka over a producer that does as it is told: what order is left after a failure."""

from __future__ import annotations

import asyncio
from collections import defaultdict
from collections.abc import AsyncIterator, Callable
from types import SimpleNamespace
from typing import Any

import pytest
from aiokafka.errors import KafkaTimeoutError, MessageSizeTooLargeError, OutOfOrderSequenceNumber

from eventlog.kafka_writer import KafkaWriter, Layout
from eventlog.partition import partition_of
from eventlog.port import LogIdentity, LogPosition, Record
from eventlog.topics import DECISIONS, VISITOR_LOG
from personalization.errors import EpochClosed, InvalidInput, Unavailable
from tests.running import eventually

BATCH_BYTES = 256 * 1024
N_PARTITIONS = 2
HERE = next(f"v{n}" for n in range(99) if partition_of(f"v{n}", N_PARTITIONS) == 0)
THERE = next(f"v{n}" for n in range(99) if partition_of(f"v{n}", N_PARTITIONS) == 1)


class Builder:
    def __init__(self) -> None:
        self.values: list[bytes] = []
        self.size = 0

    def append(self, *, timestamp: None, key: bytes, value: bytes) -> bool:
        if self.values and self.size + len(value) > BATCH_BYTES:
            return False
        self.values.append(value)
        self.size += len(value)
        return True


class Broker:
    """What stands in each partition, and what happens to the next batches of it.

    Attributes
    ----------
    refuses
        Per partition, errors for its next batches, in turn.
    silent
        Batches wait until told (``speak``).
    largest
        Batches beyond so many bytes are refused.
    away
        Nobody is told which log is in force, nor whether a topic is closed.
    """

    def __init__(self) -> None:
        self.logs: dict[tuple[str, int], list[bytes]] = defaultdict(list)
        self.refuses: dict[int, list[BaseException]] = defaultdict(list)
        self.silent: set[int] = set()
        self.waiting: list[tuple[int, Callable[[], None]]] = []
        self.largest = 10**9
        self.closed: set[str] = set()
        self.identity = LogIdentity(1, "one", N_PARTITIONS)
        self.n_producers = 0
        self.away = False

    def take(self, name: str, partition: int, values: list[bytes], sent: asyncio.Future[Any]) -> None:
        if name in self.closed or sum(map(len, values)) > self.largest:
            sent.set_exception(MessageSizeTooLargeError())
        elif self.refuses[partition]:
            sent.set_exception(self.refuses[partition].pop(0))
        else:
            log = self.logs[name, partition]
            sent.set_result(SimpleNamespace(offset=len(log)))
            log += values

    def speak(self, partition: int) -> None:
        self.silent.discard(partition)
        told, self.waiting = (
            [w for w in self.waiting if w[0] == partition],
            [w for w in self.waiting if w[0] != partition],
        )
        for _, tell in told:
            tell()

    def numbers(self, partition: int = 0, name: str = VISITOR_LOG) -> list[int]:
        return [int(value.split(b"|")[0]) for value in self.logs[name, partition]]


class Producer:
    def __init__(self, broker: Broker) -> None:
        self._broker = broker
        self.dropped = False
        cluster = SimpleNamespace(partitions_for_topic=lambda name: {0, 1})
        self.client = SimpleNamespace(cluster=cluster, add_topic=lambda name: None)

    def create_batch(self) -> Builder:
        return Builder()

    async def send_batch(self, builder: Builder, name: str, partition: int) -> asyncio.Future[Any]:
        sent = asyncio.get_running_loop().create_future()

        def deliver() -> None:
            if not sent.done() and not self.dropped:
                self._broker.take(name, partition, builder.values, sent)

        if partition in self._broker.silent:
            self._broker.waiting.append((partition, deliver))
        else:
            asyncio.get_running_loop().call_soon(deliver)
        return sent


class Connection:
    def __init__(self, broker: Broker) -> None:
        self._broker = broker
        self._producer: Producer | None = None

    async def producer(self) -> Producer:
        if self._producer is None:
            self._broker.n_producers += 1
            self._producer = Producer(self._broker)
        return self._producer

    async def drop(self) -> None:
        if self._producer is not None:
            self._producer.dropped = True
        self._producer = None


@pytest.fixture
def broker() -> Broker:
    return Broker()


@pytest.fixture
async def writer(broker: Broker) -> AsyncIterator[KafkaWriter]:
    async def layout(anew: bool) -> Layout:
        if broker.away:
            raise Unavailable("Kafka does not answer")
        epoch = broker.identity.epoch
        suffix = "" if epoch == 1 else f".e{epoch}"
        return Layout(broker.identity, {topic: topic + suffix for topic in (VISITOR_LOG, DECISIONS)})

    async def is_closed(name: str) -> bool:
        if broker.away:
            raise Unavailable("Kafka does not answer")
        return name in broker.closed

    topics = (VISITOR_LOG, DECISIONS)
    writer = KafkaWriter(Connection(broker), layout, is_closed, topics, 0.5, 10**9)  # type: ignore[arg-type]
    yield writer
    await writer.close()


def records(*numbers: int, key: str = HERE, size: int = 0) -> list[Record]:
    return [Record(VISITOR_LOG, key, f"{n}|".encode() + b"." * size) for n in numbers]


def append(writer: KafkaWriter, these: list[Record]) -> asyncio.Task[list[LogPosition]]:
    return asyncio.create_task(writer.append(these, None))


async def until_taken(writer: KafkaWriter, these: list[Record]) -> None:
    """As a folder does: the same call again until it succeeds."""
    while True:
        try:
            await writer.append(these, None)
            return
        except Unavailable:
            await asyncio.sleep(0)


@pytest.mark.parametrize("error", [KafkaTimeoutError(), OutOfOrderSequenceNumber()])
async def test_what_a_call_holds_behind_a_batch_that_failed_is_not_sent(
    broker: Broker, writer: KafkaWriter, error: BaseException
) -> None:
    """Twelve records make two batches; the first fails once. The second half must not come first."""
    broker.refuses[0] = [error]
    await until_taken(writer, records(*range(12), size=30_000))
    assert broker.numbers() == list(range(12))


async def test_what_waits_behind_a_batch_that_failed_fails_with_it(broker: Broker, writer: KafkaWriter) -> None:
    broker.silent = {0}
    first = append(writer, records(1))
    await eventually(lambda: len(broker.waiting) == 1)
    behind, elsewhere = append(writer, records(2)), append(writer, records(3, key=THERE))
    await elsewhere
    broker.refuses[0] = [OutOfOrderSequenceNumber()]
    broker.speak(0)
    for task in (first, behind):
        with pytest.raises(Unavailable):
            await task
    assert (broker.numbers(0), broker.numbers(1)) == ([], [3])
    # Each is tried again by its caller; whoever comes first is first.
    await until_taken(writer, records(1))
    await until_taken(writer, records(2))
    assert broker.numbers(0) == [1, 2]


async def test_a_call_that_failed_in_one_partition_sends_nothing_more_to_another(
    broker: Broker, writer: KafkaWriter
) -> None:
    broker.silent = {1}
    before = append(writer, records(0, key=THERE))
    await eventually(lambda: len(broker.waiting) == 1)
    broker.refuses[0] = [OutOfOrderSequenceNumber()]
    both = append(writer, [*records(1), *records(2, key=THERE)])
    await eventually(lambda: bool(writer._failed))
    broker.speak(1)
    await before
    with pytest.raises(Unavailable):
        await both
    assert (broker.numbers(0), broker.numbers(1)) == ([], [0])


async def test_a_producer_whose_batch_was_refused_is_not_used_again(broker: Broker, writer: KafkaWriter) -> None:
    """The broker refuses all that follows a gap in an idempotent producer's sequence."""
    broker.refuses[0] = [OutOfOrderSequenceNumber()]
    await until_taken(writer, records(1))
    assert broker.n_producers == 2


async def test_a_call_that_took_too_long_comes_before_what_is_appended_after_it(
    broker: Broker, writer: KafkaWriter
) -> None:
    broker.silent = {0}
    late = append(writer, records(1))
    with pytest.raises(Unavailable, match="in time"):
        await late
    again, other = append(writer, records(1)), append(writer, records(2))
    await eventually(lambda: len(writer._calls) == 2)
    broker.speak(0)
    await asyncio.gather(again, other)
    assert broker.numbers() == [1, 1, 2]


async def test_a_silent_broker_holds_up_its_own_partitions_alone(broker: Broker, writer: KafkaWriter) -> None:
    broker.silent = {0}
    stuck = append(writer, records(1))
    for n in range(20):
        await asyncio.wait_for(writer.append(records(n, key=THERE), None), 0.4)
    with pytest.raises(Unavailable):
        await stuck
    assert broker.numbers(1) == list(range(20))


async def test_calls_made_at_once_keep_their_order(broker: Broker, writer: KafkaWriter) -> None:
    await asyncio.gather(*(append(writer, records(n, size=2000)) for n in range(400)))
    assert broker.numbers() == list(range(400))


async def test_one_record_too_large_for_the_broker_harms_no_other(broker: Broker, writer: KafkaWriter) -> None:
    broker.largest = 1000
    tasks = [append(writer, records(n, size=2000 if n == 3 else 100)) for n in range(12)]
    done = await asyncio.gather(*tasks, return_exceptions=True)
    assert isinstance(done[3], InvalidInput)
    assert all(isinstance(result, list) for result in done[:3])
    assert all(isinstance(result, list | Unavailable) for result in done[4:])
    assert broker.numbers() == sorted(broker.numbers())
    await until_taken(writer, records(99))


async def test_what_gave_up_behind_a_silent_broker_is_not_kept(broker: Broker, writer: KafkaWriter) -> None:
    broker.silent = {0}
    tasks = [append(writer, records(1, 2, 3))]
    await eventually(lambda: bool(broker.waiting))
    for _ in range(20):
        tasks += [append(writer, records(*range(50)))]
        await asyncio.sleep(0.05)  # each gives up half a second later
    [lane] = writer._lanes.values()
    assert len(lane.waiting) < 15 * 50
    await asyncio.gather(*tasks, return_exceptions=True)


async def test_while_nothing_answers_nothing_is_given_up_but_what_is_late(
    broker: Broker, writer: KafkaWriter
) -> None:
    broker.away = True
    for _ in range(3):
        with pytest.raises(Unavailable, match="in time"):
            await writer.append(records(1), None)
    await eventually(lambda: not writer._arrived)
    broker.away = False
    await writer.append(records(2), None)
    assert broker.numbers() == [2]


async def test_a_failure_that_cannot_be_told_yet_is_told_later(broker: Broker, writer: KafkaWriter) -> None:
    """Kafka refuses a batch, and goes away before anybody can ask why: the partition must not stand still."""
    await writer.append(records(0), None)
    broker.silent = {0}
    first = append(writer, records(1))
    await eventually(lambda: bool(broker.waiting))
    broker.closed, broker.away = {VISITOR_LOG}, True
    broker.speak(0)
    with pytest.raises(Unavailable, match="in time"):
        await first
    broker.closed, broker.away = set(), False
    await until_taken(writer, records(1))
    assert broker.numbers() == [0, 1]


class TestEpochs:
    """A topic that is closed refuses; the writer asks which log is in force."""

    @pytest.fixture(autouse=True)
    def closed(self, broker: Broker) -> None:
        broker.closed = {VISITOR_LOG}

    async def test_between_two_epochs_nothing_is_taken_and_nothing_given_up(
        self, broker: Broker, writer: KafkaWriter
    ) -> None:
        with pytest.raises(Unavailable, match="closed"):
            await writer.append(records(1, 2, 3), None)
        broker.closed = set()
        await writer.append(records(1, 2, 3), None)
        assert broker.numbers() == [1, 2, 3]

    async def test_all_that_waits_goes_to_the_next_epoch_in_its_order(
        self, broker: Broker, writer: KafkaWriter
    ) -> None:
        tasks = [append(writer, records(n)) for n in range(5)]
        broker.identity = LogIdentity(2, "two", N_PARTITIONS)
        await asyncio.gather(*tasks)
        assert broker.numbers(name=f"{VISITOR_LOG}.e2") == list(range(5))

    async def test_but_not_what_was_made_for_the_old_one(self, broker: Broker, writer: KafkaWriter) -> None:
        old = broker.identity
        task = asyncio.create_task(writer.append(records(1), old))
        other = append(writer, records(2))
        broker.identity = LogIdentity(2, "two", N_PARTITIONS)
        with pytest.raises(EpochClosed, match=r"epoch 1.*epoch 2"):
            await task
        await other
        assert broker.numbers(name=f"{VISITOR_LOG}.e2") == [2]


async def test_what_is_wrong_with_one_call_does_not_fail_others(broker: Broker, writer: KafkaWriter) -> None:
    good = append(writer, records(1))
    for bad in (Record(VISITOR_LOG, "\ud800", b""), Record("no-such-topic", "v", b"")):
        with pytest.raises(InvalidInput):
            await writer.append([bad], None)
    await good

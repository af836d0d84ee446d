"""The log on Apache Kafka: acknowledged by all in-sync replicas, written by an idempotent producer."""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import AsyncIterator, Sequence
from typing import Any

from aiokafka import AIOKafkaConsumer, AIOKafkaProducer, TopicPartition
from aiokafka.admin import AIOKafkaAdminClient, NewTopic
from aiokafka.errors import (
    KafkaError,
    KafkaTimeoutError,
    MessageSizeTooLargeError,
    RequestTimedOutError,
    TopicAlreadyExistsError,
    for_code,
)

from eventlog.kafka_metadata import fetch_metadata
from eventlog.partition import check_partition_count, hash_of
from eventlog.port import Entry, LogIdentity, Position, Record
from eventlog.topics import VISITOR_LOG, Topics
from personalization.errors import InvalidInput, Unavailable

logger = logging.getLogger(__name__)

RECONNECT_S = 0.5
_TRANSIENT = (KafkaTimeoutError, RequestTimedOutError, MessageSizeTooLargeError)


class _Append:
    """One call of ``append`` on its way: done when every record is acknowledged."""

    __slots__ = ("done", "left", "n_bytes", "positions", "records")

    def __init__(self, records: Sequence[Record], n_bytes: int, done: asyncio.Future[list[Position]]) -> None:
        self.records = records
        self.n_bytes = n_bytes
        self.done = done
        self.left = len(records)
        self.positions: list[Position] = [Position("", 0, 0)] * len(records)

    def acknowledged(self, at: int, sent: asyncio.Future[Any]) -> None:
        error = None if sent.cancelled() else sent.exception()
        if self.done.done():
            return
        if sent.cancelled() or error is not None:
            self.done.set_exception(_foreign(error or asyncio.CancelledError()))
            return
        found = sent.result()
        self.positions[at] = Position(self.records[at].topic, found.partition, found.offset)
        self.left -= 1
        if not self.left:
            self.done.set_result(self.positions)


class KafkaLog:
    """``EventLog`` on Apache Kafka 2.8 or later.

    Parameters
    ----------
    servers
        ``host:port`` of one or more brokers, separated by commas.
    topics
        The namespace.
    replication
        Of topics this creates.
    timeout_s
        After which an append raises ``Unavailable``; it may still arrive later.
    linger_ms
        How long records wait for company. Those of one tick travel together anyway.
    max_pending_bytes
        Bound of what is not acknowledged yet; beyond it ``append`` raises ``Unavailable`` at once.
    """

    def __init__(
        self,
        servers: str,
        topics: Topics | None = None,
        *,
        replication: int = 1,
        timeout_s: float = 10.0,
        linger_ms: int = 0,
        max_pending_bytes: int = 64 * 1024 * 1024,
    ) -> None:
        self.servers = servers
        self._topics = topics or Topics()
        self._replication = replication
        self._timeout_s = timeout_s
        self._linger_ms = linger_ms
        self._max_pending_bytes = max_pending_bytes
        self._pending: list[_Append] = []
        self._pending_bytes = 0
        self._wake = asyncio.Event()
        self._producer: AIOKafkaProducer | None = None
        self._writer: asyncio.Task[None] | None = None
        self._connected = asyncio.Event()
        self._connecting = asyncio.Lock()
        self._closing = False
        self._identity: LogIdentity | None = None
        self._names: dict[str, str] = {}

    @property
    def topics(self) -> Topics:
        """The namespace this log lives in."""
        return self._topics

    async def start(self) -> None:
        """Begin connecting, and go on trying while the brokers are away."""
        if self._writer is None:
            self._writer = asyncio.create_task(self._run(), name="log-writer")

    async def close(self) -> None:
        """Send what waits, then disconnect."""
        self._closing = True
        self._wake.set()
        if self._writer is not None:
            if not self._connected.is_set():
                self._writer.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await self._writer
        await self._drop_producer()

    async def create(self, n_partitions: int) -> LogIdentity:
        """Create missing topics of the current epoch (of the first, on a new server)."""
        try:
            identity = await self.identity()
        except Unavailable:
            await self._client()  # unavailable for good, not for want of topics
            return await self._create_topics(n_partitions, epoch=1)
        return await self._create_topics(identity.n_partitions, identity.epoch)

    async def identity(self) -> LogIdentity:
        """The newest epoch's visitor log: its cluster, its topic id."""
        if self._identity is None:
            client = await self._client()
            try:
                cluster = await fetch_metadata(client)
            except KafkaError as error:
                raise _foreign(error) from error
            epochs = {
                epoch: found
                for name, found in cluster.topics.items()
                if (epoch := self._topics.epoch_of(name, VISITOR_LOG)) is not None
            }
            if not epochs:
                raise Unavailable("the log has not been created yet")
            epoch = max(epochs)
            log_id = f"{cluster.cluster_id}/{epochs[epoch].topic_id}"
            self._names = {topic: self._topics.on_server(topic, epoch) for topic in self._topics}
            self._identity = LogIdentity(epoch, log_id, epochs[epoch].n_partitions)
        return self._identity

    async def open_epoch(self, n_partitions: int, after: int = 0) -> LogIdentity:
        """Create the topics of the next epoch. The old ones stay until somebody deletes them."""
        self._identity = None
        try:
            now = (await self.identity()).epoch
        except Unavailable:
            await self._client()
            now = 0
        return await self._create_topics(n_partitions, max(now, after) + 1)

    async def append(self, records: Sequence[Record]) -> list[Position]:
        """Append; see the port."""
        if not records:
            return []
        n_bytes = sum(len(r.value) + len(r.key) for r in records)
        if self._pending_bytes + n_bytes > self._max_pending_bytes:
            raise Unavailable(f"{self._pending_bytes} bytes wait to be acknowledged by Kafka already")
        await self.start()
        loop = asyncio.get_running_loop()
        call = _Append(records, n_bytes, loop.create_future())
        self._pending_bytes += n_bytes
        self._pending.append(call)
        self._wake.set()
        timer = loop.call_later(self._timeout_s, _expire, call)
        try:
            return await call.done
        finally:
            timer.cancel()
            self._pending_bytes -= n_bytes

    async def read(
        self, topic: str, partition: int, from_offset: int, to_offset: int | None = None
    ) -> AsyncIterator[Entry]:
        """Entries in order; see the port."""
        await self.identity()
        at = TopicPartition(self._names[topic], partition)
        async with self._reader() as consumer:
            end = (await consumer.end_offsets([at]))[at] if to_offset is None else to_offset
            start = max(from_offset, (await consumer.beginning_offsets([at]))[at])
            if start >= end:
                return
            consumer.assign([at])
            consumer.seek(at, start)
            while True:
                for found in (await consumer.getmany(at, timeout_ms=1000)).get(at, ()):
                    if found.offset >= end:
                        return
                    yield Entry(found.offset, (found.key or b"").decode(), found.value or b"")
                if await consumer.position(at) >= end:
                    return

    async def end_offsets(self, topic: str) -> list[int]:
        """The offset the next entry will get, per partition."""
        tps = await self._partitions(topic)
        async with self._reader() as consumer:
            found = await consumer.end_offsets(tps)
        return [found[tp] for tp in tps]

    async def earliest_offsets(self, topic: str) -> list[int]:
        """The offset of the oldest entry kept, per partition."""
        tps = await self._partitions(topic)
        async with self._reader() as consumer:
            found = await consumer.beginning_offsets(tps)
        return [found[tp] for tp in tps]

    async def committed_offsets(self, group: str, topic: str) -> list[int | None]:
        """The offset ``group`` will resume at, per partition."""
        tps = await self._partitions(topic)
        async with self._admin() as admin:
            found = await admin.list_consumer_group_offsets(self._topics.prefix + group, partitions=tps)
        return [found[tp].offset if tp in found and found[tp].offset >= 0 else None for tp in tps]

    async def set_trim_floor(self, topic: str, partition: int, offset: int) -> None:
        """Nothing to do: Kafka keeps by age alone."""

    # -- inside -----------------------------------------------------------------------------------------

    async def _run(self) -> None:
        """Connect, and hand records to the producer in the order they came."""
        while not (self._closing and not self._pending):
            await self._wake.wait()
            self._wake.clear()
            while self._pending:
                if not await self._connect():
                    continue
                calls, self._pending = self._pending, []
                for call in calls:
                    await self._send(call)

    async def _connect(self) -> bool:
        if self._connected.is_set():
            return True
        try:
            await self.identity()
        except Unavailable as error:
            logger.warning("log_unavailable: %s", error)
            self._pending = [call for call in self._pending if not call.done.done()]
            await asyncio.sleep(RECONNECT_S)
            return False
        self._connected.set()
        return True

    async def _send(self, call: _Append) -> None:
        assert self._identity is not None
        mask = self._identity.n_partitions - 1
        for at, record in enumerate(call.records):
            if call.done.done():
                return
            try:
                if self._producer is None:
                    await self._client()
                assert self._producer is not None
                sent = await self._producer.send(
                    self._names[record.topic],
                    record.value,
                    key=record.key.encode(),
                    partition=hash_of(record.key) & mask,
                )
            except (KafkaError, Unavailable, OSError) as error:
                if not call.done.done():
                    call.done.set_exception(_foreign(error))
                if not isinstance(error, _TRANSIENT):
                    await self._drop_producer()  # an idempotent producer does not survive a fatal error
                return
            sent.add_done_callback(_Acknowledge(call, at))

    async def _client(self) -> Any:
        """The producer's client, connected."""
        async with self._connecting:
            if self._producer is None:
                producer = AIOKafkaProducer(
                    bootstrap_servers=self.servers,
                    acks="all",
                    enable_idempotence=True,
                    linger_ms=self._linger_ms,
                    request_timeout_ms=int(self._timeout_s * 1000),
                )
                try:
                    await producer.start()
                except (KafkaError, OSError) as error:
                    with contextlib.suppress(Exception):
                        await producer.stop()
                    raise Unavailable(f"Kafka does not answer at {self.servers}: {error}") from error
                self._producer = producer
            return self._producer.client

    async def _drop_producer(self) -> None:
        producer, self._producer = self._producer, None
        self._connected.clear()
        if producer is not None:
            with contextlib.suppress(KafkaError, OSError):
                await asyncio.wait_for(producer.stop(), self._timeout_s)

    async def _create_topics(self, n_partitions: int, epoch: int) -> LogIdentity:
        check_partition_count(n_partitions)
        topics = [
            NewTopic(
                self._topics.on_server(topic, epoch),
                n_partitions,
                self._replication,
                topic_configs={"retention.ms": str(kept.max_age_ms), "cleanup.policy": "delete"},
            )
            for topic, kept in self._topics.retention.items()
        ]
        async with self._admin() as admin:
            response = await admin.create_topics(topics)
        for error in response.topic_errors:
            kind = for_code(error[1])
            if error[1] and kind is not TopicAlreadyExistsError:
                raise Unavailable(f"Kafka did not create {error[0]}: {kind.__name__} {error[2]}")
        return await self._await_topics(epoch)

    async def _await_topics(self, epoch: int) -> LogIdentity:
        """Creation is acknowledged before every broker knows of it."""
        deadline = asyncio.get_running_loop().time() + self._timeout_s
        while True:
            self._identity = None
            with contextlib.suppress(Unavailable):
                identity = await self.identity()
                client = await self._client()
                known = (await fetch_metadata(client)).topics
                if identity.epoch == epoch and all(name in known for name in self._names.values()):
                    await client.force_metadata_update()
                    return identity
            if asyncio.get_running_loop().time() > deadline:
                raise Unavailable("Kafka does not show the topics it has just created")
            await asyncio.sleep(0.05)

    async def _partitions(self, topic: str) -> list[TopicPartition]:
        identity = await self.identity()
        return [TopicPartition(self._names[topic], p) for p in range(identity.n_partitions)]

    @contextlib.asynccontextmanager
    async def _reader(self) -> AsyncIterator[Any]:
        consumer = AIOKafkaConsumer(
            bootstrap_servers=self.servers,
            enable_auto_commit=False,
            auto_offset_reset="earliest",
            fetch_max_wait_ms=100,
            request_timeout_ms=int(self._timeout_s * 1000),
        )
        try:
            await consumer.start()
            yield consumer
        except (KafkaError, OSError) as error:
            raise _foreign(error) from error
        finally:
            await consumer.stop()

    @contextlib.asynccontextmanager
    async def _admin(self) -> AsyncIterator[Any]:
        admin = AIOKafkaAdminClient(bootstrap_servers=self.servers, request_timeout_ms=int(self._timeout_s * 1000))
        try:
            await admin.start()
            yield admin
        except (KafkaError, OSError) as error:
            raise _foreign(error) from error
        finally:
            await admin.close()


class _Acknowledge:
    """A callback without a closure: one is made per record."""

    __slots__ = ("at", "call")

    def __init__(self, call: _Append, at: int) -> None:
        self.call = call
        self.at = at

    def __call__(self, sent: asyncio.Future[Any]) -> None:
        self.call.acknowledged(self.at, sent)


def _expire(call: _Append) -> None:
    if not call.done.done():
        call.done.set_exception(Unavailable("Kafka did not acknowledge in time"))


def _foreign(error: BaseException) -> Exception:
    """Kafka's error as one of ours."""
    if isinstance(error, Unavailable | InvalidInput):
        return error
    if isinstance(error, MessageSizeTooLargeError):
        return InvalidInput("value", f"larger than the log takes: {error}", code="too_large")
    return Unavailable(f"Kafka: {type(error).__name__} {error}".rstrip())

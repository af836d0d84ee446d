"""The log on Apache Kafka: acknowledged by all in-sync replicas, written by an idempotent producer."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Coroutine, Sequence
from typing import Any

from aiokafka import TopicPartition
from aiokafka.errors import (
    GroupCoordinatorNotAvailableError,
    GroupLoadInProgressError,
    KafkaError,
    NotCoordinatorForGroupError,
)

from eventlog.kafka_connection import KafkaConnection, foreign
from eventlog.kafka_metadata import fetch_metadata
from eventlog.kafka_security import PLAINTEXT, KafkaSecurity
from eventlog.kafka_topics import are_closed, close_topics, create_topics, until_closed
from eventlog.kafka_writer import KafkaWriter, Layout
from eventlog.partition import check_partition_count
from eventlog.port import LogEntry, LogIdentity, LogPosition, Record
from eventlog.sealing import opened_value, sealed_records
from eventlog.topics import VISITOR_LOG, Topics
from personalization.data_cipher import CLEAR, DataCipher
from personalization.errors import Unavailable


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
        How long Kafka may take to answer one request.
    append_timeout_s
        How long an append may take, its wait behind others included. One that meets it raises ``Unavailable``;
        it may still arrive, before anything this process appends to the partition afterwards. ``timeout_s`` if
        none is given.
    linger_ms
        How long records wait for company. Those of one tick travel together anyway.
    max_pending_bytes
        Bound of what is not acknowledged yet; beyond it ``append`` raises ``Unavailable`` at once.
    security
        How brokers are spoken to.
    cipher
        Seals what is appended and opens what is read.
    """

    def __init__(
        self,
        servers: str,
        topics: Topics | None = None,
        *,
        replication: int = 1,
        timeout_s: float = 10.0,
        append_timeout_s: float | None = None,
        linger_ms: int = 0,
        max_pending_bytes: int = 64 * 1024 * 1024,
        security: KafkaSecurity = PLAINTEXT,
        cipher: DataCipher = CLEAR,
    ) -> None:
        self.servers = servers
        self.security = security
        self._cipher = cipher
        self._topics = topics or Topics()
        self._replication = replication
        self._timeout_s = timeout_s
        self._connection = KafkaConnection(servers, timeout_s, linger_ms, security)
        self._writer = KafkaWriter(
            self._connection,
            self._layout,
            self._is_closed,
            self._topics.retention,
            timeout_s if append_timeout_s is None else append_timeout_s,
            max_pending_bytes,
        )
        self._identity: LogIdentity | None = None
        self._names: dict[str, str] = {}

    @property
    def topics(self) -> Topics:
        """The namespace this log lives in."""
        return self._topics

    async def start(self) -> None:
        """Begin connecting, and go on trying while the brokers are away."""
        self._writer.start()

    async def close(self) -> None:
        """Send what waits, then disconnect."""
        await self._writer.close()
        await self._connection.drop()

    async def create(self, n_partitions: int) -> LogIdentity:
        """Create missing topics of the current epoch (of the first, on a new server)."""
        try:
            identity = await self.identity()
        except Unavailable:
            await self._connection.client()  # unavailable for good, not for want of topics
            return await self._create_topics(n_partitions, epoch=1)
        return await self._create_topics(identity.n_partitions, identity.epoch)

    async def identity(self, anew: bool = False) -> LogIdentity:
        """The newest epoch's visitor log: its cluster, its topic id."""
        if self._identity is None or anew:
            client = await self._connection.client()
            try:
                cluster = await fetch_metadata(client)
            except KafkaError as error:
                raise foreign(error) from error
            epochs = {
                epoch: found
                for name, found in cluster.topics.items()
                if (epoch := self._topics.epoch_of(name, VISITOR_LOG)) is not None
            }
            if not epochs:
                raise Unavailable(
                    "the log has not been created yet, or it was lost: then `nextbest epoch open` begins another"
                )
            epoch = max(epochs)
            log_id = f"{cluster.cluster_id}/{epochs[epoch].topic_id}"
            self._names = {topic: self._topics.on_server(topic, epoch) for topic in self._topics}
            self._identity = LogIdentity(epoch, log_id, epochs[epoch].n_partitions)
        return self._identity

    async def close_epoch(self) -> None:
        """Make the topics of the epoch in force unwritable; see ``kafka_topics``."""
        await self.identity(anew=True)
        async with self._connection.admin() as admin:
            await close_topics(admin, list(self._names.values()), closed=True)
        try:
            await until_closed(await self._connection.client(), list(self._names.values()), self._timeout_s)
        except KafkaError as error:
            raise foreign(error) from error

    async def reopen_epoch(self) -> None:
        """Make the topics of the epoch in force writable again."""
        await self.identity(anew=True)
        async with self._connection.admin() as admin:
            await close_topics(admin, list(self._names.values()), closed=False)

    async def open_epoch(self, n_partitions: int, after: int = 0) -> LogIdentity:
        """Close the topics of the epoch in force and create those of the next.

        The old ones stay, to be read, until somebody deletes them.
        """
        try:
            now = (await self.identity(anew=True)).epoch
        except Unavailable:
            await self._connection.client()
            now = 0
        else:
            await self.close_epoch()
        return await self._create_topics(n_partitions, max(now, after) + 1)

    def append(
        self, records: Sequence[Record], only_in: LogIdentity | None = None
    ) -> Coroutine[Any, Any, list[LogPosition]]:
        """Append; see the port."""
        return self._writer.append(sealed_records(self._cipher, records), only_in)

    async def until_appended(self) -> None:
        """Wait until any append of this process succeeds."""
        await self._writer.appended.wait()

    async def fill_share(self, topic: str) -> float:
        """Always 0: Kafka keeps by age alone."""
        return 0.0

    async def read(
        self, topic: str, partition: int, from_offset: int, to_offset: int | None = None
    ) -> AsyncIterator[LogEntry]:
        """Entries in order; see the port."""
        await self.identity()
        at = TopicPartition(self._names[topic], partition)
        async with self._connection.reader() as consumer:
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
                    value = opened_value(self._cipher, topic, found.key, found.value)
                    yield LogEntry(found.offset, (found.key or b"").decode(), value)
                if await consumer.position(at) >= end:
                    return

    async def end_offsets(self, topic: str) -> list[int]:
        """The offset the next entry will get, per partition."""
        tps = await self._partitions(topic)
        async with self._connection.reader() as consumer:
            found = await consumer.end_offsets(tps)
        return [found[tp] for tp in tps]

    async def earliest_offsets(self, topic: str) -> list[int]:
        """The offset of the oldest entry kept, per partition."""
        tps = await self._partitions(topic)
        async with self._connection.reader() as consumer:
            found = await consumer.beginning_offsets(tps)
        return [found[tp] for tp in tps]

    async def committed_offsets(self, group: str, topic: str) -> list[int | None]:
        """The offset ``group`` will resume at, per partition."""
        tps = await self._partitions(topic)
        loop = asyncio.get_running_loop()
        deadline = loop.time() + self._timeout_s
        async with self._connection.admin() as admin:
            while True:
                try:
                    found = await admin.list_consumer_group_offsets(self._topics.prefix + group, partitions=tps)
                    break
                except (
                    GroupCoordinatorNotAvailableError,
                    GroupLoadInProgressError,
                    NotCoordinatorForGroupError,
                ):
                    # A new cluster makes its offsets topic when first asked for a coordinator.
                    if loop.time() > deadline:
                        raise
                    await asyncio.sleep(0.1)
        return [found[tp].offset if tp in found and found[tp].offset >= 0 else None for tp in tps]

    async def set_trim_floor(self, topic: str, partition: int, offset: int) -> None:
        """Nothing to do: Kafka keeps by age alone."""

    # -- inside -----------------------------------------------------------------------------------------

    async def _layout(self, anew: bool) -> Layout:
        identity = await self.identity(anew)
        return Layout(identity, self._names)

    async def _is_closed(self, name: str) -> bool:
        async with self._connection.admin() as admin:
            return await are_closed(admin, [name])

    async def _create_topics(self, n_partitions: int, epoch: int) -> LogIdentity:
        check_partition_count(n_partitions)
        retention = {self._topics.on_server(topic, epoch): kept for topic, kept in self._topics.retention.items()}
        async with self._connection.admin() as admin:
            await create_topics(admin, retention, n_partitions, self._replication)
        return await self._await_topics(epoch)

    async def _await_topics(self, epoch: int) -> LogIdentity:
        """Creation is acknowledged before every broker knows of it."""
        deadline = asyncio.get_running_loop().time() + self._timeout_s
        while True:
            with contextlib.suppress(Unavailable):
                identity = await self.identity(anew=True)
                client = await self._connection.client()
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

"""A Faust transport for Redis Streams: one worker owns all partitions under a lease, a second one waits.

``XREAD BLOCK`` over all partitions wakes at once; a commit is one ``HSET``, fenced by the lease's generation.
Sharing partitions among workers is what Kafka is for.
"""

from __future__ import annotations

import logging
from collections.abc import Collection, Iterable, Mapping
from typing import Any, ClassVar

from faust.transport import base
from faust.types import TP, ConsumerMessage
from redis.asyncio import Redis
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff
from redis.exceptions import RedisError

from eventlog.redis_connection import redis_client
from eventlog.redis_keys import group_keys, offset_of, partition_keys
from eventlog.redis_scripts import RAISE_FLOOR
from eventlog.redis_streams import RedisStreamsLog
from eventlog.topics import Trim
from stream.transports.draining import DrainingMixin
from stream.transports.lease import Lease
from stream.transports.log_reader import LogReader
from stream.transports.offsets import PortProducer

logger = logging.getLogger(__name__)

RETRY_S = 0.1
"""Between two tries while Redis is away."""


class _Record:
    """One entry as read: what ``_to_message`` makes a Faust message of."""

    __slots__ = ("key", "offset", "value")

    def __init__(self, offset: int, key: bytes, value: bytes) -> None:
        self.offset = offset
        self.key = key
        self.value = value


class _Consumer(base.Consumer, LogReader):
    """What Faust asks of a consumer, said in Redis commands."""

    def __init__(self, transport: Transport, *args: Any, **kwargs: Any) -> None:
        super().__init__(transport, *args, **kwargs)
        self._log: RedisStreamsLog = self.app.event_log
        conf = self.app.conf
        self._redis: Redis = redis_client(
            self._log.url,
            socket_timeout=conf.broker_request_timeout,
            socket_connect_timeout=2.0,
            retry=Retry(NoBackoff(), 0),
            protocol=2,
        )
        self._lease = Lease(self._redis, conf.id, conf.broker_session_timeout)
        self._raise_floor = self._redis.register_script(RAISE_FLOOR)
        self._group = group_keys("", conf.id)
        self._max_records = conf.broker_max_poll_records or 500
        self._topics: tuple[str, ...] = ()
        self._floored: frozenset[str] = frozenset()
        self._assigned: set[TP] = set()
        self._ends: dict[TP, int] = {}
        self._streams: dict[TP, str] = {}
        self._tps: dict[bytes, TP] = {}
        self._subscribed = False

    # -- ownership --------------------------------------------------------------------------------------

    async def subscribe(self, topics: Iterable[str]) -> None:
        """Remember the topics; the assignment is announced once the lease is ours.

        Faust's conductor waits for this call before it takes an assignment: announcing from here deadlocks.
        """
        self._topics = tuple(sorted(topics))
        if not self._subscribed:
            self._subscribed = True
            self.add_future(self._own())

    async def _own(self) -> None:
        while not self.should_stop:
            generation = await self._lease.acquire()
            identity = await self._log.identity()
            tps = {TP(topic, p) for topic in self._topics for p in range(identity.n_partitions)}
            self._streams = {tp: partition_keys(*tp).stream for tp in tps}
            self._tps = {stream.encode(): tp for tp, stream in self._streams.items()}
            names = self._log.topics
            self._floored = frozenset(
                names.on_server(topic, identity.epoch)
                for topic, kept in names.retention.items()
                if kept.trim is Trim.COMMITTED
            )
            logger.info("lease_owned", extra={"group": self.app.conf.id, "generation": generation})
            self.app.on_rebalance_start()
            await self.on_partitions_revoked(set())
            self.app.consumer_generation_id = generation
            self._assigned = tps
            await self.on_partitions_assigned(set(tps), generation)
            await self._lease.hold()
            logger.warning("lease_lost", extra={"group": self.app.conf.id, "generation": generation})
            self.app.on_rebalance_start()
            await self.on_partitions_revoked(set(tps))
            self._assigned = set()

    async def on_stop(self) -> None:
        """Commit what is acked, then let the standby take over at once."""
        await super().on_stop()
        await self._lease.release()
        await self._redis.aclose()

    def assignment(self) -> set[TP]:
        """All partitions while the lease is ours, else none."""
        return self._assigned

    # -- reading ----------------------------------------------------------------------------------------

    async def read_from(self, offsets: Mapping[TP, int], timeout_s: float) -> dict[TP, list[_Record]]:
        """See ``LogReader``."""
        streams: Any = {self._streams[tp]: f"0-{offset}" for tp, offset in offsets.items()}
        try:
            # COUNT is per stream: all together should fit the agents' buffers.
            count = self.most_at_once(len(streams))
            found: Any = await self._redis.xread(streams, count=count, block=max(1, int(timeout_s * 1000)))
        except (RedisError, OSError) as error:
            logger.warning("redis_not_read", extra={"reason": str(error)})
            await self.sleep(RETRY_S)
            return {}
        records: dict[TP, list[_Record]] = {}
        for stream, entries in found:
            tp = self._tps[stream]
            batch = records[tp] = [_Record(offset_of(i), f[b"k"], f[b"v"]) for i, f in entries]
            self._ends[tp] = max(self._ends.get(tp, 0), batch[-1].offset + 1)
        return records

    def most_at_once(self, n_partitions: int) -> int:
        """See ``LogReader``."""
        return max(1, self._max_records // n_partitions)

    async def _getmany(self, active_partitions: set[TP] | None, timeout: float) -> dict[TP, list[_Record]]:
        raise NotImplementedError("entries are read with read_from")

    def _to_message(self, tp: TP, record: _Record) -> ConsumerMessage:
        # Without the generation Faust drops every message without a word.
        return ConsumerMessage(
            tp.topic,
            tp.partition,
            record.offset,
            0.0,
            0,
            None,
            record.key,
            record.value,
            None,
            len(record.key),
            len(record.value),
            tp,
            generation_id=self.app.consumer_generation_id,
        )

    def _new_topicpartition(self, topic: str, partition: int) -> TP:
        return TP(topic, partition)

    # -- offsets ----------------------------------------------------------------------------------------

    async def resume_offsets(self, tps: Collection[TP]) -> dict[TP, int]:
        """See ``LogReader``."""
        offsets: dict[TP, int] = {}
        for topic in {tp.topic for tp in tps}:
            found = await self._retry(lambda t=topic: self._redis.hgetall(self._group.committed(t)))
            offsets.update({TP(topic, int(p)): int(n) for p, n in found.items()})
        without = [tp for tp in tps if tp not in offsets]
        offsets |= await self._retry(lambda: self.earliest_offsets(*without))
        return {tp: offsets[tp] for tp in tps}

    async def seek_to_beginning(self, *partitions: TP) -> None:
        """Go on at the oldest entry kept."""
        await self.seek_wait(await self.earliest_offsets(*partitions))

    async def _commit(self, offsets: Mapping[TP, int]) -> bool:
        grouped: dict[str, dict[int, int]] = {}
        for tp, offset in offsets.items():
            grouped.setdefault(tp.topic, {})[tp.partition] = offset
        try:
            if not await self._lease.commit(grouped):
                return False
            for topic in self._floored & grouped.keys():
                for partition, offset in grouped[topic].items():
                    meta = partition_keys(topic, partition).meta
                    await self._raise_floor(keys=[meta], args=[offset])
        except (RedisError, OSError) as error:
            logger.warning("redis_not_committed", extra={"reason": str(error)})
            return False
        return True

    # -- what Faust also asks -----------------------------------------------------------------------------

    def highwater(self, tp: TP) -> int:
        """The end of the partition as far as this worker has seen it."""
        return self._ends.get(tp, 0)

    async def highwaters(self, *partitions: TP) -> dict[TP, int]:
        """The ends of partitions."""
        ends = [await self._redis.hget(partition_keys(*tp).meta, "n") for tp in partitions]
        return {tp: int(end or 0) for tp, end in zip(partitions, ends, strict=True)}

    async def earliest_offsets(self, *partitions: TP) -> dict[TP, int]:
        """The oldest entries kept, or the ends of partitions that keep none."""
        ends = await self.highwaters(*partitions)  # first: what comes meanwhile is above it
        oldest: dict[TP, Any] = {
            tp: await self._redis.xrange(partition_keys(*tp).stream, count=1) for tp in partitions
        }
        return {tp: offset_of(oldest[tp][0][0]) if oldest[tp] else ends[tp] for tp in partitions}

    def topic_partitions(self, topic: str) -> int | None:
        """How many partitions a topic has."""
        return len({tp for tp in self._assigned if tp.topic == topic}) or None

    def key_partition(self, topic: str, key: bytes | None, partition: int | None = None) -> int | None:
        """Only the partition that was given: producers decide it before they come here."""
        return partition

    async def create_topic(self, topic: str, *args: Any, **kwargs: Any) -> None:
        """Nothing to do: a stream comes into being with its first entry."""

    async def _retry(self, call: Any) -> Any:
        while True:
            try:
                return await call()
            except (RedisError, OSError) as error:
                logger.warning("redis_does_not_answer", extra={"reason": str(error)})
                if await self.sleep(RETRY_S) or self.should_stop:
                    raise


class Consumer(DrainingMixin, _Consumer):
    """The consumer Faust runs."""


class Transport(base.Transport):
    """Registered for URLs of the scheme ``redis+streams``; the app carries the log (``worker_app``)."""

    Consumer: ClassVar[type[Consumer]] = Consumer
    Producer: ClassVar[type[PortProducer]] = PortProducer

    default_port = 6379
    driver_version = "redis-streams"

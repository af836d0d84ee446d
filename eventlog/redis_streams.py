"""The log on Redis Streams: one machine, one Redis, nothing else to operate.

Durable by Redis's append-only file; bounded by bytes and age, and never trimmed before it is folded: a full
log refuses instead. All appends of one event-loop tick, and all that arrive while a call is under way, become
one Lua call, so that their cost falls as the load rises.
"""

from __future__ import annotations

import asyncio
import time
import uuid
from collections.abc import AsyncIterator, Sequence
from typing import Any

import msgspec
from redis.asyncio import Redis
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff
from redis.exceptions import NoScriptError, OutOfMemoryError, RedisError

from eventlog import redis_scripts as scripts
from eventlog.partition import check_partition_count, hash_of
from eventlog.port import Entry, LogIdentity, Position, Record
from eventlog.redis_keys import entry_id, group_keys, identity_key, offset_of, partition_keys
from eventlog.topics import Topics, Trim
from personalization.errors import LogFull, Unavailable

N_SEGMENTS = 64
"""A partition is trimmed by whole segments of a 64th of its bytes or age: it keeps within 2 % of its bound,
and one trim drops at most about a megabyte by default, 1–2 ms of Redis's time."""

READ_COUNT = 500

_encode = msgspec.msgpack.Encoder().encode


class RedisStreamsLog:
    """``EventLog`` on Redis Streams.

    Parameters
    ----------
    url
        ``redis://host:port/db``, ``rediss://…`` or ``unix:///path?db=0``.
    topics
        The namespace.
    timeout_s
        How long one call may take. An append that meets it raises ``Unavailable``, and may have happened.
    max_pending_bytes
        Bound of what waits to be sent; beyond it ``append`` raises ``Unavailable`` at once.
    headroom_share
        How far beyond a topic's bytes this one may still append. Who reads the log needs some: a log filled to
        its bound with entries not folded yet must still take what folding them emits, or neither ever ends.
    """

    def __init__(
        self,
        url: str,
        topics: Topics | None = None,
        *,
        timeout_s: float = 2.0,
        max_pending_bytes: int = 64 * 1024 * 1024,
        headroom_share: float = 0.0,
    ) -> None:
        self.url = url
        self._topics = topics or Topics()
        self._room = 1.0 + headroom_share
        self._redis: Redis = Redis.from_url(
            url,
            socket_timeout=timeout_s,
            socket_connect_timeout=timeout_s,
            retry=Retry(NoBackoff(), 0),
            single_connection_client=False,
        )
        self._max_pending_bytes = max_pending_bytes
        self._pending: list[tuple[Sequence[Record], asyncio.Future[list[Position]]]] = []
        self._pending_bytes = 0
        self._writer: asyncio.Task[None] | None = None
        self._identity: LogIdentity | None = None
        self._keys: dict[tuple[str, int], tuple[str, str, str]] = {}
        self._limits: dict[str, tuple[int, int, int, int, int]] = {}
        self._append = self._redis.register_script(scripts.APPEND)
        self._create = self._redis.register_script(scripts.CREATE)
        self._raise_floor = self._redis.register_script(scripts.RAISE_FLOOR)

    @property
    def topics(self) -> Topics:
        """The namespace this log lives in."""
        return self._topics

    async def start(self) -> None:
        """Nothing to do: connections open when first used."""

    async def close(self) -> None:
        """Send what waits, then disconnect."""
        if self._writer is not None and not self._writer.done():
            await asyncio.wait([self._writer])
        await self._redis.aclose()

    async def create(self, n_partitions: int) -> LogIdentity:
        """Give the log its identity unless it has one; streams come into being with their first entry."""
        return await self._create_epoch(n_partitions, least_epoch=1)

    async def identity(self) -> LogIdentity:
        """Which log this is."""
        if self._identity is None:
            epoch, log_id, n_partitions = await self._call(
                self._redis.hmget(identity_key(self._topics.prefix), ["epoch", "log_id", "n_partitions"])
            )
            if epoch is None:
                raise Unavailable("the log has not been created yet")
            self._learn(epoch, log_id, n_partitions)
            assert self._identity is not None
        return self._identity

    async def open_epoch(self, n_partitions: int, after: int = 0) -> LogIdentity:
        """Open the next epoch: new, empty streams. The old ones stay until somebody deletes them."""
        self._identity = None
        try:
            now = (await self.identity()).epoch
        except Unavailable:
            now = 0
        return await self._create_epoch(n_partitions, least_epoch=max(now, after) + 1)

    async def append(self, records: Sequence[Record]) -> list[Position]:
        """Append; see the port. ``LogFull`` refuses all of ``records`` and leaves none of them behind."""
        if not records:
            return []
        n_bytes = sum(len(r.value) + len(r.key) for r in records)
        if self._pending_bytes + n_bytes > self._max_pending_bytes:
            raise Unavailable(f"{self._pending_bytes} bytes wait to be written to Redis already")
        self._pending_bytes += n_bytes
        done: asyncio.Future[list[Position]] = asyncio.get_running_loop().create_future()
        self._pending.append((records, done))
        if self._writer is None or self._writer.done():
            # The task starts in the next turn of the loop: everything appended in this one goes along.
            self._writer = asyncio.create_task(self._write(), name="log-writer")
        return await done

    async def read(
        self, topic: str, partition: int, from_offset: int, to_offset: int | None = None
    ) -> AsyncIterator[Entry]:
        """Entries in order; see the port."""
        stream = self._partition_keys(await self.identity(), topic, partition)[0]
        end = (await self.end_offsets(topic))[partition] if to_offset is None else to_offset
        while from_offset < end:
            found: list[tuple[bytes, dict[bytes, bytes]]] = await self._call(
                self._redis.xrange(stream, entry_id(from_offset), entry_id(end - 1), count=READ_COUNT)
            )
            for entry, fields in found:
                yield Entry(offset_of(entry), fields[b"k"].decode(), fields[b"v"])
            if len(found) < READ_COUNT:
                return
            from_offset = offset_of(found[-1][0]) + 1

    async def end_offsets(self, topic: str) -> list[int]:
        """The offset the next entry will get, per partition."""
        identity = await self.identity()
        pipe = self._redis.pipeline(transaction=False)
        for partition in range(identity.n_partitions):
            pipe.hget(self._partition_keys(identity, topic, partition)[1], "n")
        return [int(n or 0) for n in await self._call(pipe.execute())]

    async def earliest_offsets(self, topic: str) -> list[int]:
        """The offset of the oldest entry kept, per partition."""
        identity = await self.identity()
        pipe = self._redis.pipeline(transaction=False)
        for partition in range(identity.n_partitions):
            keys = self._partition_keys(identity, topic, partition)
            pipe.xrange(keys[0], count=1)
            pipe.hget(keys[1], "n")
        replies: list[Any] = await self._call(pipe.execute())
        return [
            offset_of(first[0][0]) if first else int(n or 0)
            for first, n in zip(replies[::2], replies[1::2], strict=True)
        ]

    async def committed_offsets(self, group: str, topic: str) -> list[int | None]:
        """The offset ``group`` will resume at, per partition."""
        identity = await self.identity()
        keys = group_keys(self._topics.prefix, group)
        found: dict[bytes, bytes] = await self._call(
            self._redis.hgetall(keys.committed(self._topics.on_server(topic, identity.epoch)))
        )
        offsets = {int(partition): int(offset) for partition, offset in found.items()}
        return [offsets.get(partition) for partition in range(identity.n_partitions)]

    async def set_trim_floor(self, topic: str, partition: int, offset: int) -> None:
        """Let entries below ``offset`` go when room is needed. A floor only rises."""
        keys = self._partition_keys(await self.identity(), topic, partition)
        await self._call(self._raise_floor(keys=[keys[1]], args=[offset]))

    async def fill_share(self, topic: str) -> float:
        """How full the fullest partition of ``topic`` is, 0 to 1."""
        identity = await self.identity()
        pipe = self._redis.pipeline(transaction=False)
        for partition in range(identity.n_partitions):
            pipe.hmget(self._partition_keys(identity, topic, partition)[1], ["written", "base"])
        found = await self._call(pipe.execute())
        most_bytes = max(int(written or 0) - int(base or 0) for written, base in found)
        bound_bytes = max(1, self._topics.retention[topic].max_bytes // identity.n_partitions)
        return min(1.0, most_bytes / bound_bytes)

    async def delete(self, topic: str, partition: int, offsets: Sequence[int]) -> int:
        """Erase single entries; returns how many there were. Offsets are then no longer dense."""
        stream = self._partition_keys(await self.identity(), topic, partition)[0]
        return int(await self._call(self._redis.xdel(stream, *map(entry_id, offsets))))

    async def _create_epoch(self, n_partitions: int, least_epoch: int) -> LogIdentity:
        found = await self._call(
            self._create(
                keys=[identity_key(self._topics.prefix)],
                args=[uuid.uuid4().hex, check_partition_count(n_partitions), least_epoch],
            )
        )
        self._learn(*found)
        assert self._identity is not None
        return self._identity

    def _learn(self, epoch: bytes, log_id: bytes, n_partitions: bytes) -> None:
        self._identity = LogIdentity(int(epoch), log_id.decode(), int(n_partitions))
        self._keys.clear()
        self._limits = {
            topic: (
                max(1, int(r.max_bytes * self._room) // self._identity.n_partitions),
                max(1, r.max_bytes // self._identity.n_partitions // N_SEGMENTS),
                r.max_age_ms,
                max(1, r.max_age_ms // N_SEGMENTS),
                int(r.trim is Trim.ANY),
            )
            for topic, r in self._topics.retention.items()
        }

    def _partition_keys(self, identity: LogIdentity, topic: str, partition: int) -> tuple[str, str, str]:
        keys = self._keys.get((topic, partition))
        if keys is None:
            name = self._topics.on_server(topic, identity.epoch)
            keys = self._keys[topic, partition] = partition_keys(name, partition)
        return keys

    async def _write(self) -> None:
        """Send what waits until nothing does: one call at a time, so that order is kept."""
        while self._pending:
            batch, self._pending = self._pending, []
            self._pending_bytes = 0
            try:
                await self._write_batch(batch)
            except Exception as error:
                for _, done in batch:
                    if not done.done():
                        done.set_exception(error)

    async def _write_batch(self, batch: list[tuple[Sequence[Record], asyncio.Future[list[Position]]]]) -> None:
        identity = await self.identity()
        mask = identity.n_partitions - 1
        index: dict[tuple[str, int], int] = {}
        keys: list[str] = []
        limits: list[tuple[int, int, int, int, int]] = []
        appends: list[list[int]] = []
        args: list[str | bytes] = [b""]
        where: list[tuple[str, int]] = []
        for records, _ in batch:
            places = []
            for record in records:
                place = (record.topic, hash_of(record.key) & mask)
                at = index.get(place)
                if at is None:
                    at = index[place] = len(index) + 1
                    keys.extend(self._partition_keys(identity, *place))
                    limits.append(self._limits[record.topic])
                places.append(at)
                where.append(place)
                args += (record.key, record.value)
            appends.append(places)
        args[0] = _encode((time.time_ns() // 1_000_000, limits, appends))
        offsets = await self._call(self._append(keys=keys, args=args))
        i = 0
        for records, done in batch:
            last = i + len(records)
            if not done.done():
                if offsets[i] < 0:
                    done.set_exception(LogFull("the log holds as much as it may, and not all of it was read yet"))
                else:
                    done.set_result(
                        [Position(t, p, n) for (t, p), n in zip(where[i:last], offsets[i:last], strict=True)]
                    )
            i = last

    async def _call(self, call: Any) -> Any:
        try:
            return await call
        except OutOfMemoryError as error:
            raise LogFull(f"Redis is out of memory: {error}") from error
        except NoScriptError as error:  # redis-py loads and repeats by itself; here the server lost it twice
            raise Unavailable(f"Redis lost its scripts: {error}") from error
        except (RedisError, OSError) as error:
            raise Unavailable(f"Redis does not answer: {error}") from error

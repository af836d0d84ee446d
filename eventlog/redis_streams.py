"""The log on Redis Streams: one machine, one Redis, nothing else to operate.

Durable by Redis's append-only file; bounded by bytes and age, and never trimmed before it is folded: a full
log refuses instead. All appends of one event-loop tick, and all that arrive while a call is under way, become
one Lua call, so that their cost falls as the load rises.
"""

from __future__ import annotations

import uuid
from collections.abc import AsyncIterator, Coroutine, Sequence
from typing import Any

from redis.asyncio import Redis
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff
from redis.exceptions import RedisError

from eventlog import redis_scripts as scripts
from eventlog.partition import check_partition_count
from eventlog.pipelined_script import PipelinedScript
from eventlog.port import LogEntry, LogIdentity, LogPosition, Record
from eventlog.redis_connection import redis_client
from eventlog.redis_errors import translated
from eventlog.redis_keys import PartitionKeys, entry_id, group_keys, identity_key, offset_of, partition_keys
from eventlog.redis_pipeline import RedisPipeline
from eventlog.redis_writer import Layout, Limits, RedisWriter
from eventlog.sealing import opened_value, sealed_records
from eventlog.topics import Topics, Trim
from personalization.data_cipher import CLEAR, DataCipher
from personalization.errors import StorageFull, Unavailable

N_SEGMENTS = 64
"""A partition is trimmed by whole segments of a 64th of its bytes or age: it keeps within 2 % of its bound,
and one trim drops at most about a megabyte by default, 1–2 ms of Redis's time."""

READ_COUNT = 500

PURGE_SLICE = 200
"""Entries copied in one call: some milliseconds, in which Redis answers nobody else."""

PURGE_ATTEMPTS = 3
"""Of two erasers at once, of which one was paused, one begins again."""

WORKER_TIMEOUT_S = 10.0

NOT_CREATED = "the log has not been created yet, or it was lost: then `nextbest epoch open` begins another"


class RedisStreamsLog:
    """``EventLog`` on Redis Streams.

    Parameters
    ----------
    url
        ``redis://host:port/db``, ``rediss://…`` or ``unix:///path?db=0``.
    topics
        The namespace.
    timeout_s
        How long Redis may take to answer one call.
    append_timeout_s
        How long an append may take, its wait behind others included; 10 s if nothing is given, as workers have
        no deadline to keep. One that meets it raises ``Unavailable``, and may have happened.
    max_pending_bytes
        Bound of what waits to be sent; beyond it ``append`` raises ``Unavailable`` at once.
    headroom_share
        How far beyond a topic's bytes this one may still append. Who reads the log needs some: a log filled to
        its bound with entries not folded yet must still take what folding them emits, or neither ever ends.
    cipher
        Seals what is appended and opens what is read.
    """

    def __init__(
        self,
        url: str,
        topics: Topics | None = None,
        *,
        timeout_s: float = 2.0,
        append_timeout_s: float | None = None,
        max_pending_bytes: int = 64 * 1024 * 1024,
        headroom_share: float = 0.0,
        cipher: DataCipher = CLEAR,
    ) -> None:
        self.url = url
        self._cipher = cipher
        self._topics = topics or Topics()
        self._room = 1.0 + headroom_share
        self._redis: Redis = redis_client(
            url,
            socket_timeout=timeout_s,
            socket_connect_timeout=timeout_s,
            retry=Retry(NoBackoff(), 0),
        )
        self._identity: LogIdentity | None = None
        self._keys: dict[tuple[str, int], PartitionKeys] = {}
        self._limits: dict[str, Limits] = {}
        self._pipeline = RedisPipeline(url, timeout_s)
        self._append = PipelinedScript(self._pipeline, scripts.APPEND, timeout_s)
        self._trim_by_age = self._redis.register_script(scripts.TRIM_BY_AGE)
        self._create = self._redis.register_script(scripts.CREATE)
        self._close = self._redis.register_script(scripts.CLOSE)
        self._fill = self._redis.register_script(scripts.FILL)
        self._copy = self._redis.register_script(scripts.COPY)
        self._swap = self._redis.register_script(scripts.SWAP)
        self._raise_floor = self._redis.register_script(scripts.RAISE_FLOOR)
        self._writer = RedisWriter(
            self._append_script,
            self._layout,
            self._another_layout,
            self._topics.retention,
            WORKER_TIMEOUT_S if append_timeout_s is None else append_timeout_s,
            max_pending_bytes,
        )

    @property
    def topics(self) -> Topics:
        """The namespace this log lives in."""
        return self._topics

    async def start(self) -> None:
        """Nothing to do: connections open when first used."""

    async def close(self) -> None:
        """Send what waits, then disconnect."""
        await self._writer.close()
        self._append.close()
        await self._pipeline.aclose()
        await self._redis.aclose()

    async def create(self, n_partitions: int) -> LogIdentity:
        """Give the log its identity unless it has one; streams come into being with their first entry."""
        return await self._create_epoch(n_partitions, least_epoch=1)

    async def identity(self, anew: bool = False) -> LogIdentity:
        """Which log this is."""
        if self._identity is None or anew:
            epoch, log_id, n_partitions = await self._call(
                self._redis.hmget(identity_key(self._topics.prefix), ["epoch", "log_id", "n_partitions"])
            )
            if epoch is None:
                raise Unavailable(NOT_CREATED)
            self._learn(epoch, log_id, n_partitions)
            assert self._identity is not None
        return self._identity

    async def close_epoch(self) -> None:
        """Let the append script refuse everything from now on."""
        if not await self._call(self._close(keys=[identity_key(self._topics.prefix)], args=[1])):
            raise Unavailable(NOT_CREATED)

    async def reopen_epoch(self) -> None:
        """Undo ``close_epoch``."""
        await self._call(self._close(keys=[identity_key(self._topics.prefix)], args=[0]))

    async def open_epoch(self, n_partitions: int, after: int = 0) -> LogIdentity:
        """Open the next epoch: new, empty streams. The old ones go by age.

        One script gives the log its new identity, which the append script compares: nothing is appended to the
        old epoch from then on.
        """
        try:
            before = await self.identity(anew=True)
        except Unavailable:
            return await self._create_epoch(n_partitions, least_epoch=after + 1)
        opened = await self._create_epoch(n_partitions, least_epoch=max(before.epoch, after) + 1)
        await self._let_go(before)
        return opened

    async def _let_go(self, before: LogIdentity) -> None:
        """Have the streams of an epoch that is over go when the newest of their entries are too old."""
        pipe = self._redis.pipeline(transaction=False)
        for topic, kept in self._topics.retention.items():
            for partition in range(before.n_partitions):
                for name in partition_keys(self._topics.on_server(topic, before.epoch), partition):
                    pipe.pexpire(name, kept.max_age_ms)
        await self._call(pipe.execute())

    def append(
        self, records: Sequence[Record], only_in: LogIdentity | None = None
    ) -> Coroutine[Any, Any, list[LogPosition]]:
        """Append; see the port. ``LogFull`` refuses all of ``records`` and leaves none of them behind."""
        return self._writer.append(sealed_records(self._cipher, records), only_in)

    async def until_appended(self) -> None:
        """Wait until any append of this process succeeds."""
        await self._writer.appended.wait()

    async def fill_share(self, topic: str) -> float:
        """How full the fullest partition is, counting what may not be trimmed; see the port."""
        identity = await self.identity()
        kept = self._topics.retention[topic]
        if kept.trim is Trim.ANY:
            return 0.0
        keys = [
            key for partition in range(identity.n_partitions) for key in self._partition_keys(topic, partition)[1:]
        ]
        bound = max(1, kept.max_bytes // identity.n_partitions)
        found: list[int] = await self._call(self._fill(keys=keys))
        return min(1.0, max(found) / bound)

    async def read(
        self, topic: str, partition: int, from_offset: int, to_offset: int | None = None
    ) -> AsyncIterator[LogEntry]:
        """Entries in order; see the port."""
        stream = (await self._keys_of(topic, partition))[0]
        end = (await self.end_offsets(topic))[partition] if to_offset is None else to_offset
        while from_offset < end:
            found: list[tuple[bytes, dict[bytes, bytes]]] = await self._call(
                self._redis.xrange(stream, entry_id(from_offset), entry_id(end - 1), count=READ_COUNT)
            )
            for entry, fields in found:
                value = opened_value(self._cipher, topic, fields[b"k"], fields[b"v"])
                yield LogEntry(offset_of(entry), fields[b"k"].decode(), value)
            if len(found) < READ_COUNT:
                return
            from_offset = offset_of(found[-1][0]) + 1

    async def end_offsets(self, topic: str) -> list[int]:
        """The offset the next entry will get, per partition."""
        identity = await self.identity()
        pipe = self._redis.pipeline(transaction=False)
        for partition in range(identity.n_partitions):
            pipe.hget(self._partition_keys(topic, partition)[1], "n")
        return [int(n or 0) for n in await self._call(pipe.execute())]

    async def earliest_offsets(self, topic: str) -> list[int]:
        """The offset from which on everything is kept, per partition, save what was erased by itself."""
        identity = await self.identity()
        pipe = self._redis.pipeline(transaction=False)
        for partition in range(identity.n_partitions):
            keys = self._partition_keys(topic, partition)
            pipe.lindex(keys[2], 0)
            pipe.hget(keys[1], "n")
        replies: list[Any] = await self._call(pipe.execute())
        return [
            int(oldest.split()[0]) if oldest else int(n or 0)
            for oldest, n in zip(replies[::2], replies[1::2], strict=True)
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
        keys = await self._keys_of(topic, partition)
        await self._call(self._raise_floor(keys=[keys[1]], args=[offset]))

    async def trim_by_age(self, now_ms: int) -> int:
        """Drop what is too old in all partitions, a segment at a time; see the port."""
        identity = await self.identity()
        n_dropped = 0
        for topic, (_, _, max_age_ms, segment_ms, trims_anything) in self._limits.items():
            for partition in range(identity.n_partitions):
                keys = [*self._partition_keys(topic, partition)]
                limits = [now_ms, max_age_ms, segment_ms, trims_anything]
                while await self._call(self._trim_by_age(keys=keys, args=limits)):
                    n_dropped += 1
        return n_dropped

    async def delete(self, topic: str, partition: int, offsets: Sequence[int]) -> int:
        """Erase single entries; returns how many there were. Offsets are then no longer dense."""
        stream = (await self._keys_of(topic, partition))[0]
        return int(await self._call(self._redis.xdel(stream, *map(entry_id, offsets))))

    async def purge(self, topic: str, partition: int) -> bool:
        """Let go of the bytes of erased entries; see the port. Takes as much memory again as the partition has.

        Redis only marks an entry as erased while others stand in the same block, and writes the whole block to its
        files. So the stream is copied, a slice at a time, and the copy takes its place.
        """
        stream = (await self._keys_of(topic, partition))[0]
        copy, old = (f"{stream}:{what}:{uuid.uuid4().hex}" for what in ("copy", "old"))
        try:
            for _ in range(PURGE_ATTEMPTS):
                last: bytes | str = "0-0"
                while found := await self._call(self._copy(keys=[stream, copy], args=[last, PURGE_SLICE])):
                    last = found
                if await self._call(self._swap(keys=[stream, copy, old], args=[last])):
                    return True
        except StorageFull:
            await self._call(self._redis.unlink(copy))
        return False

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

    def _partition_keys(self, topic: str, partition: int) -> PartitionKeys:
        """The keys of a partition in the epoch that is known."""
        keys = self._keys.get((topic, partition))
        if keys is None:
            assert self._identity is not None
            name = self._topics.on_server(topic, self._identity.epoch)
            keys = self._keys[topic, partition] = partition_keys(name, partition)
        return keys

    async def _keys_of(self, topic: str, partition: int) -> PartitionKeys:
        await self.identity()
        return self._partition_keys(topic, partition)

    async def _append_script(self, keys: list[str], args: list[str | bytes]) -> Any:
        return await self._call(self._append([*keys, identity_key(self._topics.prefix)], args))

    async def _layout(self) -> Layout:
        return Layout(await self.identity(), self._limits, self._partition_keys)

    async def _another_layout(self) -> Layout:
        await self.identity(anew=True)
        return await self._layout()

    async def _call(self, call: Any) -> Any:
        try:
            return await call
        except (RedisError, OSError) as error:
            raise translated(error) from error

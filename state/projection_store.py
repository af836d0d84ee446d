"""What the projector keeps in Redis: how far it has read, the sums up to there, and rows of where records stand.

Sums and positions are written by one script, which compares the positions first: what was written already is not
added again, whoever tries it, and however late.
"""

from __future__ import annotations

import struct
import time
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Any, NamedTuple, cast

from redis.asyncio import Redis

from personalization.projecting.record_rows import Column, RowsOfBatch
from personalization.projecting.sums import ReadSums, Sums
from state.keys import Keys

_ADVANCE = """
-- KEYS: positions; a hash of sums per bucket. ARGV: how many positions; of each its name, where it has to stand
-- ('': nowhere), and where it stands then; per bucket: when it may go, how many sums, and name and numbers of each
-- (doubles, little endian), which are added to those that are there.
-- Returns where the positions stand now, '' for nowhere. Nothing is written unless all stood where they had to.
local n = tonumber(ARGV[1])
local names, stands, as_they_should = {}, {}, true
for i = 1, n do names[i] = ARGV[3 * i - 1] end
for i, now in ipairs(redis.call('HMGET', KEYS[1], unpack(names))) do
  stands[i] = now or ''
  if stands[i] ~= ARGV[3 * i] then as_they_should = false end
end
if not as_they_should then return stands end
for i = 1, n do
  stands[i] = ARGV[3 * i + 1]
  redis.call('HSET', KEYS[1], names[i], stands[i])
end
local a = 3 * n + 2
for k = 2, #KEYS do
  local until_ms, n_sums = ARGV[a], tonumber(ARGV[a + 1])
  a = a + 2
  for _ = 1, n_sums do
    local name, more = ARGV[a], ARGV[a + 1]
    a = a + 2
    local sum = redis.call('HGET', KEYS[k], name)
    if sum then
      local n_bytes = math.max(#sum, #more)
      local form = '<' .. string.rep('d', n_bytes / 8)
      local x = {struct.unpack(form, sum .. string.rep('\\0', n_bytes - #sum))}
      local y = {struct.unpack(form, more .. string.rep('\\0', n_bytes - #more))}
      for i = 1, n_bytes / 8 do x[i] = x[i] + y[i] end
      more = struct.pack(form, unpack(x, 1, n_bytes / 8))
    end
    redis.call('HSET', KEYS[k], name, more)
  end
  redis.call('PEXPIREAT', KEYS[k], until_ms)
end
return stands
"""


EXPIRY_SHARE = 8
"""Of the time after which rows go that nobody writes: so often it is said anew of those that are written."""

MAX_EXPIRIES = 10_000


class Place(NamedTuple):
    """A partition of a topic."""

    topic: str
    partition: int


@dataclass(slots=True)
class Step:
    """A succession of entries of one partition, as it is written.

    Attributes
    ----------
    stands
        Where the position has to stand; None: nowhere yet.
    reached
        Where it stands then: the offset that is read next.
    """

    place: Place
    stands: int | None
    reached: int
    rows: Mapping[Column, RowsOfBatch] = field(default_factory=dict)


class ProjectionStore:
    """What the projector keeps of one epoch of the log.

    Parameters
    ----------
    rows_ms
        Rows that nobody writes any more go after this time.
    """

    def __init__(self, redis: Redis, keys: Keys, epoch: int, rows_ms: int = 0) -> None:
        self._redis = redis
        self._keys = keys
        self._epoch = epoch
        self._rows_ms = rows_ms
        self._expires_s: dict[str, float] = {}

    async def begin(self) -> None:
        """Note that a projector is at work."""
        await cast("Any", self._redis.hsetnx(self._keys.projected(self._epoch), "begun", "1"))

    async def positions(self) -> dict[Place, int] | None:
        """By partition, the offset that is read next; one never read is absent. None: no projector began."""
        found: dict[bytes, bytes] = await cast("Any", self._redis.hgetall(self._keys.projected(self._epoch)))
        if not found:
            return None
        return {place: int(value) for name, value in found.items() if (place := _place_of(name.decode()))}

    async def advance(self, steps: Sequence[Step], sums: Sums) -> list[int | None]:
        """Write steps, and add what they add to sums; where each position stands then.

        Unless all positions stood where they had to, nothing is added and none moves: somebody else has written. If
        that was the same, because an answer was lost, they stand where they should all the same.
        """
        pipeline, now_s, expiring = self._redis.pipeline(transaction=False), time.monotonic(), list[str]()
        for step in steps:  # rows first: who finds a position finds the rows below it
            for column, rows in step.rows.items():
                for segment, at, data in rows.segments():
                    name = self._keys.record_rows(self._epoch, *step.place, column, segment)
                    pipeline.setrange(name, at, cast("Any", data))
                    if self._rows_ms and self._expires_s.get(name, 0.0) < now_s:
                        pipeline.pexpire(name, self._rows_ms)
                        expiring.append(name)
        names = [self._keys.projected(self._epoch), *(self._keys.sums(bucket.name) for bucket in sums)]
        arguments: list[Any] = [len(steps)]
        for step in steps:
            arguments += [_name_of(step.place), "" if step.stands is None else step.stands, step.reached]
        for bucket, of_bucket in sums.items():
            arguments += [bucket.until_ms, len(of_bucket)]
            for name, numbers in of_bucket.items():
                arguments += [name, _doubles(len(numbers)).pack(*numbers)]
        pipeline.eval(_ADVANCE, len(names), *names, *arguments)
        *_, stands = await cast("Any", pipeline.execute())
        if len(self._expires_s) > MAX_EXPIRIES:
            self._expires_s.clear()
        self._expires_s.update(dict.fromkeys(expiring, now_s + self._rows_ms / 1000 / EXPIRY_SHARE))
        return [int(each) if each else None for each in stands]

    async def begin_rows(self, place: Place, segment: int) -> None:
        """Note that no rows stand before ``segment``, unless it is noted where they begin."""
        name = _kept_name(place)
        await cast("Any", self._redis.hsetnx(self._keys.projected(self._epoch), name, str(segment)))

    async def keep_rows_from(self, place: Place, columns: Iterable[Column], segment: int) -> None:
        """Let the rows of all segments before ``segment`` go."""
        kept_from = await self.kept_from(place)
        if segment <= kept_from:
            return
        pipeline = self._redis.pipeline(transaction=False)
        for each in range(kept_from, segment):
            pipeline.unlink(*(self._keys.record_rows(self._epoch, *place, column, each) for column in columns))
        pipeline.hset(self._keys.projected(self._epoch), _kept_name(place), str(segment))
        await cast("Any", pipeline.execute())

    async def kept_from(self, place: Place) -> int:
        """The first segment of rows that is kept of a partition."""
        name = _kept_name(place)
        return int(await cast("Any", self._redis.hget(self._keys.projected(self._epoch), name)) or 0)

    async def rows(self, column: Column, segments: Sequence[tuple[Place, int]]) -> list[bytes]:
        """The rows of segments; nothing of those that went."""
        if not segments:
            return []
        names = [self._keys.record_rows(self._epoch, *place, column, segment) for place, segment in segments]
        found: list[bytes | None] = await cast("Any", self._redis.mget(names))
        return [rows or b"" for rows in found]

    async def read_sums(self, buckets: Sequence[str]) -> list[ReadSums]:
        """See ``read_sums``."""
        return await read_sums(self._redis, self._keys, buckets)


async def read_sums(redis: Redis, keys: Keys, buckets: Sequence[str]) -> list[ReadSums]:
    """The sums of buckets, by name; none of those that went, or that nothing was added to."""
    if not buckets:
        return []
    pipeline = redis.pipeline(transaction=False)
    for bucket in buckets:
        pipeline.hgetall(keys.sums(bucket))
    found: list[dict[bytes, bytes]] = await cast("Any", pipeline.execute())
    return [
        {name.decode(): _doubles(len(numbers) // 8).unpack(numbers) for name, numbers in sums.items()}
        for sums in found
    ]


@lru_cache(64)
def _doubles(n_numbers: int) -> struct.Struct:
    return struct.Struct(f"<{n_numbers}d")


def _name_of(place: Place) -> str:
    return f"{place.topic}:{place.partition}"


def _kept_name(place: Place) -> str:
    return f"{_name_of(place)}:kept"


def _place_of(name: str) -> Place | None:
    """The partition whose position has this name; None of what is no position.

    >>> _place_of("visitor-log:3"), _place_of("visitor-log:3:kept")
    (Place(topic='visitor-log', partition=3), None)
    """
    topic, _, partition = name.rpartition(":")
    return Place(topic, int(partition)) if partition.isdecimal() else None

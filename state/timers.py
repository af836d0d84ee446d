"""Due times: who has to be woken when, in buckets that align with the partitions of the log.

A visitor's timers live in bucket murmur2(key) mod 1,024, a sorted set of (due, key) by due time. The count
of partitions is a power of two up to 1,024, so the buckets of partition p are p, p + n, p + 2n, …: whoever
owns the partition serves them, whatever the count. A timer names its due time, so adding is idempotent and
removing takes away exactly one; a visitor may have several, and one that is no longer needed wakes nobody:
the fold looks at the state.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any, NamedTuple, Protocol, cast

from redis.asyncio import Redis

from eventlog.partition import hash_of
from state.keys import Keys

N_BUCKETS = 1024


class Timer(NamedTuple):
    """``key`` has to be woken at ``due_ms``."""

    due_ms: int
    key: str


def bucket_of(key: str) -> int:
    """The bucket of a visitor's timers."""
    return hash_of(key) & N_BUCKETS - 1


def buckets_of(partitions: Iterable[int], n_partitions: int) -> list[int]:
    """The buckets of these partitions, in order."""
    return sorted(bucket for partition in partitions for bucket in range(partition, N_BUCKETS, n_partitions))


class Look(NamedTuple):
    """What was found in some buckets.

    Attributes
    ----------
    due
        Timers that are due; within a bucket in order of due time.
    earliest_ms
        When the first timer of a bucket is, or was, due; of the buckets that hold any.
    """

    due: list[Timer]
    earliest_ms: dict[int, int]


class TimerStore(Protocol):
    """Where timers are kept."""

    async def add(self, timers: Iterable[Timer]) -> None:
        """Remember; what is there already stays."""
        ...

    async def remove(self, timers: Iterable[Timer]) -> None:
        """Forget; what is not there stays away."""
        ...

    async def remove_all(self, keys: Iterable[str]) -> int:
        """Forget every timer of these visitors; how many there were."""
        ...

    async def look(self, buckets: Sequence[int], now_ms: int, limit: int) -> Look:
        """Up to ``limit`` timers due by ``now_ms`` in these buckets."""
        ...


# Names 1,024 keys would cost more to send than to look through: on one Redis they are made where they are used.
# ARGV: name without the bucket, now, limit, buckets…
# Returns the members that are due; then of each bucket when its first is due, empty where it holds none.
_LOOK = """
local now, left = tonumber(ARGV[2]), tonumber(ARGV[3])
local found, earliest = {}, {}
for a = 4, #ARGV do
  local name = ARGV[1] .. ARGV[a]
  local first = redis.call('ZRANGE', name, 0, 0, 'WITHSCORES')[2]
  earliest[a - 3] = first or ''
  if first and left > 0 and tonumber(first) <= now then
    local members = redis.call('ZRANGEBYSCORE', name, '-inf', ARGV[2], 'LIMIT', 0, left)
    for i = 1, #members do found[#found + 1] = members[i] end
    left = left - #members
  end
end
return {found, earliest}
"""


class RedisTimerStore:
    """Timers in one Redis: one script call looks through the buckets asked for, 2–3 µs of Redis each."""

    def __init__(self, redis: Redis, keys: Keys) -> None:
        self._prefix = keys.timers(0)[:-1]
        self._redis = redis
        self._names = [keys.timers(bucket) for bucket in range(N_BUCKETS)]
        self._look = redis.register_script(_LOOK)

    async def add(self, timers: Iterable[Timer]) -> None:
        """One ZADD per bucket concerned, one round trip."""
        by_bucket: dict[int, dict[bytes, int]] = {}
        for timer in timers:
            by_bucket.setdefault(bucket_of(timer.key), {})[member_of(timer)] = timer.due_ms
        if not by_bucket:
            return
        pipeline = self._redis.pipeline(transaction=False)
        for bucket, members in by_bucket.items():
            pipeline.zadd(self._names[bucket], members)
        await pipeline.execute()

    async def remove(self, timers: Iterable[Timer]) -> None:
        """One ZREM per bucket concerned, one round trip."""
        by_bucket: dict[int, list[bytes]] = {}
        for timer in timers:
            by_bucket.setdefault(bucket_of(timer.key), []).append(member_of(timer))
        if not by_bucket:
            return
        pipeline = self._redis.pipeline(transaction=False)
        for bucket, members in by_bucket.items():
            pipeline.zrem(self._names[bucket], *members)
        await pipeline.execute()

    async def remove_all(self, keys: Iterable[str]) -> int:
        """One walk through the bucket of each visitor."""
        n_removed = 0
        for key in keys:
            name = self._names[bucket_of(key)]
            ending = key.encode()
            found: list[bytes] = []
            async for member, _ in cast("Any", self._redis.zscan_iter(name, count=1000)):
                if member[8:] == ending:
                    found.append(member)
            if found:
                n_removed += int(await cast("Any", self._redis.zrem(name, *found)))
        return n_removed

    async def look(self, buckets: Sequence[int], now_ms: int, limit: int) -> Look:
        """One script call."""
        if not buckets:
            return Look([], {})
        members, earliest = await self._look(args=[self._prefix, now_ms, limit, *buckets])
        return Look(
            [_timer(member) for member in members],
            {bucket: int(float(ms)) for bucket, ms in zip(buckets, earliest, strict=True) if ms},
        )


def member_of(timer: Timer) -> bytes:
    """What stands for a timer in its bucket."""
    return timer.due_ms.to_bytes(8, "big") + timer.key.encode()


def _timer(member: bytes) -> Timer:
    return Timer(int.from_bytes(member[:8], "big"), member[8:].decode())

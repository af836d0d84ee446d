"""How many visitors have how many points, partition by partition, as they were counted last.

A partition's counts are one value, written as a whole by whoever owns the partition: who adds them up finds each
partition as it was at one moment, whoever crashed.
"""

from __future__ import annotations

from typing import cast

import msgspec
from redis.asyncio import Redis

from personalization.projecting.points_histogram import PointsHistogram
from state.keys import Keys


class PointsOfPartition(msgspec.Struct, frozen=True, array_like=True):
    """One partition, counted.

    Attributes
    ----------
    at_ms
        When the walk ended.
    counted
        By what the points are of (``catalog.tier_thresholds.measured_by``).
    """

    at_ms: int
    counted: dict[str, PointsHistogram]


class PointsStore:
    """Counts of points in one Redis."""

    def __init__(self, redis: Redis, keys: Keys) -> None:
        self._redis = redis
        self._keys = keys

    async def write(self, partition: int, counted: PointsOfPartition) -> None:
        """Keep what was counted of a partition."""
        await self._redis.set(self._keys.points(partition), msgspec.msgpack.encode(counted))

    async def read(self, n_partitions: int) -> list[PointsOfPartition | None]:
        """What was counted of each partition last; None: nothing yet, or by another release."""
        names = [self._keys.points(partition) for partition in range(n_partitions)]
        return [_decoded(value) for value in cast("list[bytes | None]", await self._redis.mget(names))]


def _decoded(value: bytes | None) -> PointsOfPartition | None:
    if value is None:
        return None
    try:
        return msgspec.msgpack.decode(value, type=PointsOfPartition)
    except msgspec.DecodeError:
        return None

"""How many visitors have how many points: bounded in size, and added up over partitions.

Points are counted in buckets, each a small part of a power of two wide: at first a millionth, so that nearly all
points have a bucket of their own; where there are more than there is room for, two and two become one. Beside its
count a bucket keeps the least points in it: a threshold is points that somebody has, and whoever has as many is on
the same side of it.
"""

from __future__ import annotations

import math
from collections.abc import Iterable

import msgspec

FINEST = 2**20
"""Buckets to a power of two, at first."""

NOTHING = 2.0**-10
"""Points below are none: what has faded to a thousandth of a point is a memory of it."""

LARGEST = 2.0**40
"""Points beyond are counted as so many."""


class PointsHistogram(msgspec.Struct, array_like=True):
    """Counts by bucket.

    Of points that lie within ten powers of two, 4,096 buckets are .25 % of the points wide.

    Attributes
    ----------
    room
        How many buckets there may be, 128 or more.
    steps
        How many there are to a power of two.
    buckets
        (how many have points in the bucket, the least of these points).
    """

    room: int = 4_096
    steps: int = FINEST
    buckets: dict[int, tuple[int, float]] = {}

    @property
    def n_visitors(self) -> int:
        """How many were counted."""
        return sum(count for count, _ in self.buckets.values())

    def add(self, points: float) -> None:
        """Count a visitor."""
        bucket = _bucket(points, self.steps)
        self._add(bucket, 1, points if bucket else 0.0)
        self._fit()

    def merge(self, other: PointsHistogram) -> None:
        """Count all whom ``other`` counted."""
        self._coarsen(other.steps)
        factor = other.steps // self.steps
        for bucket, (count, least) in other.buckets.items():
            self._add(_coarser(bucket, factor), count, least)
        self._fit()

    def thresholds(self, shares: Iterable[float]) -> tuple[tuple[float, float | None], ...]:
        """By share, the least points that so large a share of visitors has at most.

        None where more have the most points there are: they cannot be told apart.

        >>> counted = PointsHistogram()
        >>> for points in (*range(1, 10), 9):
        ...     counted.add(float(points))
        >>> counted.thresholds([0.1, 0.2, 0.5])
        ((0.1, None), (0.2, 9.0), (0.5, 6.0))
        """
        n_visitors, above = self.n_visitors, 0
        found: dict[float, float | None] = dict.fromkeys(sorted(shares))
        for bucket in sorted(self.buckets, reverse=True):
            count, least = self.buckets[bucket]
            above += count
            for share in found:
                if above <= share * n_visitors * (1 + 1e-9):
                    found[share] = least
        return tuple(found.items())

    def _add(self, bucket: int, count: int, least: float) -> None:
        before, lowest = self.buckets.get(bucket, (0, math.inf))
        self.buckets[bucket] = before + count, min(least, lowest)

    def _fit(self) -> None:
        while len(self.buckets) > self.room and self.steps > 1:
            self._coarsen(self.steps // 2)

    def _coarsen(self, steps: int) -> None:
        if steps >= self.steps:
            return
        factor, buckets = self.steps // steps, self.buckets
        self.steps, self.buckets = steps, {}
        for bucket, (count, least) in buckets.items():
            self._add(_coarser(bucket, factor), count, least)


def _bucket(points: float, steps: int) -> int:
    """The number of a bucket, which grows with the points; 0 for none.

    >>> [_bucket(points, 128) for points in (-1.0, 0.0, 1e-9, 1.0, 1.5)]
    [-1408, 0, 0, 1408, 1472]
    """
    size = min(abs(points), LARGEST)
    if size < NOTHING:
        return 0
    mantissa, exponent = math.frexp(size)  # the size is mantissa · 2 ** exponent, the mantissa from 1/2 to 1
    number = (exponent + 10) * steps + int((mantissa * 2 - 1) * steps)
    return number if points > 0 else -number


def _coarser(bucket: int, factor: int) -> int:
    """The number of the bucket that takes in this one, where there are so many times fewer.

    >>> [_coarser(_bucket(points, 128), 64) == _bucket(points, 2) for points in (-7.3, -1.0, 0.0, 0.01, 900.0)]
    [True, True, True, True, True]
    """
    return bucket // factor if bucket >= 0 else -(-bucket // factor)

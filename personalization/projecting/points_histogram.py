"""How many visitors have how many points: small, added up over partitions, exact for small whole numbers.

Points are counted in buckets whose width is 1/128 of a power of two, so every whole number up to 256 has one of its
own, and no bucket is wider than 0.8 % of the points in it. Beside its count a bucket keeps the least points in it:
a threshold is points that somebody has, and whoever has as many is on the same side of it.
"""

from __future__ import annotations

import math
from collections.abc import Iterable

import msgspec

STEPS = 128
"""Buckets to a power of two: two thresholds that are told apart differ by less than 1 %."""

NOTHING = 2.0**-10
"""Points below are none: what has faded to a thousandth of a point is a memory of it."""

LARGEST = 2.0**40
"""Points beyond are counted as so many. So there are at most 2 · 50 · 128 buckets, some 200 KB."""


class PointsHistogram(msgspec.Struct, array_like=True):
    """Counts by bucket.

    Attributes
    ----------
    buckets
        (how many have points in the bucket, the least of these points).
    """

    buckets: dict[int, tuple[int, float]] = {}

    @property
    def n_visitors(self) -> int:
        """How many were counted."""
        return sum(count for count, _ in self.buckets.values())

    def add(self, points: float) -> None:
        """Count a visitor."""
        bucket = _bucket(points)
        self._add(bucket, 1, points if bucket else 0.0)

    def merge(self, other: PointsHistogram) -> None:
        """Count all whom ``other`` counted."""
        for bucket, (count, least) in other.buckets.items():
            self._add(bucket, count, least)

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


def _bucket(points: float) -> int:
    """The number of a bucket, which grows with the points; 0 for none.

    >>> [_bucket(points) for points in (-1.0, 0.0, 1e-9)]
    [-1408, 0, 0]
    >>> len({_bucket(points) for points in range(257)}), _bucket(1000.0) == _bucket(1001.0)
    (257, True)
    """
    size = min(abs(points), LARGEST)
    if size < NOTHING:
        return 0
    mantissa, exponent = math.frexp(size)  # the size is mantissa · 2 ** exponent, the mantissa from 1/2 to 1
    number = (exponent + 10) * STEPS + int((mantissa * 2 - 1) * STEPS)
    return number if points > 0 else -number

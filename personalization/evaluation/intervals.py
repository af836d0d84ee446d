"""Confidence intervals."""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass

Z_95 = 1.959964
"""The normal quantile of a two-sided 95 % interval."""


@dataclass(frozen=True, slots=True)
class Interval:
    """A mean and its 95 % interval."""

    mean: float
    low: float
    high: float


def normal(mean: float, standard_error: float) -> Interval:
    """The normal 95 % interval around a mean.

    >>> round(normal(1.0, 0.5).low, 3)
    0.02
    """
    half = Z_95 * standard_error
    return Interval(mean, mean - half, mean + half)


def unskewed(mean: float, standard_error: float, skewness: float, n: float) -> Interval:
    """The 95 % interval of a mean over few or lopsided values: Hall's transformation (Hall 1992).

    Of rare large values a sample has too few more often than too many, and then its standard error is too small as
    well: the normal interval ends too early on the side where they lie. This one is longer there and shorter on the
    other, so that it holds the mean as often as it says to order 1/n. Without skewness it is the normal one.

    Parameters
    ----------
    skewness
        Of the n values, by their central moments: m₃ / m₂^1.5.
    n
        How many values there are, at least 1.

    References
    ----------
    Hall (1992), On the removal of skewness by transformation.

    >>> unskewed(1.0, 0.5, 0.0, 30) == normal(1.0, 0.5)
    True
    >>> skewed = unskewed(1.0, 0.5, 2.0, 30)
    >>> round(skewed.low, 2), round(skewed.high, 2)
    (0.21, 2.48)
    """
    if not abs(skewness) > 1e-6:
        return normal(mean, standard_error)
    root = math.sqrt(n)

    def quantile(z: float) -> float:
        inner = 1.0 + skewness * (z / root - skewness / (6.0 * n))
        return 3.0 * root / skewness * (math.copysign(abs(inner) ** (1.0 / 3.0), inner) - 1.0)

    return Interval(mean, mean - quantile(Z_95) * standard_error, mean - quantile(-Z_95) * standard_error)


def wilson(mean: float, n: float) -> tuple[float, float]:
    """The 95 % score interval of a share ``mean`` of ``n`` trials (Wilson 1927); everything if there was no trial.

    It is conservative for rewards between 0 and 1.

    >>> low, high = wilson(0.5, 10)
    >>> round(low, 3), round(high, 3), wilson(0.0, 0)
    (0.237, 0.763, (0.0, 1.0))
    """
    if n == 0:
        return 0.0, 1.0
    z2 = Z_95**2
    centre = (mean + z2 / (2 * n)) / (1 + z2 / n)
    half = Z_95 / (1 + z2 / n) * math.sqrt(max(0.0, mean * (1 - mean)) / n + z2 / (4 * n * n))
    # With it, where rounding would leave it out: at 0, at 1.
    return max(0.0, min(mean, centre - half)), min(1.0, max(mean, centre + half))


def clustered(mean: float, clusters: Iterable[tuple[int, float]]) -> Interval:
    """The 95 % interval of a mean over observations that are alike within clusters, such as one person's.

    The cluster-robust variance is C/(C−1) · Σ_c (Σ_{j∈c} (d_j − d̄))² / n² (Liang & Zeger 1986).

    Parameters
    ----------
    clusters
        Number and sum of each cluster's observations. Of fewer than two clusters the interval is unbounded.

    >>> clustered(0.5, [(2, 2.0), (2, 0.0)]) == normal(0.5, 0.5)
    True
    """
    pairs = list(clusters)
    if len(pairs) < 2:
        return Interval(mean, -math.inf, math.inf)
    n_observations = sum(n for n, _ in pairs)
    squares = sum((total - n * mean) ** 2 for n, total in pairs)
    return normal(mean, math.sqrt(squares * len(pairs) / (len(pairs) - 1)) / n_observations)

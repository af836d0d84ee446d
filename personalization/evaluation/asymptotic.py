"""The mean of numbers without a known bound, with an interval that may be looked at after every one of many.

References
----------
Waudby-Smith, Arbour, Sinha, Kennedy, Ramdas (2024), Time-uniform central limit theory and asymptotic confidence
sequences, Annals of Statistics 52: theorem 2.2; the boundary is Robbins's (1970) normal mixture.
"""

from __future__ import annotations

import math
from typing import NamedTuple

from personalization.evaluation.intervals import Interval


class Moments(NamedTuple):
    """What is kept of n numbers: how many, their sum, and the sum of their squares."""

    n: float
    total: float
    squares: float

    def plus(self, x: float) -> Moments:
        """With one number more."""
        return Moments(self.n + 1, self.total + x, self.squares + x * x)

    @property
    def mean(self) -> float:
        """The mean of n ≥ 1 numbers."""
        return self.total / self.n

    @property
    def variance(self) -> float:
        """The variance of n ≥ 1 numbers around their mean; never below 0."""
        return max(0.0, self.squares / self.n - self.mean**2)


def half_width(n: float, sd: float, alpha: float = 0.05, narrowest_at: float = 10_000) -> float:
    """Half of the interval's width after ``n`` numbers of a standard deviation ``sd``.

    Parameters
    ----------
    narrowest_at
        After how many numbers it is to be narrowest, in units of its own best; chosen before the first look.

    >>> one_look = 1.959964 / 10_000**0.5
    >>> round(half_width(10_000, 1.0) / one_look, 2)
    1.55
    """
    rho2 = _rho2(alpha, narrowest_at)
    spread = n * rho2 + 1.0
    return sd * math.sqrt(2.0 * spread / (n * n * rho2) * math.log(math.sqrt(spread) / alpha))


def p_value_of(mean: float, n: float, sd: float, alpha: float = 0.05, narrowest_at: float = 10_000) -> float:
    """The level at which the interval around ``mean`` just reaches 0, its shape being that of ``alpha``.

    It is below ``alpha`` where ``half_width(n, sd, alpha, narrowest_at)`` is less than ``mean``'s distance from 0.

    >>> width = half_width(5_000, 2.0)
    >>> round(p_value_of(width, 5_000, 2.0), 9), p_value_of(0.0, 5_000, 2.0)
    (0.05, 1.0)
    """
    if sd <= 0.0:
        return 1.0 if mean == 0.0 else 0.0
    rho2 = _rho2(alpha, narrowest_at)
    spread = n * rho2 + 1.0
    exponent = 0.5 * math.log(spread) - 0.5 * (mean * n / sd) ** 2 * rho2 / spread
    return math.exp(min(0.0, exponent))


def _rho2(alpha: float, narrowest_at: float) -> float:
    return (-2.0 * math.log(alpha) + math.log(-2.0 * math.log(alpha) + 1.0)) / narrowest_at


def mean_at_any_time(seen: Moments, alpha: float = 0.05, narrowest_at: float = 10_000) -> Interval:
    """The mean of what was seen, with an interval that is valid at every look from many numbers on (n ≥ 1,000)."""
    half = half_width(seen.n, math.sqrt(seen.variance), alpha, narrowest_at)
    return Interval(seen.mean, seen.mean - half, seen.mean + half)

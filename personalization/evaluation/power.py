"""What an experiment of a given size can find: the smallest difference that is seen in four of five of them."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping

import numpy as np

from personalization.evaluation.asymptotic import half_width
from personalization.evaluation.betting import Bets

Z_80 = 0.841621
"""The normal quantile of four in five."""

_LARGEST = 100.0
_PRECISION = 1e-4


def detectable_share(participants: Mapping[float, float], base: float, alpha: float = 0.05) -> float | None:
    """The smallest relative rise of a share that ``difference_of_shares`` finds in four of five experiments.

    It is what is found with the counts that one experiment in five falls short of: less by Z_80 standard deviations
    of their difference than what is expected. Those that found it earlier and lost it again do not count, so that a
    little more is found than in four of five.

    Parameters
    ----------
    participants
        How many by the probability of treatment, 0 < π < 1.
    base
        The share among those not treated, (0, 1).

    Returns
    -------
    As a share of ``base``; None: not even if everybody treated had it, or a hundred times the base.

    >>> found = detectable_share({0.5: 150_000}, 0.05)
    >>> found is not None and 0.09 < found < 0.12
    True
    """
    wanted = math.log(2.0 / alpha)

    def is_found(rise: float) -> bool:
        values, counts, widths = [], [], []
        treated = base * (1.0 + rise)
        by_split = []
        mean = variance = 0.0
        for share, n in participants.items():
            k, k_other = n * share * treated, n * (1.0 - share) * base
            each = ((1.0 - share) * k - share * k_other) / n
            by_split.append((share, k, k_other, each))
            mean += n * each
            variance += (1.0 - share) ** 2 * k + share**2 * k_other - n * each**2
        shift = Z_80 / math.sqrt(variance)
        for share, k, k_other, each in by_split:
            values += [1.0 / share, -1.0 / (1.0 - share)]
            counts += [
                max(0.0, k * (1.0 - shift * (1.0 - share - each))),
                k_other * (1.0 + shift * (share + each)),
            ]
            widths += [1.0 / share + 1.0 / (1.0 - share)] * 2
        return Bets(np.array(values), np.array(counts), np.array(widths)).log_capital(0.0, 1) > wanted

    return _smallest(is_found, min(_LARGEST, 1.0 / base - 1.0))


def detectable_amount(
    n: float, sd: float, base: float, alpha: float = 0.05, narrowest_at: float = 10_000
) -> float | None:
    """The smallest relative rise of an amount that ``mean_at_any_time`` finds in four of five experiments.

    Parameters
    ----------
    n, sd
        How many pseudo-outcomes, and their standard deviation.
    base
        The mean of those not treated; if it is not above 0, nothing is relative to it (None).

    >>> found = detectable_amount(150_000, 20.0, 2.0)
    >>> found is not None and 0.08 < found < 0.15
    True
    """
    if base <= 0.0:
        return None
    return (half_width(n, sd, alpha, narrowest_at) + Z_80 * sd / math.sqrt(n)) / base


def _smallest(is_found: Callable[[float], bool], largest: float) -> float | None:
    low, high = 0.0, largest
    if high <= 0.0 or not is_found(high):
        return None
    while high - low > _PRECISION * high:
        middle = (low + high) / 2
        low, high = (low, middle) if is_found(middle) else (middle, high)
    return high

"""What a treatment changed in a share, with an interval that may be looked at after every visitor.

Each visitor is treated with a known probability π. Their *pseudo-outcome*, the outcome over π if they were treated,
minus the outcome over 1 − π if they were not, has the difference of the two shares as its mean (Horvitz and
Thompson 1952), whatever the share itself does over time. Whoever bets on it at fair odds for a difference m does
not get rich unless m is wrong: the interval holds those m against which no side has won 2/α times its stake (Ville
1939; Waudby-Smith and Ramdas 2024, Estimating means of bounded random variables by betting, JRSS B 86: the hedged
capital process).

A bettor who always stakes the same share of the capital needs only to know how many visitors had which outcome, so
nothing has to be kept by visitor. Bettors with a common purse, each with another stake, stand in for the one who
knew the right stake beforehand.

Under an uneven split a visitor's pseudo-outcome spreads more widely, and as much less is staked on it: by π(1 − π).
So splits that were in force one after the other count by how much they tell, a split's stakes are known before its
first visitor comes, and a later split changes nothing about earlier ones.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from typing import NamedTuple, TypeAlias

import numpy as np
from numpy.typing import NDArray

from personalization.evaluation.intervals import Interval

FloatArray: TypeAlias = NDArray[np.float64]

STAKES: FloatArray = np.geomspace(1e-3, 0.5, 14)
"""Shares of the largest stake that cannot lose everything: from small differences to large ones."""


class Counts(NamedTuple):
    """Visitors of one probability of treatment, and those among them whose outcome was 1."""

    n_treated: int
    k_treated: int
    n_control: int
    k_control: int


class Bets:
    """Bets on the mean of numbers of which there are few different ones.

    Parameters
    ----------
    values
        The different numbers, shape (V,).
    counts
        How often each was seen, shape (V,); or at each of L looks, shape (V, L).
    widths
        How widely numbers of each one's kind spread, from the least to the largest, shape (V,).
    stakes
        Each bettor's, as a share of 1 / width, shape (J,).
    """

    def __init__(
        self, values: FloatArray, counts: FloatArray, widths: FloatArray, stakes: FloatArray = STAKES
    ) -> None:
        self._values, self._counts = values, counts
        self._stakes = stakes[:, None] / widths

    def log_capital(self, mean: float, sign: int) -> float:
        """The log of what 1 has become that was staked on a mean above ``mean`` (``sign`` 1), or below it (−1)."""
        return float(self.log_capitals(mean, sign))

    def log_capitals(self, mean: float, sign: int) -> FloatArray:
        """The same at each look, shape () or (L,)."""
        gains = np.log1p(sign * self._stakes * (self._values - mean)) @ self._counts
        top = gains.max(axis=0)
        return np.asarray(top + np.log(np.exp(gains - top).mean(axis=0)))

    def interval(self, alpha: float, low: float, high: float) -> tuple[float, float]:
        """The means from ``low`` to ``high`` against which neither side has won 2/α times its stake."""
        wanted = math.log(2.0 / alpha)

        def above(mean: float) -> float:  # falls with the mean
            return self.log_capital(mean, 1) - wanted

        def below(mean: float) -> float:  # rises with the mean
            return self.log_capital(mean, -1) - wanted

        return _root(above, low, high, low), _root(below, high, low, high)


def _root(function: Callable[[float], float], positive: float, negative: float, otherwise: float) -> float:
    """Where a monotone function changes its sign between a ``positive`` and a ``negative`` end, by bisection."""
    if not function(positive) > 0.0 > function(negative):
        return otherwise
    for _ in range(60):
        middle = (positive + negative) / 2
        if abs(positive - negative) < _PRECISION:
            break
        if function(middle) > 0.0:
            positive = middle
        else:
            negative = middle
    return (positive + negative) / 2


_PRECISION = 1e-13


def difference_of_shares(strata: Mapping[float, Counts], alpha: float = 0.05, *, expected: float = 0.0) -> Interval:
    """The share among the treated less that among the others, with an interval that is valid at every look.

    Parameters
    ----------
    strata
        Counts by the probability π of treatment, 0 < π < 1: one entry for each split that was in force.
    alpha
        At most this share of experiments ever has an interval that leaves out the truth.
    expected
        About which share is expected, chosen before the first look: a good guess narrows the interval.

    Raises
    ------
    ValueError
        If there is nobody, or a probability is none of a split.

    >>> found = difference_of_shares({0.5: Counts(50_000, 2_900, 50_000, 2_500)})
    >>> round(found.mean, 4), found.low > 0.0
    (0.008, True)
    """
    bets, mean = _bets(strata, expected)
    return Interval(mean, *bets.interval(alpha, -1.0, 1.0))


def p_value_of_no_difference(strata: Mapping[float, Counts], *, expected: float = 0.0) -> float:
    """At most α of all experiments without a difference ever have a value of α or less, at whatever look.

    Parameters and errors are those of ``difference_of_shares``.
    """
    bets, _ = _bets(strata, expected)
    return min(1.0, 2.0 * math.exp(-max(bets.log_capital(0.0, 1), bets.log_capital(0.0, -1))))


def ratio_of_shares(strata: Mapping[float, Counts], alpha: float = 0.05) -> tuple[float, float]:
    """The interval of the share among the treated over that among the others, valid at every look.

    If the ratio is r, a treated visitor's outcome over π, less r times another one's over 1 − π, has the mean 0:
    bets on that hold those r that are not bet away (Fieller 1954). It leaves out 1 if and only if the interval of
    the difference leaves out 0. The upper end is infinite while the others' share could be 0.

    Parameters and errors are those of ``difference_of_shares``, nothing being expected.

    >>> low, high = ratio_of_shares({0.5: Counts(50_000, 2_900, 50_000, 2_500)})
    >>> round(low, 2), round(high, 2)
    (1.06, 1.27)
    """
    _bets(strata, 0.0)
    wanted = math.log(2.0 / alpha)

    def capital(ratio: float, sign: int) -> float:
        values, counts, widths = [], [], []
        for share, seen in strata.items():
            values += [1.0 / share, -ratio / (1.0 - share)]
            counts += [seen.k_treated, seen.k_control]
            widths += [1.0 / share + ratio / (1.0 - share)] * 2
        return Bets(np.array(values), np.array(counts), np.array(widths)).log_capital(0.0, sign) - wanted

    low = _root(lambda ratio: capital(ratio, 1), 0.0, _LARGEST_RATIO, 0.0)
    return low, _root(lambda ratio: capital(ratio, -1), _LARGEST_RATIO, 0.0, math.inf)


_LARGEST_RATIO = 1_000.0
"""Of shares; a larger one cannot be told from an infinite one."""


def _bets(strata: Mapping[float, Counts], expected: float) -> tuple[Bets, float]:
    if not strata or not all(0.0 < share < 1.0 for share in strata):
        raise ValueError("every visitor is treated with a probability between 0 and 1, and there is at least one")
    values, counts, widths = [], [], []
    for share, seen in strata.items():
        of_split = []
        for outcome, treated, control in (
            (1.0 - expected, seen.k_treated, seen.k_control),
            (-expected, seen.n_treated - seen.k_treated, seen.n_control - seen.k_control),
        ):
            of_split += [outcome / share, -outcome / (1.0 - share)]
            counts += [treated, control]
        values += of_split
        widths += [max(of_split) - min(of_split)] * len(of_split)
    numbers, often, wide = np.array(values), np.array(counts, dtype=np.float64), np.array(widths)
    if not often.sum():
        raise ValueError("there is nobody yet")
    mean = float(numbers / wide @ often / (often / wide).sum())
    return Bets(numbers, often, wide), mean

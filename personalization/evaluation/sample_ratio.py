"""Whether visitors fell to the sides of a split as it says: a test that may be looked at after every visitor.

A split that does not hold (a side that crashes, a crawler on one side, visitors who are counted on one side alone)
makes every difference between its sides worthless, so it is looked at first.

References
----------
Lindon and Malek (2022), Anytime-valid inference for multinomial count data, NeurIPS 35.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import NamedTuple

CONCENTRATION = 10_000.0
"""How near to the split a broken one is expected: the larger, the nearer."""

LEAST_EXPECTED = 5.0
"""Visitors who are expected on each of two sides before anything is said.

The test is valid for any counts, so that a third side may be as small as it likes: what it adds is little. Of two
visitors nothing would be found, and nobody should be told that a split holds that nothing was seen of.
"""


class Split(NamedTuple):
    """A split that was in force for a while.

    Attributes
    ----------
    shares
        What it says of each side: above 0, their sum 1.
    counts
        Visitors who fell to each side.
    """

    shares: Sequence[float]
    counts: Sequence[int]


def log_bayes_factor(split: Split, concentration: float = CONCENTRATION) -> float:
    """The log of how much likelier the counts are under a split that is drawn around this one (Dirichlet).

    >>> log_bayes_factor(Split((0.5, 0.5), (0, 0)))
    0.0
    """
    found = math.lgamma(concentration) - math.lgamma(concentration + sum(split.counts))
    for share, count in zip(split.shares, split.counts, strict=True):
        prior = concentration * share
        found += math.lgamma(prior + count) - math.lgamma(prior) - count * math.log(share)
    return found


def p_value(splits: Sequence[Split]) -> float | None:
    """At most α of all sound experiments ever have a value of α or less, at whatever look.

    Splits that were in force one after the other, all of the same sides, are judged together. None: too few
    visitors for a word on it.

    >>> found = p_value([Split((0.5, 0.5), (50_000, 51_500))])
    >>> found is not None and found < 0.001
    True
    >>> p_value([Split((0.95, 0.05), (60, 0))]) is None
    True
    """
    by_side = zip(*([share * sum(split.counts) for share in split.shares] for split in splits), strict=True)
    expected = sorted((sum(each) for each in by_side), reverse=True)
    if len(expected) < 2 or expected[1] < LEAST_EXPECTED:
        return None
    return min(1.0, math.exp(min(0.0, -sum(map(log_bayes_factor, splits)))))

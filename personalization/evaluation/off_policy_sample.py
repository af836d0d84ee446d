"""How logged decisions count in an estimate: how often each, whose they are, and in which stretch of the log."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

FloatArray: TypeAlias = NDArray[np.float64]
IntArray: TypeAlias = NDArray[np.int64]

MEMORY = 200
"""Decisions over which the variance of the next one is averaged: a policy that learns changes more slowly."""

LEAST_OF_BLOCK = 200
MOST_BLOCKS = 20
"""Within a twentieth of a log the world hardly changes, so that weights by variance hardly move the mean."""


@dataclass(frozen=True, slots=True)
class Sample:
    """How n decisions count.

    Attributes
    ----------
    counts
        How many decisions each one stands for, above 0, shape (n,).
    unit
        Number of the person, 0 … C − 1, shape (n,).
    block
        Number of the stretch of the log, shape (n,): counts are compared within one alone.
    """

    counts: FloatArray
    unit: IntArray
    block: IntArray

    @classmethod
    def plain(cls, n: int) -> Sample:
        """Each counts once, and is somebody else's."""
        return cls(np.ones(n), np.arange(n), np.zeros(n, np.int64))

    @classmethod
    def of(cls, counts: FloatArray, unit: IntArray) -> Sample:
        """All in one stretch."""
        return cls(counts, unit, np.zeros(len(counts), np.int64))

    @property
    def n_units(self) -> int:
        """Persons there are decisions of."""
        return len(np.unique(self.unit))


def effective_size(weights: FloatArray) -> float:
    """Decisions of equal weight that would tell as much (Kish 1965).

    >>> effective_size(np.array([1.0, 1.0, 1.0, 1.0])), effective_size(np.array([1.0, 0.0, 0.0, 0.0]))
    (4.0, 1.0)
    """
    squares = float(weights @ weights)
    return float(weights.sum()) ** 2 / squares if squares else 0.0


def stabilised(sample: Sample, variance: FloatArray, *, whole: bool = False) -> Sample:
    """Let decisions count less where the log says little of the policy, so that no stretch drowns the rest.

    A learning policy shows what it does not like ever more rarely, and the error of what is estimated of it grows
    without end. Weights of 1/√v, v the variance that was to be expected *before* the decision, keep it even (Hadad
    and others 2021; Zhan and others 2021, ``StableVar``). They hold within stretches of the log, each of which
    counts by its decisions: else what is estimated were no mean over time where the world changes.

    Parameters
    ----------
    sample
        In order of time.
    variance
        Of each decision, Σ π²/e over the arms, shape (n,): at least 1.
    whole
        Compare over the whole log, as published: narrower intervals, right only where rewards stay as they are.

    References
    ----------
    Hadad, Hirshberg, Zhan, Wager, Athey (2021), Confidence intervals for policy evaluation in adaptive experiments.
    Zhan, Hadad, Hirshberg, Athey (2021), Off-policy evaluation via adaptive weighting with data from contextual
    bandits.

    >>> even = stabilised(Sample.plain(400), np.ones(400))
    >>> bool((even.counts == 1.0).all()), np.bincount(even.block).tolist()
    (True, [200, 200])
    """
    n = len(variance)
    n_blocks = 1 if whole else max(1, min(MOST_BLOCKS, n // LEAST_OF_BLOCK))
    block = np.arange(n) * n_blocks // max(1, n)
    weights = sample.counts / np.sqrt(_expected(variance))
    before = np.bincount(block, sample.counts, minlength=n_blocks)
    after = np.bincount(block, weights, minlength=n_blocks)
    return replace(sample, counts=weights * (before / after)[block], block=block)


def _expected(variance: FloatArray) -> FloatArray:
    """The mean of those before each, the near ones counting most; of the first its own."""
    expected = np.empty(len(variance))
    average, n = 0.0, 0
    for at, value in enumerate(variance.tolist()):
        expected[at] = average if n else value
        n = min(n + 1, MEMORY)
        average += (value - average) / n
    return expected

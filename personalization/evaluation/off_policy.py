"""The value that a policy would have had on decisions that another policy made and logged with its probabilities.

Each estimator is a weighted mean over the logged decisions, so that its error is a sum of parts, one of each
decision. Parts of one person belong together: errors are clustered by person (Liang and Zeger 1986).

References
----------
Dudík, Langford, Li (2011), Doubly Robust Policy Evaluation and Learning.
Swaminathan, Joachims (2015), The Self-Normalized Estimator for Counterfactual Learning.
Wang, Agarwal, Dudík (2017), Optimal and Adaptive Off-policy Evaluation in Contextual Bandits.
"""

from __future__ import annotations

import math
from typing import NamedTuple, TypeAlias

import numpy as np
from numpy.typing import NDArray

from personalization.evaluation.intervals import Interval, unskewed
from personalization.evaluation.off_policy_sample import Sample

FloatArray: TypeAlias = NDArray[np.float64]


class Estimate(NamedTuple):
    """An estimated value and its standard error, in units of the reward."""

    value: float
    standard_error: float


class Linear(NamedTuple):
    """An estimated value, and what each decision has of its error.

    Attributes
    ----------
    parts
        Shape (n,), their sum 0: the error of the value is about what as many other decisions' parts add up to.
    """

    value: float
    parts: FloatArray

    def less(self, other: Linear) -> Linear:
        """The difference to another value that was estimated on the same decisions."""
        return Linear(self.value - other.value, self.parts - other.parts)

    def estimate(self, sample: Sample) -> Estimate:
        """The value with its standard error, clustered by unit; infinite where there are fewer than two."""
        return Estimate(self.value, _standard_error(self._by_unit(sample), sample.n_units))

    def interval(self, sample: Sample) -> Interval:
        """Its 95 % interval, clustered by unit and mended for the skewness that large weights bring.

        It is unbounded where there are fewer than two units.
        """
        sums, n = self._by_unit(sample), sample.n_units
        if n < 2:
            return Interval(self.value, -math.inf, math.inf)
        squares = float(sums @ sums)
        skewness = float((sums**3).sum()) * math.sqrt(n) / squares**1.5 if squares else 0.0
        return unskewed(self.value, _standard_error(sums, n), skewness, n)

    def _by_unit(self, sample: Sample) -> FloatArray:
        return np.bincount(sample.unit, self.parts).astype(np.float64)


def _standard_error(sums: FloatArray, n: int) -> float:
    """Of a value whose error is the sum of n persons' ``sums``; infinite of fewer than two."""
    return math.sqrt(n / (n - 1) * float(sums @ sums)) if n > 1 else math.inf


def mean_of(values: FloatArray, sample: Sample) -> Linear:
    """The mean of a value of each decision, block by block.

    >>> mean_of(np.array([1.0, 0.0]), Sample.plain(2)).estimate(Sample.plain(2))
    Estimate(value=0.5, standard_error=0.5)
    """
    totals = np.bincount(sample.block, sample.counts)
    of_block = np.bincount(sample.block, sample.counts * values) / np.where(totals > 0.0, totals, 1.0)
    everything = float(sample.counts.sum())
    value = float((sample.counts * values).sum() / everything)
    return Linear(value, sample.counts * (values - of_block[sample.block]) / everything)


def linear_ips(reward: FloatArray, weight: FloatArray, sample: Sample) -> Linear:
    """Inverse propensity scoring, see ``ips``."""
    return mean_of(weight * reward, sample)


def linear_snips(reward: FloatArray, weight: FloatArray, sample: Sample) -> Linear:
    """Self-normalised inverse propensity scoring, see ``snips``."""
    weights = sample.counts * weight
    total = float(weights.sum())
    value = float((weights * reward).sum() / total)
    return Linear(value, weights * (reward - value) / total)


def linear_doubly_robust(
    reward: FloatArray,
    weight: FloatArray,
    estimate_of_policy: FloatArray,
    estimate_of_shown: FloatArray,
    sample: Sample,
) -> Linear:
    """A model's estimate and its correction, see ``doubly_robust``."""
    return mean_of(estimate_of_policy + weight * (reward - estimate_of_shown), sample)


def linear_switch(
    reward: FloatArray,
    weight: FloatArray,
    estimate_of_policy: FloatArray,
    estimate_of_shown: FloatArray,
    sample: Sample,
    threshold: float,
) -> Linear:
    """The same without corrections of a large weight, see ``switch``."""
    kept = np.where(weight <= threshold, weight, 0.0)
    return linear_doubly_robust(reward, kept, estimate_of_policy, estimate_of_shown, sample)


def ips(reward: FloatArray, weight: FloatArray, sample: Sample | None = None) -> Estimate:
    """Inverse propensity scoring.

    Parameters
    ----------
    reward
        Of each of n logged decisions, shape (n,).
    weight
        The policy's probability of the arm that was shown over the logged one, shape (n,).
    sample
        How the decisions count, and whose they are; None: each once, each somebody else's.

    >>> ips(np.array([1.0, 0.0]), np.array([2.0, 2.0])).value
    1.0
    """
    sample = sample or Sample.plain(len(reward))
    return linear_ips(reward, weight, sample).estimate(sample)


def snips(reward: FloatArray, weight: FloatArray, sample: Sample | None = None) -> Estimate:
    """Self-normalised inverse propensity scoring: biased by order 1/n, of less variance.

    >>> snips(np.array([1.0, 0.0]), np.array([2.0, 2.0])).value
    0.5
    """
    sample = sample or Sample.plain(len(reward))
    return linear_snips(reward, weight, sample).estimate(sample)


def doubly_robust(
    reward: FloatArray,
    weight: FloatArray,
    estimate_of_policy: FloatArray,
    estimate_of_shown: FloatArray,
    sample: Sample | None = None,
) -> Estimate:
    """A model's estimate, corrected by what the logged decisions brought beyond it.

    Parameters
    ----------
    estimate_of_policy
        The reward that a model expects of the policy in each context, shape (n,). The model must not have learned
        from the decision itself, nor from later ones.
    estimate_of_shown
        The reward that it expects of the arm that was shown, shape (n,).

    >>> one = np.array([1.0, 0.0])
    >>> doubly_robust(one, np.array([2.0, 2.0]), np.array([0.5, 0.5]), one).value
    0.5
    """
    sample = sample or Sample.plain(len(reward))
    return linear_doubly_robust(reward, weight, estimate_of_policy, estimate_of_shown, sample).estimate(sample)


def switch(
    reward: FloatArray,
    weight: FloatArray,
    estimate_of_policy: FloatArray,
    estimate_of_shown: FloatArray,
    threshold: float,
    sample: Sample | None = None,
) -> Estimate:
    """Doubly robust where the weight is at most the ``threshold``, the model alone beyond it: biased, yet narrower.

    >>> one, half = np.array([1.0, 0.0]), np.array([0.5, 0.5])
    >>> switch(one, np.array([20.0, 2.0]), half, half, threshold=10.0).value
    0.0
    """
    sample = sample or Sample.plain(len(reward))
    return linear_switch(reward, weight, estimate_of_policy, estimate_of_shown, sample, threshold).estimate(sample)


BELIEVED = 0.005
"""Of what a policy would have shown, of which the model alone may tell: so little biases a value by a two-hundredth
of what the model errs there."""


def switch_threshold(odds: FloatArray, wanted: FloatArray) -> float:
    """The smallest weight that is believed if the model alone tells of .5 % of what the policy would have shown.

    Neither rewards nor what was drawn have a part in it.

    Parameters
    ----------
    odds
        Of every arm of every decision, the policy's probability over the logged one, shape (m,).
    wanted
        The policy's probability of it, shape (m,).

    >>> switch_threshold(np.array([1.0, 2.0, 900.0]), np.array([0.5, 0.496, 0.004]))
    2.0
    """
    order = np.argsort(-odds, kind="stable")
    beyond = np.cumsum(wanted[order])
    first = int(np.searchsorted(beyond, BELIEVED * beyond[-1], side="right"))
    return float(odds[order[min(first, len(odds) - 1)]])

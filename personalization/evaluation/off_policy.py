"""The value that a policy would have had on decisions that another policy made and logged with its probabilities.

References
----------
Dudík, Langford, Li (2011), Doubly Robust Policy Evaluation and Learning.
"""

from __future__ import annotations

from typing import NamedTuple, TypeAlias

import numpy as np
from numpy.typing import NDArray

FloatArray: TypeAlias = NDArray[np.float64]


class Estimate(NamedTuple):
    """An estimated value and its standard error, in units of the reward."""

    value: float
    standard_error: float


def ips(reward: FloatArray, weight: FloatArray) -> Estimate:
    """Inverse propensity scoring.

    Parameters
    ----------
    reward
        Of each of n logged decisions, shape (n,).
    weight
        The policy's probability of the arm that was shown over the logged one, shape (n,).

    >>> ips(np.array([1.0, 0.0]), np.array([2.0, 2.0])).value
    1.0
    """
    return _mean_of(weight * reward)


def snips(reward: FloatArray, weight: FloatArray) -> Estimate:
    """Self-normalised inverse propensity scoring: biased by order 1/n, of less variance.

    >>> snips(np.array([1.0, 0.0]), np.array([2.0, 2.0])).value
    0.5
    """
    value = float((weight * reward).sum() / weight.sum())
    residual = weight * (reward - value) / weight.mean()
    return Estimate(value, float(residual.std() / len(reward) ** 0.5))


def doubly_robust(
    reward: FloatArray, weight: FloatArray, estimate_of_policy: FloatArray, estimate_of_shown: FloatArray
) -> Estimate:
    """A model's estimate, corrected by what the logged decisions brought beyond it.

    Parameters
    ----------
    estimate_of_policy
        The reward that a model expects of the policy in each context, shape (n,).
    estimate_of_shown
        The reward that it expects of the arm that was shown, shape (n,).

    >>> one = np.array([1.0, 0.0])
    >>> doubly_robust(one, np.array([2.0, 2.0]), np.array([0.5, 0.5]), one).value
    0.5
    """
    return _mean_of(estimate_of_policy + weight * (reward - estimate_of_shown))


def _mean_of(values: FloatArray) -> Estimate:
    return Estimate(float(values.mean()), float(values.std() / len(values) ** 0.5))

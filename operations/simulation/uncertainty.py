"""95 % intervals of means over rows that are alike: one visitor's, or those of one order."""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

from online_models.reward_model import FloatArray
from personalization.evaluation.intervals import Interval, normal


def weighted(values: FloatArray, weights: FloatArray, clusters: NDArray[np.intp]) -> Interval:
    """The weighted mean Σwv/Σw and its interval, robust to whatever rows of one cluster have in common.

    Its variance is that of the linearised ratio, summed by cluster (Liang & Zeger 1986). Of fewer than two clusters
    the interval is unbounded.

    Parameters
    ----------
    values, weights, clusters
        Of each row, shape (n,); clusters as indices from 0.

    >>> found = weighted(np.array([1.0, 0.0, 1.0, 0.0]), np.ones(4), np.arange(4))
    >>> found.mean, round(found.low, 3)
    (0.5, -0.066)
    """
    total = float(weights.sum())
    if not total:
        return Interval(math.nan, -math.inf, math.inf)
    mean = float((weights * values).sum()) / total
    return normal(mean, math.sqrt(_variance(weights * (values - mean) / total, clusters)))


def of_orders(rewards: list[FloatArray], clusters: list[NDArray[np.intp]]) -> Interval:
    """The mean of what several orders of the same rows brought, with an interval for other rows in another order.

    Rewards are alike by visitor, who comes in every order, and by order, as what was learned early in it decides
    later: clustered both ways (Cameron, Gelbach & Miller 2011). A single order says nothing of others: then the
    interval is that of other rows alone.

    Parameters
    ----------
    rewards
        Those that count, by order.
    clusters
        The visitor of each of them.
    """
    means = [float(each.mean()) for each in rewards if len(each)]
    if not means:
        return Interval(math.nan, -math.inf, math.inf)
    mean, values = float(np.mean(means)), np.concatenate(rewards)
    errors = (values - values.mean()) / len(values)
    by_visitor = _variance(errors, np.concatenate(clusters))
    if len(means) < 2:
        return normal(mean, math.sqrt(by_visitor))
    by_order = _variance(errors, np.repeat(np.arange(len(rewards)), [len(each) for each in rewards]))
    by_both = _variance(errors, np.arange(len(values)))
    return normal(mean, math.sqrt(max(by_visitor, by_visitor + by_order - by_both)))


def _variance(errors: FloatArray, clusters: NDArray[np.intp]) -> float:
    sums = np.bincount(clusters, weights=errors)[np.unique(clusters)]
    n = len(sums)
    return float((sums**2).sum()) * n / (n - 1) if n > 1 else math.inf

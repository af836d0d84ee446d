"""How good predicted probabilities are: ranking with its interval, log loss, calibration with its floor."""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike

from online_models.reward_model import FloatArray
from personalization.evaluation.intervals import Z_95

N_BINS = 15


class Auc(NamedTuple):
    """Area under the ROC curve and its 95 % interval; all NaN where there is one label only."""

    value: float
    low: float
    high: float


class Calibration(NamedTuple):
    """Mean absolute gap between predicted and observed rate over equal-mass bins.

    ``floor`` is what a perfectly calibrated forecast would show by sampling alone: judge ``error`` against it.
    """

    error: float
    floor: float


@dataclass(frozen=True, slots=True)
class Scorecard:
    """All of it for one stream of predictions."""

    rows: int
    auc: Auc
    log_loss: float
    calibration: Calibration


def scorecard(labels: ArrayLike, probabilities: ArrayLike) -> Scorecard:
    """Judge ``probabilities`` (n,) of the label 1 against ``labels`` (n,) in {0, 1}."""
    y, p = np.asarray(labels, dtype=np.float64), np.asarray(probabilities, dtype=np.float64)
    return Scorecard(len(y), auc(y, p), log_loss(y, p), calibration(y, p))


def midranks(values: FloatArray) -> FloatArray:
    """Ranks from 1, equal values sharing their mean: ``scipy.stats.rankdata``, whose import takes a second.

    >>> midranks(np.array([3.0, 1.0, 3.0])).tolist()
    [2.5, 1.0, 2.5]
    """
    _, places, counts = np.unique(values, return_inverse=True, return_counts=True)
    ranks: FloatArray = (np.cumsum(counts) - (counts - 1) / 2)[places]
    return ranks


def auc(labels: FloatArray, scores: FloatArray) -> Auc:
    """Area under the ROC curve by ranks (ties count half), with DeLong's interval on the logit scale.

    References: DeLong et al. (1988); Sun and Xu (2014) for the fast form used here.

    >>> auc(np.array([0.0, 0, 1, 1]), np.array([0.1, 0.4, 0.35, 0.8])).value
    0.75
    """
    positive = labels > 0.5
    m, n = int(positive.sum()), int((~positive).sum())
    if m == 0 or n == 0:
        return Auc(np.nan, np.nan, np.nan)
    ranks = midranks(scores)
    # Placements: the share of the other class each row beats.
    beats = (ranks[positive] - midranks(scores[positive])) / n
    beaten = 1.0 - (ranks[~positive] - midranks(scores[~positive])) / m
    value = float(beats.mean())
    variance = _variance(beats) / m + _variance(beaten) / n
    if not 0.0 < value < 1.0:
        return Auc(value, value, value)
    odds = np.log(value / (1.0 - value))
    half = Z_95 * np.sqrt(variance) / (value * (1.0 - value))
    return Auc(value, float(1.0 / (1.0 + np.exp(half - odds))), float(1.0 / (1.0 + np.exp(-half - odds))))


def log_loss(labels: FloatArray, probabilities: FloatArray) -> float:
    """Mean negative log-likelihood, in nats; probabilities are held off 0 and 1 by 1e-9."""
    if len(labels) == 0:
        return float("nan")
    p = np.clip(probabilities, 1e-9, 1.0 - 1e-9)
    return float(-np.mean(np.where(labels > 0.5, np.log(p), np.log1p(-p))))


def calibration(labels: FloatArray, probabilities: FloatArray, n_bins: int = N_BINS) -> Calibration:
    """Calibration error over ``n_bins`` bins of equal mass, and its sampling floor.

    The floor takes each bin's gap as normal with the variance of its forecasts: E|gap| = sd · √(2/π).
    """
    n = len(labels)
    if n == 0:
        return Calibration(float("nan"), float("nan"))
    order = np.argsort(probabilities, kind="stable")
    error = floor = 0.0
    for rows in np.array_split(order, min(n_bins, n)):
        p = probabilities[rows]
        error += abs(float(labels[rows].mean() - p.mean())) * len(rows) / n
        floor += float(np.sqrt(2.0 / np.pi * (p * (1.0 - p)).sum())) / n
    return Calibration(error, floor)


def _variance(values: FloatArray) -> float:
    return float(values.var(ddof=1)) if len(values) > 1 else 0.0

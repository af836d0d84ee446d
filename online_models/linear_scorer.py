"""Scoring all arms of a linear model at once, from arrays alone: what a decider holds of it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

from online_models.encoding import FrozenEncoder
from online_models.reward_model import Estimates, Float32Array

NOISE_PRIOR_N = 256
"""Rows of prior belief that half of all choices succeed: they keep early exploration wide (weight 64 dropped
the best arm of a 2 % placement in one order of four)."""

LINEAR_SCALE = 2.5
"""The z-scores enter as 2.5/√d, so that one prior precision fits contexts of any width."""

MAX_CACHED_SELECTIONS = 256

_Selection: TypeAlias = tuple[NDArray[np.intp], NDArray[np.float64], NDArray[np.bool_] | None, bool]
"""Rows of the arms asked for, their counts, which of them are unknown, and whether they are all, in order."""


def noise_sd(n: float, total: float) -> float:
    """Standard deviation σ of one reward: that of a coin with the mean reward, at most ½ wide.

    >>> round(noise_sd(0, 0), 3), round(noise_sd(100_000, 2_000), 3)
    (0.5, 0.144)
    """
    mean = min(0.5, max(1e-4, (NOISE_PRIOR_N / 2 + total) / (NOISE_PRIOR_N + n)))
    return float(np.sqrt(mean * (1.0 - mean)))


class LinearScorer:
    """The arrays of a per-arm Bayesian linear model, ready to score.

    Parameters
    ----------
    encoder
        Raw features → d z-scores.
    arms
        Ids of the A arms it knows.
    weights
        Shape (A, 1 + B, F), float32: per arm the posterior mean θ and B posterior samples around zero.
    n
        Outcomes learned per arm, shape (A,).
    touched
        Outcome count at which each arm's numbers last changed, shape (A,): what a delta has to carry.
    prior_precision
        λ of the weights; the intercept's is 1.
    offset
        m₀, added to every estimate.
    scale
        Factor of the z-scores in φ = [1, scale · z].
    noise
        σ of one reward.
    optimism
        Factor of the posterior deviation, so that an arm never tried has about σ · optimism.
    """

    __slots__ = (
        "_flat",
        "_sd_factor",
        "_selections",
        "arms",
        "encoder",
        "index",
        "n",
        "noise",
        "offset",
        "optimism",
        "prior_precision",
        "scale",
        "touched",
        "weights",
    )

    def __init__(
        self,
        encoder: FrozenEncoder,
        arms: tuple[str, ...],
        weights: Float32Array,
        n: NDArray[np.float64],
        touched: NDArray[np.int64],
        *,
        prior_precision: float,
        offset: float,
        scale: float,
        noise: float,
        optimism: float,
    ) -> None:
        self.encoder, self.arms, self.weights, self.n, self.touched = encoder, arms, weights, n, touched
        self.prior_precision, self.offset, self.scale = prior_precision, offset, scale
        self.noise, self.optimism = noise, optimism
        self.index = {arm: i for i, arm in enumerate(arms)}
        self._flat = weights.reshape(-1, weights.shape[2])
        self._selections: dict[tuple[str, ...], _Selection] = {}
        typical = (prior_precision + LINEAR_SCALE**2) / prior_precision
        self._sd_factor = noise * optimism / typical**0.5

    def features(self, context: Mapping[Any, Any]) -> Float32Array:
        """φ(context), shape (F,), float32: the intercept, the scaled z-scores, zeros up to F."""
        return feature_vector(self.encoder, context, self.weights.shape[2], self.scale)

    def estimate(self, arms: Sequence[str], context: Mapping[Any, Any]) -> Estimates:
        """Mean, deviation and count of the K ``arms``, shape (K,); one that is not known has the prior."""
        found = self.estimate_all(arms, [context])
        return Estimates(found.arms, found.mean[0], found.sd[0], found.n, found.noise_sd)

    def estimate_all(self, arms: Sequence[str], contexts: Sequence[Mapping[Any, Any]]) -> Estimates:
        """``estimate`` for B contexts at once, shape (B, K): the same bits as one by one.

        B products of a matrix and a vector, not one of two matrices: that would add up in another order, and a
        decision made again from its record would differ in the last digit.
        """
        key = tuple(arms)
        selection = self._selections.get(key)
        if selection is None:
            selection = self._select(key)
        rows, n, unknown, whole = selection
        n_arms, width, n_features = self.weights.shape
        phi = feature_vectors(self.encoder, contexts, n_features, self.scale)
        columns = phi[:, :, None]
        if whole or 2 * len(key) >= n_arms > 0:
            projected = (self._flat @ columns).reshape(-1, n_arms, width)
            if not whole:
                projected = projected.take(rows, axis=1)
        elif n_arms:
            projected = (self.weights[rows].reshape(-1, n_features) @ columns).reshape(-1, len(key), width)
        else:
            projected = np.zeros((len(contexts), len(key), width), np.float32)
        samples = projected[:, :, 1:]
        variance = np.add.reduce(samples * samples, axis=2).astype(np.float64)
        variance *= 1.0 / (width - 1)
        mean = projected[:, :, 0].astype(np.float64)
        if unknown is not None:
            mean[:, unknown] = 0.0
            norms = np.add.reduce(phi * phi, axis=1, keepdims=True)
            variance[:, unknown] = 1.0 + (norms - 1.0) / self.prior_precision
        mean += self.offset
        sd = np.sqrt(variance, out=variance)
        sd *= self._sd_factor
        return Estimates(key, mean, sd, n, self.noise)

    def _select(self, key: tuple[str, ...]) -> _Selection:
        rows = np.array([self.index.get(arm, -1) for arm in key], dtype=np.intp)
        unknown = rows < 0
        n = np.where(unknown, 0.0, self.n[rows]) if len(self.arms) else np.zeros(len(key))
        selection = (rows, n, unknown if unknown.any() else None, key == self.arms)
        if len(self._selections) >= MAX_CACHED_SELECTIONS:
            self._selections.clear()
        self._selections[key] = selection
        return selection


def feature_vector(
    encoder: FrozenEncoder, context: Mapping[Any, Any], n_features: int, scale: float
) -> Float32Array:
    """φ(context) = [1, scale · z, 0 …], shape (n_features,), float32: the one used to learn and to decide."""
    phi: Float32Array = feature_vectors(encoder, [context], n_features, scale)[0]
    return phi


def feature_vectors(
    encoder: FrozenEncoder, contexts: Sequence[Mapping[Any, Any]], n_features: int, scale: float
) -> Float32Array:
    """``feature_vector`` for each of B contexts: shape (B, n_features)."""
    z = encoder.encode_all(contexts)
    phi = np.zeros((len(contexts), n_features), np.float32)
    phi[:, 0] = 1.0
    np.multiply(z, np.float32(scale), out=phi[:, 1 : 1 + z.shape[1]])
    return phi

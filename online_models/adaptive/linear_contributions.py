"""Integrated gradients of a model that is linear in its features, from the mean context to another one.

Along the straight line t·z from the mean context (z = 0: every z-score is 0 there) to z, dimension i contributes
z_i ∫ ∂f/∂z_i (t·z) dt, and over all i that is f(z) − f(0). Of the linear block that is a closed form. A landmark's
kernel exp(−½|T(t·z − c_j)|²) has the gradient (TᵀTc_j − t·TᵀTz)·kernel: two integrals over t for each of the D
landmarks are all there is, whatever the number of arms and dimensions. They are worked out by Gauss and
Legendre's quadrature, with twice the nodes until the sum holds.

References
----------
Sundararajan, Taly, Yan (2017), Axiomatic Attribution for Deep Networks (completeness: Proposition 1).
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import lru_cache
from typing import Any, NamedTuple

import numpy as np

from online_models.adaptive.feature_map import FeatureMap
from online_models.adaptive.linear_scorer import LinearScorer
from online_models.reward_model import Float32Array, FloatArray

TOLERANCE = 1e-9
"""Of what the sum may lack, on the scale [0, 1] of rewards."""

FIRST_NODES, MAX_NODES = 32, 2048
"""A kernel is a bell along the line, as narrow as 1/|Tz|. Contexts at the clip of 5 deviations are 7 of its
deviations apart, which 32 nodes integrate to 1e-12; a learned metric may stretch that."""


class Integrated(NamedTuple):
    """Of K arms: estimates in the mean context and in this one, shape (K,), and each dimension's part, (K, d)."""

    mean: FloatArray
    estimate: FloatArray
    by_dimension: FloatArray


def integrated_gradients(
    scorer: LinearScorer,
    arms: tuple[str, ...],
    z: FloatArray,
    arm_features: Mapping[str, Any] | None = None,
) -> Integrated:
    """Take the estimates of K arms apart at the encoded context ``z``, shape (d,), in double precision.

    One arm with 256 landmarks takes about a millisecond, a further one a tenth of it.
    """
    features = scorer.features
    slopes = _slopes(scorer, arms, arm_features)
    d = len(z)
    linear = slopes[:, 1 : 1 + d] * (features.linear * z)
    mean = scorer.offset + features.intercept * slopes[:, 0]
    estimate = mean + linear.sum(axis=1)
    if not len(features.landmarks):
        return Integrated(mean, estimate, linear)
    curve = _Curve.of(features, slopes, z)
    at_mean, at_z = curve.at(0.0), curve.at(1.0)
    return Integrated(mean + at_mean, estimate + at_z, linear + curve.integrated(at_z - at_mean))


def estimates_at(scorer: LinearScorer, arms: tuple[str, ...], z: Float32Array) -> FloatArray:
    """Estimates of K arms in n encoded contexts, shape (n, d) → (n, K): for looking, not for deciding."""
    features = scorer.features
    slopes = _slopes(scorer, arms, None)
    found: FloatArray = (
        scorer.offset + features.intercept * slopes[:, 0] + features.linear * (z @ slopes[:, 1 : 1 + z.shape[1]].T)
    )
    if len(features.landmarks):
        curved = features.landmarks.features_of_many(z)
        found += features.amplitude * (curved @ slopes[:, 1 + features.width :].T)
    return found


def _slopes(scorer: LinearScorer, arms: tuple[str, ...], arm_features: Mapping[str, Any] | None) -> FloatArray:
    """Of K arms the weight of each feature of φ, shape (K, F), what they have in common included."""
    rows = np.array([scorer.index.get(arm, -1) for arm in arms], np.intp)
    known = rows >= 0
    slopes = np.zeros((len(arms), scorer.features.n_features))
    slopes[known] = scorer.weights[rows[known], 0]
    bases = scorer.bases(arms, rows, arm_features)
    if bases is not None:
        slopes[:, : bases.shape[1]] += bases
    return slopes


class _Curve(NamedTuple):
    """The landmarks' part of K estimates along t·z: Σ_j pull_j exp(t·toward_j − half_j − ½t²·square).

    Attributes
    ----------
    pull
        Shape (K, D).
    directions
        TᵀTc_j, shape (D, d), and TᵀTz, shape (d,).
    """

    z: FloatArray
    pull: FloatArray
    directions: FloatArray
    falling: FloatArray
    toward: FloatArray
    half: FloatArray
    square: float

    @classmethod
    def of(cls, features: FeatureMap, slopes: FloatArray, z: FloatArray) -> _Curve:
        landmarks = features.landmarks
        n = len(landmarks)
        directions = landmarks.directions[:, : len(z)].astype(np.float64)
        projected = directions @ z
        rest = projected[n:]
        pull = features.amplitude * (slopes[:, 1 + features.width :] @ landmarks.whitening.astype(np.float64))
        return cls(
            z,
            pull,
            directions[:n],
            rest @ directions[n:],
            projected[:n],
            landmarks.half.astype(np.float64),
            float(rest @ rest),
        )

    def _kernel(self, t: FloatArray) -> FloatArray:
        """Of n places on the line, shape (n, D)."""
        kernel: FloatArray = np.exp(t[:, None] * self.toward - self.half - 0.5 * self.square * t[:, None] ** 2)
        return kernel

    def at(self, t: float) -> FloatArray:
        """Shape (K,)."""
        heights: FloatArray = self.pull @ self._kernel(np.array([t]))[0]
        return heights

    def integrated(self, total: FloatArray) -> FloatArray:
        """Each dimension's part of the ``total`` of each arm, shape (K, d)."""
        n_nodes = FIRST_NODES
        while True:
            t, weights = _nodes(n_nodes)
            kernel = self._kernel(t)
            once, by_t = weights @ kernel, (weights * t) @ kernel
            parts: FloatArray = (self.pull * once) @ self.directions * self.z
            parts -= (self.pull @ by_t)[:, None] * (self.falling * self.z)
            if np.abs(parts.sum(axis=1) - total).max(initial=0.0) <= TOLERANCE or n_nodes >= MAX_NODES:
                return parts
            n_nodes *= 2


@lru_cache(8)
def _nodes(n: int) -> tuple[FloatArray, FloatArray]:
    """Gauss and Legendre's nodes and weights on [0, 1]."""
    t, weights = np.polynomial.legendre.leggauss(n)
    return 0.5 * (t + 1.0), 0.5 * weights

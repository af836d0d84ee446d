"""Which directions of the context matter, learned from the model's own gradients."""

from __future__ import annotations

import numpy as np

from online_models.adaptive.arm_regressions import ArmRegressions
from online_models.reward_model import Float32Array, FloatArray

IDENTITY_SHARE = 0.1
"""Of the plain metric in the learned one: no direction is forgotten for good."""

TOO_FLAT = 1e-12


def learned_metric(regressions: ArmRegressions, raw: Float32Array, arm: np.ndarray) -> FloatArray | None:
    """The symmetric matrix T, shape (d, d), that contexts are transformed by before distances are taken.

    M = Σ ggᵀ over gradients g of the chosen arm's estimate; T² is M^½ with mean eigenvalue 1, mixed with the
    identity. None while the model knows nothing or has no landmarks.

    Parameters
    ----------
    raw
        Contexts as ``Encoder.learn`` gives them, shape (n, d).
    arm
        Row of each context's arm, shape (n,).

    References
    ----------
    Radhakrishnan et al. (2024), Mechanism for feature learning in neural networks and backpropagation-free
    machine learning models (recursive feature machines, average gradient outer product).
    """
    features = regressions.features
    if not (len(features.landmarks) and len(arm) and features.encoder.n_dims):
        return None
    slopes = gradients(regressions, raw, arm).astype(np.float64)
    outer = slopes.T @ slopes
    if not np.isfinite(outer).all():
        return None
    try:
        values, vectors = np.linalg.eigh(outer)
    except np.linalg.LinAlgError:  # it did not converge: the metric there is stays
        return None
    values = np.sqrt(np.maximum(values, 0.0))
    if not TOO_FLAT < values.max() < np.inf:
        return None
    values = (1.0 - IDENTITY_SHARE) * values / values.mean() + IDENTITY_SHARE
    return (vectors * np.sqrt(values)) @ vectors.T  # type: ignore[no-any-return]


def gradients(regressions: ArmRegressions, raw: Float32Array, arm: np.ndarray) -> Float32Array:
    """Differentiate the chosen arm's estimate by the z-scores, row by row, shape (n, d); parameters as above."""
    features = regressions.features
    d, first_curved = features.encoder.n_dims, 1 + features.width
    theta = regressions.weights[arm, 0]
    slopes: Float32Array = theta[:, 1 : 1 + d] * features.linear
    if len(features.landmarks):
        curved = features.landmarks.gradients(features.encoder.scale(raw), theta[:, first_curved:])
        slopes = slopes + curved * features.amplitude
    return slopes

"""Thompson sampling with its probabilities written out: the chance that each arm's score is the highest."""

from __future__ import annotations

import numpy as np
from scipy.special import ndtr

from online_models.policies.parameter import Parameter
from online_models.reward_model import Estimates, FloatArray
from personalization.catalog.policy_spec import PolicySpec

GRID = np.linspace(0.0, 1.0, 28)
QUANTILES = np.array([-3.0, -1.8, -1.0, -0.4, 0.2, 0.8, 1.5, 2.5])
"""Extra nodes at the quantiles of the leading arms: a deviation far below the grid's step would otherwise
fall between two nodes."""

SCALE = Parameter("scale", "Multiplies the deviations.", default=1.0, low=0.0, high=1_000.0)
PARAMETERS = (SCALE,)

LEADERS = 3
REACH = 4.5
"""Deviations beyond which a Gaussian's tail (3e-6) is left out."""


def thompson(estimates: Estimates, spec: PolicySpec) -> FloatArray:
    """P(arm's score is the highest) for independent Gaussian scores, by integration on one common grid.

    p_a = ∫ Π_{b≠a} Φ_b(x) dΦ_a(x), the product taken once for all arms: O(arms × nodes).

    Parameters
    ----------
    spec
        May set ``SCALE``.
    """
    scale = SCALE.of(spec) * min(1.0, 2.0 * estimates.noise_sd) * estimates.room
    mean, sd = estimates.mean, np.maximum(estimates.sd * scale, 1e-9)
    if mean.ndim == 1:
        return highest(mean, sd)
    return np.stack([highest(*row) for row in zip(mean, sd, strict=True)])


def highest(mean: FloatArray, sd: FloatArray) -> FloatArray:
    """The probability that each of K independent Gaussians is the largest, shape (K,).

    >>> highest(np.array([0.0, 0.0]), np.array([1.0, 2.0])).round(3).tolist()
    [0.5, 0.5]
    """
    if len(mean) == 1:
        return np.ones(1)
    upper = mean + REACH * sd
    low, high = float((mean - REACH * sd).max()), float(upper.max())
    leaders = np.argsort(-mean, kind="stable")[:LEADERS]
    nodes = np.concatenate(
        [low + (high - low) * GRID, (mean[leaders, None] + sd[leaders, None] * QUANTILES).ravel()]
    )
    nodes = np.sort(nodes.clip(low, high))
    below = ndtr((nodes - mean[:, None]) / sd[:, None])  # (K, nodes), ≥ Φ(−REACH)
    others = np.multiply.reduce(below, axis=0) / below  # the product without the arm itself
    p: FloatArray = below[:, 0] * others[:, 0]
    p += 0.5 * np.einsum("an,an->a", below[:, 1:] - below[:, :-1], others[:, 1:] + others[:, :-1])
    p /= p.sum()
    return p

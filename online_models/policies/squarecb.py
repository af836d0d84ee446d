"""SquareCB: probability inverse to the gap behind the best estimate."""

from __future__ import annotations

import numpy as np

from online_models.reward_model import Estimates, FloatArray
from personalization.policy_spec import PolicySpec


def squarecb(estimates: Estimates, spec: PolicySpec) -> FloatArray:
    """p_a = 1/(K + γ·gap_a) for all but the best arm, which has the rest; γ = gamma·√(K·N)/2σ.

    Parameters
    ----------
    spec
        ``gamma`` (default 4) multiplies the learning-rate schedule; N is the number of outcomes learned.

    References
    ----------
    Foster and Rakhlin (2020), Beyond UCB: Optimal and Efficient Contextual Bandits.
    """
    k = len(estimates.mean)
    gamma = spec.number("gamma", 4.0) * np.sqrt(k * (1.0 + estimates.n.sum())) / (2.0 * estimates.noise_sd)
    best = int(np.argmax(estimates.mean))
    p: FloatArray = 1.0 / (k + gamma * (estimates.mean[best] - estimates.mean))
    p[best] = 0.0
    p[best] = 1.0 - p.sum()
    return p

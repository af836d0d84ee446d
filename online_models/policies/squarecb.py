"""SquareCB: probability inverse to the gap behind the best estimate."""

from __future__ import annotations

import numpy as np

from online_models.policies.parameter import Parameter
from online_models.reward_model import Estimates, FloatArray
from personalization.catalog.policy_spec import PolicySpec

GAMMA = Parameter(
    "gamma",
    "Multiplies the learning-rate schedule: the more, the less is explored.",
    default=4.0,
    low=0.0,
    high=1_000_000.0,
)
PARAMETERS = (GAMMA,)


def squarecb(estimates: Estimates, spec: PolicySpec) -> FloatArray:
    """p_a = 1/(K + γ·gap_a) for all but the best arm, which has the rest; γ = gamma·√(K·N)/2σ.

    Parameters
    ----------
    spec
        May set ``GAMMA``; N is the number of outcomes learned.

    References
    ----------
    Foster and Rakhlin (2020), Beyond UCB: Optimal and Efficient Contextual Bandits.
    """
    k = len(estimates.arms)
    gamma = GAMMA.of(spec) * np.sqrt(k * (1.0 + estimates.n.sum())) / (2.0 * estimates.noise_sd)
    best = estimates.mean.argmax(axis=-1, keepdims=True)
    highest = np.take_along_axis(estimates.mean, best, axis=-1)
    p: FloatArray = 1.0 / (k + gamma * (highest - estimates.mean))
    np.put_along_axis(p, best, 0.0, axis=-1)
    np.put_along_axis(p, best, 1.0 - p.sum(axis=-1, keepdims=True), axis=-1)
    return p

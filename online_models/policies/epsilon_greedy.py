"""Epsilon-greedy: the best estimate, but for a share of uniform choices."""

from __future__ import annotations

from online_models.policies.parameter import Parameter
from online_models.reward_model import Estimates, FloatArray
from personalization.catalog.policy_spec import PolicySpec

EPSILON = Parameter("epsilon", "The share of choices made evenly among all contents.", default=0.05)
PARAMETERS = (EPSILON,)


def epsilon_greedy(estimates: Estimates, spec: PolicySpec) -> FloatArray:
    """ε/K each, the rest shared by the arms with the highest mean.

    Parameters
    ----------
    spec
        May set ``EPSILON``.
    """
    epsilon = min(1.0, max(0.0, EPSILON.of(spec)))
    best = estimates.mean >= estimates.mean.max(axis=-1, keepdims=True) - 1e-12
    p: FloatArray = epsilon / best.shape[-1] + (1.0 - epsilon) * best / best.sum(axis=-1, keepdims=True)
    return p

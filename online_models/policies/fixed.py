"""A choice somebody has made: one arm, or given weights."""

from __future__ import annotations

import numpy as np

from online_models.reward_model import Estimates, FloatArray
from personalization.policy_spec import PolicySpec


def fixed(estimates: Estimates, spec: PolicySpec) -> FloatArray:
    """All on ``parameters["arm"]``, or in proportion to ``parameters["weights"]``; else the first arm.

    The first arm is chosen where none of those named is eligible.
    """
    arm, weights = spec.parameters.get("arm"), spec.parameters.get("weights")
    wanted = weights if isinstance(weights, dict) else {str(arm): 1.0}
    p = np.array([max(0.0, float(wanted.get(each, 0.0))) for each in estimates.arms])
    total = float(p.sum())
    if not 0.0 < total < np.inf:
        p[:] = 0.0
        p[0] = total = 1.0
    return np.broadcast_to(p / total, estimates.mean.shape)

"""A choice somebody has made: one arm, or given weights."""

from __future__ import annotations

import numpy as np

from online_models.policies.parameter import Parameter
from online_models.reward_model import Estimates, FloatArray
from personalization.catalog.policy_spec import PolicySpec

ARM = Parameter("arm", "The one content that is always shown.", kind="content")
WEIGHTS = Parameter("weights", "The contents that are shown, in proportion to their weights.", kind="weights")
PARAMETERS = (ARM, WEIGHTS)


def fixed(estimates: Estimates, spec: PolicySpec) -> FloatArray:
    """Put all on ``ARM``, or divide it by ``WEIGHTS``; take the first arm if none of those named is eligible."""
    arm, weights = spec.parameters.get(ARM.name), spec.parameters.get(WEIGHTS.name)
    wanted = weights if isinstance(weights, dict) else {str(arm): 1.0}
    p = np.array([max(0.0, float(wanted.get(each, 0.0))) for each in estimates.arms])
    total = float(p.sum())
    if not 0.0 < total < np.inf:
        p[:] = 0.0
        p[0] = total = 1.0
    return np.broadcast_to(p / total, estimates.mean.shape)

"""The uniform choice: what others are compared against, and a control group's policy."""

from __future__ import annotations

import numpy as np

from online_models.policies.parameter import Parameter
from online_models.reward_model import Estimates, FloatArray
from personalization.catalog.policy_spec import PolicySpec

PARAMETERS: tuple[Parameter, ...] = ()


def uniform(estimates: Estimates, spec: PolicySpec) -> FloatArray:
    """1/K each."""
    return np.full(estimates.mean.shape, 1.0 / len(estimates.arms))

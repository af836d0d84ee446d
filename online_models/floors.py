"""Rule *Floors*: what every eligible arm has at least, what new arms have at most, in the distribution.

Applied to whatever a policy says and before the draw, so that the logged propensity is the one drawn from.
"""

from __future__ import annotations

import numpy as np

from online_models.reward_model import Estimates, FloatArray
from personalization.policy_spec import PolicySpec

NEW_ARMS_AT_MOST = 0.5


def apply_floors(probabilities: FloatArray, estimates: Estimates, spec: PolicySpec) -> FloatArray:
    """Raise every arm to its floor; the others give in proportion to their excess.

    The floor is ``epsilon · room / K``, or the placement's ``min_probability`` where that is more; an arm with
    fewer than ``new_arm_exposures`` outcomes has at least 1/(2K). Where some arm is not new, the new ones
    together have at most half.

    Parameters
    ----------
    probabilities
        Shape (K,), a distribution.
    """
    k = len(probabilities)
    if k == 1:
        return np.ones(1)
    p = probabilities
    least = min(1.0 / k, max(spec.epsilon * estimates.room / k, spec.min_probability or 0.0))
    if estimates.n.min() >= spec.new_arm_exposures:  # the usual case, and the decider's hot path
        if p.min() >= least:
            return p
        raised = np.maximum(p, least)
        raised -= least
        above = float(raised.sum())
        if above <= 0.0:
            return np.full(k, 1.0 / k)
        raised *= (1.0 - k * least) / above
        raised += least
        return raised
    new = estimates.n < spec.new_arm_exposures
    n_new = int(np.count_nonzero(new))
    floor = np.where(new, max(least, 0.5 / k), least)
    if 0 < n_new < k:
        old = ~new
        share = min(float(p[new].sum()), NEW_ARMS_AT_MOST)
        share = min(max(share, float(floor[new].sum())), 1.0 - float(floor[old].sum()))
        raised = np.empty(k)
        raised[new] = _fill(p[new], floor[new], share)
        raised[old] = _fill(p[old], floor[old], 1.0 - share)
        return raised
    return _fill(p, floor, 1.0)


def _fill(p: FloatArray, floor: FloatArray, total: float) -> FloatArray:
    """Distribute ``total``: to each its floor, the rest in proportion to what ``p`` has above it."""
    excess = np.maximum(p - floor, 0.0)
    above = float(excess.sum())
    if above <= 0.0:
        excess, above = floor, float(floor.sum())
        if above <= 0.0:
            return np.full(len(p), total / len(p))
    filled: FloatArray = floor + excess * ((total - float(floor.sum())) / above)
    return filled

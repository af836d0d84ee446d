"""Rule *Floors*: what every eligible arm has at least, what new arms have at most, in the distribution.

Applied to whatever a policy says and before the draw, so that the logged propensity is the one drawn from.
"""

from __future__ import annotations

import numpy as np

from online_models.reward_model import Estimates, FloatArray, in_turn
from personalization.catalog.policy_spec import PolicySpec

NEW_ARMS_AT_MOST = 0.5


def apply_floors(probabilities: FloatArray, estimates: Estimates, spec: PolicySpec) -> FloatArray:
    """Raise every arm to its floor; the others give in proportion to their excess.

    The floor is ``epsilon · room / K``, or the placement's ``min_probability`` where that is more; an arm with
    fewer than ``new_arm_exposures`` outcomes has at least 1/(2K). Where some arm is not new, the new ones
    together have at most half.

    Parameters
    ----------
    probabilities
        Shape (K,) or (B, K), distributions along the last axis.
    """
    p = probabilities
    k = p.shape[-1]
    if k == 1:
        return np.ones(p.shape)
    least = estimates.room * (spec.epsilon / k)
    if spec.min_probability:
        least = np.minimum(1.0 / k, np.maximum(least, spec.min_probability))
    if np.minimum.reduce(estimates.n) >= spec.new_arm_exposures:
        return _fill(p, least, 1.0)
    new = estimates.n < spec.new_arm_exposures
    n_new = int(np.count_nonzero(new))
    least_new = np.maximum(least, 0.5 / k)
    if n_new == k:
        return _fill(p, least_new, 1.0)
    is_new, is_old = new.nonzero()[0], (~new).nonzero()[0]
    p_new, p_old = p.take(is_new, axis=-1), p.take(is_old, axis=-1)
    share = np.minimum(in_turn(p_new), NEW_ARMS_AT_MOST)
    share = np.minimum(np.maximum(share, n_new * least_new), 1.0 - (k - n_new) * least)
    raised = np.empty(p.shape)
    raised[..., is_new] = _fill(p_new, least_new, share)
    raised[..., is_old] = _fill(p_old, least, 1.0 - share)
    return raised


def _fill(p: FloatArray, floor: FloatArray, total: FloatArray | float) -> FloatArray:
    """Distribute ``total``: to each its ``floor``, the rest in proportion to what ``p`` has above it."""
    filled = p - floor
    np.maximum(filled, 0.0, out=filled)
    above = in_turn(filled)
    if np.count_nonzero(above) < above.size:  # where nothing has more than its floor, all share alike
        filled = np.where(above > 0.0, filled, 1.0)
        above = in_turn(filled)
    filled *= (total - p.shape[-1] * floor) / above
    filled += floor
    return filled

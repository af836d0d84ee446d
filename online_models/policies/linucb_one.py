"""The default policy and its floors for one context with few arms, in plain Python: the same bits as many get.

A call of numpy takes a microsecond whatever it does, and two dozen of them are a third of a decision. What differs
from ``linucb`` and ``apply_floors`` is nothing but who multiplies: the order of every operation is theirs, and the
exponentials are numpy's.
"""

from __future__ import annotations

from functools import reduce
from math import sqrt
from operator import add

import numpy as np

from online_models.policies.linucb import ALPHA, TEMPERATURE
from online_models.reward_model import MIN_ROOM
from personalization.catalog.policy_spec import PolicySpec

FEW_ARMS = 32
"""Up to which plain Python is faster: ¾ µs an arm against 30 µs."""


def linucb_with_floors(
    mean: list[float], sd: list[float], n: list[float], sigma: float, spec: PolicySpec
) -> list[float] | None:
    """``apply_floors`` of ``linucb``, of K arms in one context; None where it takes more than the ordinary case.

    Parameters
    ----------
    mean, sd, n
        As in ``Estimates``, K each.
    sigma
        σ of one reward.
    """
    alpha, temperature = ALPHA.default, TEMPERATURE.default
    if spec.parameters:
        alpha, temperature = ALPHA.of(spec), TEMPERATURE.of(spec)
    k = len(mean)
    if k < 2 or min(n) < spec.new_arm_exposures or not (temperature > 0.0 and sigma > 0.0):
        return None
    room = min(1.0, max(MIN_ROOM, 1.0 - max(mean)))
    optimism, variance = alpha * min(1.0, 2.0 * sigma), sigma * sigma
    spreads = [
        sqrt((s := each * optimism) * s + variance / (count + 1.0)) * room
        for each, count in zip(sd, n, strict=True)
    ]
    bounds = [m + s for m, s in zip(mean, spreads, strict=True)]
    highest = max(bounds)
    exponents = [(bound - highest) / (s * temperature) for bound, s in zip(bounds, spreads, strict=True)]
    weights: list[float] = np.exp(np.array(exponents)).tolist()
    total = reduce(add, weights)  # not `sum`, which from Python 3.12 on compensates for rounding
    floor = room * (spec.epsilon / k)
    if spec.min_probability:
        floor = min(1.0 / k, max(floor, spec.min_probability))
    excess = [share if (share := weight / total - floor) > 0.0 else 0.0 for weight in weights]
    above = reduce(add, excess)
    if not above > 0.0:
        return None
    factor = (1.0 - k * floor) / above
    return [share * factor + floor for share in excess]

"""The estimate of any River model taken apart, from the mean context to another one.

A linear one answers g(w·z): along the straight line from the mean context (z = 0) its integrated gradients are
w_i z_i (g(w·z) − g(0)) / w·z, whatever g is. For any other, of which nobody knows a gradient (a tree has none), the
features go one after the other from what they are in the mean context to what they are here, in several orders, and
each is given the mean of what changed at its turn: a Shapley value estimated from orders, which adds up exactly in
each of them.

References
----------
Sundararajan, Taly, Yan (2017), Axiomatic Attribution for Deep Networks; Castro, Gómez, Tejada (2009), Polynomial
calculation of the Shapley value based on sampling.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np

from online_models.feature_owners import FeatureOwners
from online_models.reward_model import Float32Array, FloatArray
from online_models.river_model import RiverModel

N_ORDERS = 16
"""Each forwards and backwards. What they leave uncertain is a few hundredths of what two features do together."""

FLAT = 1e-9
"""Share of Σ|w_i z_i| below which w·z is 0, and a slope of g has to do."""

STEP = 1e-3
"""Of w·z, to find that slope."""


def contributions_by_feature(model: RiverModel, arm: str, context: Mapping[Any, Any]) -> dict[str, float]:
    """What each feature contributes on the scale [0, 1], the largest first; nothing of an arm it does not know."""
    if arm not in model.n:
        return {}
    z = model.encoder.encode(context)
    owners = FeatureOwners(model.encoder, context)
    weights = model.weights_of(arm, len(z))
    if weights is not None:
        return owners.added_up(_linear(model, arm, z, weights))
    return _in_turns(model, arm, z, owners.groups())


def _linear(model: RiverModel, arm: str, z: Float32Array, weights: FloatArray) -> FloatArray:
    parts = weights * z
    total = float(parts.sum())
    if abs(total) > FLAT * float(np.abs(parts).sum()):
        return parts * ((model.predict_encoded(arm, z) - model.predict_encoded(arm, np.zeros_like(z))) / total)
    square = float(weights @ weights)
    if not square:
        return np.zeros(len(z))
    step = (weights * (STEP / square)).astype(np.float32)
    return parts * ((model.predict_encoded(arm, step) - model.predict_encoded(arm, -step)) / (2.0 * STEP))


def _in_turns(model: RiverModel, arm: str, z: Float32Array, groups: dict[str, list[int]]) -> dict[str, float]:
    moved = {name: dims for name, dims in groups.items() if z[dims].any()}
    sums = dict.fromkeys(moved, 0.0)
    n_orders = 0
    for order in _orders(sorted(moved)):
        at = np.zeros_like(z)
        before = model.predict_encoded(arm, at)
        for name in order:
            at[moved[name]] = z[moved[name]]
            after = model.predict_encoded(arm, at)
            sums[name] += after - before
            before = after
        n_orders += 1
    means = {name: total / n_orders for name, total in sums.items() if total}
    return dict(sorted(means.items(), key=lambda each: (-abs(each[1]), each[0])))


def _orders(names: list[str]) -> Iterator[list[str]]:
    """The same ones each time."""
    rng = np.random.default_rng(len(names))
    for _ in range(N_ORDERS):
        order = [names[at] for at in rng.permutation(len(names))]
        yield order
        yield order[::-1]

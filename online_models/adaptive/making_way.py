"""Which dimensions a model gives back where names that have earned one find no room.

A dimension is worth what it moves estimates by: the mean square of (gradient × z-score) over the last rows, over
all dimensions of a name. One that nobody sends any more moves nothing.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from online_models.adaptive.arm_regressions import ArmRegressions
from online_models.adaptive.metric import gradients
from online_models.encoder import Encoder
from online_models.reward_model import Float32Array, FloatArray
from online_models.waiting_names import MIN_UNITS

EFFECT_ROWS = 512
TRIAL = 512
"""Outcomes a dimension has for showing what it is good for, unless nearly nobody sends it."""

LITTLE = 0.5
"""Of the mean effect of a dimension. Fewer than half of them move more than that where only some matter; where all
matter alike, few fall below it, and all stay."""

MAX_SHARE = 1 / 8
"""Of all dimensions that are given back at once to whoever waits: the others go on as they are."""


def effects(regressions: ArmRegressions, raw: Float32Array, arm: NDArray[np.int32]) -> FloatArray:
    """What each dimension moves estimates by, shape (d,).

    Parameters
    ----------
    raw
        The last contexts as ``Encoder.learn`` gives them, shape (n, ·).
    arm
        Rows of their arms, shape (n,).
    """
    encoder = regressions.features.encoder
    if not len(raw):
        return np.zeros(encoder.n_dims)
    slopes = gradients(regressions, raw, arm)
    if regressions.shared is not None:
        slopes += regressions.shared.of_arms(arm)[:, 1 : 1 + encoder.n_dims] * regressions.features.linear
    moved = slopes * encoder.scale(raw)
    squares: FloatArray = np.add.reduce(moved * moved, axis=0, dtype=np.float64) / len(raw)
    return np.nan_to_num(squares)


def kept_dims(encoder: Encoder, effect: FloatArray, raw: Float32Array, n_over: int) -> NDArray[np.intp]:
    """The dimensions that stay, in order.

    Parameters
    ----------
    effect
        See ``effects``.
    raw
        The last contexts, shape (n, ·).
    n_over
        So many must go, whatever they are worth.
    """
    owners = encoder.owners()
    own = np.flatnonzero(owners == np.arange(len(owners)))
    worth = np.zeros(len(owners))
    np.add.at(worth, owners[owners >= 0], effect[owners >= 0])
    given = raw[:, own]
    present = np.add.reduce((given != encoder.absent[own]) & ~np.isnan(given), axis=0)
    on_trial = (encoder.age[own] < TRIAL) & (present >= min(MIN_UNITS, len(raw)))
    order = own[np.lexsort((own, worth[own], on_trial))]
    n_free = max(0, min(encoder.n_wanted - (encoder.limit - encoder.n_dims), int(MAX_SHARE * len(owners))))
    useless = worth[own] < LITTLE * worth[own].mean() if len(own) else np.zeros(0, bool)
    n_useless = int((useless & ~on_trial).sum())
    gone = order[: max(n_over, min(n_free, n_useless))]
    return np.flatnonzero(~np.isin(owners, gone))

"""Dimensions that an estimator hands on: from names that next to nobody ever sent to those that wait for one.

An estimator keeps what it knows by dimension and cannot be told that another name is meant now. Of a dimension that
was at its mean in all contexts but one or two it knows next to nothing: that one can be handed on as it is.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from online_models.encoder import Encoder
from online_models.reward_model import FloatArray
from online_models.waiting_names import MIN_UNITS

TRIAL = 512
"""Contexts a dimension has for being seen."""


def present(encoder: Encoder, raw: FloatArray) -> NDArray[np.bool_]:
    """Which dimensions a context names, shape (d,).

    Parameters
    ----------
    raw
        As ``Encoder.learn`` gives it, shape (d,).
    """
    given: NDArray[np.bool_] = (raw != encoder.absent) & (raw == raw)
    return given


def handed_on(encoder: Encoder, n_present: FloatArray) -> NDArray[np.intp]:
    """Dimensions that go to whoever waits, with the flags of their names; none while there is room.

    Parameters
    ----------
    n_present
        Contexts that named each dimension, shape (d,).
    """
    n_short = encoder.n_wanted - max(0, encoder.n_room)
    if n_short <= 0:
        return np.zeros(0, np.intp)
    owners = encoder.owners()
    idle = (owners == np.arange(len(owners))) & (encoder.age >= TRIAL) & (n_present < MIN_UNITS)
    gone = np.flatnonzero(idle)[:n_short]
    return np.flatnonzero(np.isin(owners, gone))

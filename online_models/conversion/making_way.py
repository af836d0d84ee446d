"""Which columns a model gives back: those that nobody sends any more, and where names wait those that move little.

A column is worth what it moves estimates by: the variance of its contribution over the last rows.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from online_models.reward_model import FloatArray
from online_models.waiting_names import MIN_UNITS

EFFECT_ROWS = 256
TRIAL = 512
"""Rows a column has for showing what it is good for."""

LITTLE = 0.5
"""Of the mean worth of a column: where all matter alike, few fall below it, and all stay."""

MAX_SHARE = 1 / 8
"""Of all columns that are given back at once to whoever waits: the others go on as they are."""


def unseen(n_present: NDArray[np.int64], age: NDArray[np.int64]) -> NDArray[np.bool_]:
    """Columns that next to no row has had for long, shape (C,).

    Parameters
    ----------
    n_present
        Of the rows kept, those that have a value, shape (C,).
    age
        Rows since the column was given, shape (C,).
    """
    return (age >= TRIAL) & (n_present < MIN_UNITS)


def worth_little(worth: FloatArray, age: NDArray[np.int64], n_wanted: int) -> NDArray[np.bool_]:
    """Columns that make way for ``n_wanted`` others, shape (C,).

    Parameters
    ----------
    worth
        See above, shape (C,).
    """
    old = age >= TRIAL
    order = np.lexsort((np.arange(len(worth)), worth, ~old))
    n_useless = int((old & (worth < LITTLE * worth.mean())).sum())
    gone = np.zeros(len(worth), bool)
    gone[order[: min(n_wanted, n_useless, int(MAX_SHARE * len(worth)))]] = True
    return gone

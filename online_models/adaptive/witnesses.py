"""Whose word outcomes are, where each visitor and each network is to count once.

A witness is a number: four bytes of the visitor's hash above four of the network's. 0 in a half is nobody's in
particular: such outcomes count each for itself, as those of servers do.
"""

from __future__ import annotations

from collections.abc import Collection

import numpy as np
from numpy.typing import NDArray

from online_models.reward_model import FloatArray

_HALF = np.uint64(32)


def weights_of(witnesses: NDArray[np.uint64]) -> FloatArray | None:
    """Weights under which nobody's outcomes add up to more than 1; None if each is somebody else's.

    >>> weights_of(np.array([7 << 32 | 1, 8 << 32 | 1, 9 << 32 | 2, 0, 0], np.uint64))
    array([0.5, 0.5, 1. , 1. , 1. ])
    >>> weights_of(np.array([7 << 32 | 1, 8 << 32 | 2, 0, 0], np.uint64)) is None
    True
    """
    if not witnesses.any():
        return None
    visitors, networks = witnesses >> _HALF, witnesses.astype(np.uint32)
    weights = np.minimum(_shares(visitors), _shares(networks))
    return None if (weights == 1.0).all() else weights


def without(witnesses: NDArray[np.uint64], units: Collection[bytes]) -> NDArray[np.uint64]:
    """The same, as nobody's where they were of persons with these hashes.

    >>> without(np.array([0x61626364 << 32 | 1, 8 << 32 | 2], np.uint64), [b"abcdefgh"]) == [1, 8 << 32 | 2]
    array([ True,  True])
    """
    theirs = np.array([int.from_bytes(unit[:4]) for unit in units], np.uint64)
    return np.where(np.isin(witnesses >> _HALF, theirs), witnesses & np.uint64(0xFFFFFFFF), witnesses)


def _shares(names: NDArray[np.unsignedinteger]) -> FloatArray:
    _, at, counts = np.unique(names, return_inverse=True, return_counts=True)
    return np.where(names == 0, 1.0, 1.0 / counts[at])

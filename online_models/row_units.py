"""Whose a row is that is kept to learn from again: a few bytes of a person's hash."""

from __future__ import annotations

from collections.abc import Collection

import numpy as np
from numpy.typing import NDArray

BYTES = 4
"""Of a unit's eight: with 65,536 rows one erasure in 65,536 takes a row of somebody else along."""


def row_unit(unit: bytes) -> int:
    """What a row keeps of the unit; 0: not known.

    >>> row_unit(bytes([0, 0, 1, 2, 9, 9, 9, 9])), row_unit(b"")
    (258, 0)
    """
    return (int.from_bytes(unit[:BYTES], "big") or 1) if unit else 0


def of_units(kept: NDArray[np.uint32], units: Collection[bytes]) -> NDArray[np.intp]:
    """Places of the rows that are of these persons.

    Parameters
    ----------
    kept
        What each row keeps, shape (n,).
    """
    wanted = [row_unit(unit) for unit in units if unit]
    return np.flatnonzero(np.isin(kept, np.array(wanted, np.uint32)))

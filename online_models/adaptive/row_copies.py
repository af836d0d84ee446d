"""Read-only copies of an array whose rows keep changing; a copy in use is never modified."""

from __future__ import annotations

import sys

from online_models.reward_model import Float32Array

N_KEPT = 2
"""One that a reader still holds, and one to bring up to date for the next."""

REFERENCES = 2
"""To an array that nobody but this module holds: the copy's own, and the one that asking for the count makes."""


class _Copy:
    __slots__ = ("array", "stale")

    def __init__(self, array: Float32Array) -> None:
        self.array = array
        self.stale: set[int] | None = set()
        """Rows that have changed since; None: all of them."""


class RowCopies:
    """Hands out copies, and takes one up again once nobody holds it: then only rows that changed need copying.

    At ten arms, of which one changes, a snapshot after every outcome costs 2 µs instead of 20.

    >>> import numpy as np
    >>> copies, array = RowCopies(), np.zeros((3, 1), np.float32)
    >>> before = copies.of(array, 2)
    >>> array[1] = 7.0
    >>> copies.changed(1)
    >>> copies.of(array, 2).tolist(), before.tolist()
    ([[0.0], [7.0]], [[0.0], [0.0]])
    """

    def __init__(self) -> None:
        self._copies: list[_Copy] = []

    def changed(self, row: int) -> None:
        """This row is another now."""
        for copy in self._copies:
            if copy.stale is not None:
                copy.stale.add(row)

    def changed_all(self) -> None:
        """All rows are others now."""
        for copy in self._copies:
            copy.stale = None

    def of(self, array: Float32Array, n: int) -> Float32Array:
        """The first ``n`` rows as they are now, read-only; what is handed out never changes while it is held."""
        copy = self._idle(array)
        if copy is None:
            copy = _Copy(array.copy())
            self._copies = [*self._copies[1 - N_KEPT :], copy]
        elif copy.stale is None:
            copy.array[:] = array
        else:
            for row in copy.stale:
                copy.array[row] = array[row]
        copy.stale = set()
        rows: Float32Array = copy.array[:n]
        rows.flags.writeable = False
        return rows

    def _idle(self, array: Float32Array) -> _Copy | None:
        for copy in self._copies:
            # Views count: each of them refers to the array it looks at.
            if sys.getrefcount(copy.array) <= REFERENCES and copy.array.shape == array.shape:
                return copy
        return None

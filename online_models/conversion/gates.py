"""How much each column and each pair of columns counts: a factor on all the weights of its values.

Of some hundred pairs a handful matter. A weight learns from the rows that show its value alone; whether a pair is
good for anything every row shows. So the score is Σ gate × weight, and both learn: a pair that predicts opens and
from then on learns faster, one that does not closes and is quiet. Of two layers of such products those with few
pairs are what gradient steps find (Gunasekar et al., 2017, "Implicit regularization in matrix factorization").
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from online_models.reward_model import Float32Array

STEP = 0.8
START = 0.01
"""AdaGrad's step, and the squared gradient a gate is born with. From .4 and .1 to 1.6 and .01 little changes; at a
tenth of it nothing is gained (docs/conversion.md)."""

WIDEST = 16.0
"""A bound that no set reached: a third more than the widest seen."""


class Gates:
    """One gate a column and a pair of columns, of those in force.

    Parameters
    ----------
    max_columns
        C: gates are kept in a table of (C + 1)² by both columns; that of a column alone at (column, C).
    """

    def __init__(self, max_columns: int) -> None:
        self._all: Float32Array = np.empty((max_columns + 1, max_columns + 1, 2), np.float32)
        self._all[:] = 1.0, START
        self._left = self._right = np.zeros(0, np.int64)
        self.width: Float32Array = np.zeros(0, np.float32)
        """Of the gates in force, shape (m,)."""
        self._squares: Float32Array = np.zeros(0, np.float32)

    @property
    def all(self) -> Float32Array:
        """Every gate by both columns, shape (C + 1, C + 1)."""
        self._keep()
        return self._all[:, :, 0].copy()

    def fit_to(self, left: NDArray[np.int64], right: NDArray[np.int64]) -> None:
        """Let the gates of these pairs be in force, shapes (m,); those that were keep what they learned."""
        self._keep()
        self._left, self._right = left, right
        self.width, self._squares = np.ascontiguousarray(self._all[left, right].T)

    def learn(self, gradient: Float32Array) -> None:
        """One AdaGrad step along ``gradient``, shape (m,), which is used up; no gate goes below 0."""
        self._squares += gradient * gradient
        gradient *= np.float32(STEP)
        gradient /= np.sqrt(self._squares)
        self.width += gradient
        np.maximum(self.width, 0.0, out=self.width)
        np.minimum(self.width, WIDEST, out=self.width)

    def _keep(self) -> None:
        self._all[self._left, self._right, 0] = self.width
        self._all[self._left, self._right, 1] = self._squares

    def dump(self, *, training: bool = True) -> dict[str, Any]:
        """Everything, as plain values for a checkpoint; without ``training`` only what predicting needs."""
        self._keep()
        kept = self._all if training else np.ascontiguousarray(self._all[:, :, :1])
        return {"gates": kept.tobytes()}

    def load(self, state: dict[str, Any]) -> None:
        """Be what was dumped; ``fit_to`` comes next."""
        n = self._all.shape[0]
        kept = np.frombuffer(state["gates"], np.float32).reshape(n, n, -1)
        self._all[:, :, : kept.shape[2]] = kept
        self._left = self._right = np.zeros(0, np.int64)
        self.width, self._squares = np.zeros((2, 0), np.float32)

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
"""A bound: a third more than the widest on any set measured, where labels are certain it is reached."""


ALONE = -1
"""In place of the other column, where a column is not crossed."""


class Gates:
    """One gate a column and a pair of columns, of those in force: all vectors have shape (m,)."""

    def __init__(self) -> None:
        self._left = self._right = np.zeros(0, np.int64)
        self._squares: Float32Array = np.zeros(0, np.float32)
        self.width: Float32Array = np.zeros(0, np.float32)
        """The factors."""

    def of(self, left: int, right: int = ALONE) -> float:
        """The factor of two columns, ``left`` < ``right``, or of one alone."""
        (at,) = np.flatnonzero((self._left == left) & (self._right == right))
        return float(self.width[at])

    def fit_to(self, left: NDArray[np.int64], right: NDArray[np.int64]) -> None:
        """Let the gates of these pairs be in force; those that were keep what they learned."""
        before = _codes(self._left, self._right), self.width, self._squares
        self._left, self._right = left, right
        self.width = np.ones(len(left), np.float32)
        self._squares = np.full(len(left), START, np.float32)
        _, now, then = np.intersect1d(_codes(left, right), before[0], assume_unique=True, return_indices=True)
        self.width[now], self._squares[now] = before[1][then], before[2][then]

    def select(self, kept: NDArray[np.intp]) -> None:
        """Only these columns stay, and are numbered in this order."""
        place = {column: at for at, column in enumerate(kept.tolist())} | {ALONE: ALONE}
        pairs = list(zip(self._left.tolist(), self._right.tolist(), strict=True))
        stay = np.array([left in place and right in place for left, right in pairs], dtype=bool)
        self._left = np.array([place.get(left, 0) for left, _ in pairs], np.int64)[stay]
        self._right = np.array([place.get(right, 0) for _, right in pairs], np.int64)[stay]
        self.width, self._squares = self.width[stay], self._squares[stay]

    def learn(self, gradient: Float32Array) -> None:
        """One AdaGrad step along ``gradient``, which is used up; no gate goes below 0."""
        self._squares += gradient * gradient
        gradient *= np.float32(STEP)
        gradient /= np.sqrt(self._squares)
        self.width += gradient
        np.maximum(self.width, 0.0, out=self.width)
        np.minimum(self.width, WIDEST, out=self.width)

    def dump(self, *, training: bool = True) -> dict[str, Any]:
        """Everything, as plain values for a checkpoint; without ``training`` only what predicting needs."""
        pairs = np.stack([self._left, self._right]).tobytes()
        return {
            "pairs": pairs,
            "width": self.width.tobytes(),
            "squares": self._squares.tobytes() if training else b"",
        }

    @classmethod
    def load(cls, state: dict[str, Any]) -> Gates:
        """The inverse of ``dump``."""
        gates = cls()
        left, right = np.frombuffer(state["pairs"], np.int64).reshape(2, -1)
        gates.fit_to(left, right)
        gates.width = np.frombuffer(state["width"], np.float32).copy()
        if state["squares"]:
            gates._squares = np.frombuffer(state["squares"], np.float32).copy()
        return gates


def _codes(left: NDArray[np.int64], right: NDArray[np.int64]) -> NDArray[np.int64]:
    """A number for each pair."""
    return (left << 32) + right + 1

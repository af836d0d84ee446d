"""Two logistic experts over the same tokens: every value, every pair of values, and the z-scores.

One takes AdaGrad steps, which shrink as a weight settles: best where the world stands still. The other takes a
small constant step and so never stops following: best where it moves. They share the hashing, which is most
of the cost. Time and memory are linear in the number of pairs, at most ``MAX_CROSSED``² / 2.
"""

from __future__ import annotations

import math
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from online_models.conversion.columns import MAX_COLUMNS
from online_models.reward_model import Float32Array, FloatArray

N_BITS = 16
MAX_CROSSED = 24
"""Columns that are crossed: 276 pairs, some 20 µs. Which ones, the forest's gains say."""

TRACKING_STEP = 0.001
TRACKING_STEP_SINGLE = 0.004
"""A value's own weight may move as fast as its pairs' together would not: four pairs' worth."""

TRACKING_STEP_Z = 0.003
ADAGRAD_STEP = 0.01
ADAGRAD_STEP_Z = 0.1
ADAGRAD_START = 3.0
"""Squared gradient a token is born with: the first few steps are as small as the rest."""

TRACKING, ADAGRAD = 0, 1
_ONES: Float32Array = np.ones(MAX_COLUMNS + MAX_CROSSED * (MAX_CROSSED - 1) // 2, np.float32)


class Tokens(NamedTuple):
    """One row ready for the experts: slots of its values (C,) then pairs, and z-scores (C,)."""

    slots: NDArray[np.int64]
    z: FloatArray


class HashedLinear:
    """Weights of both experts; scores are log-odds without the experts' common bias."""

    def __init__(self) -> None:
        size = 1 << N_BITS
        self._weights: Float32Array = np.zeros((size, 2), np.float32)
        self._squares: Float32Array = np.full(size, ADAGRAD_START, np.float32)
        self._z_weights: FloatArray = np.zeros((2, 0))
        self._z_squares: FloatArray = np.zeros(0)
        self._bias: FloatArray = np.zeros(2)
        self._bias_square = 1e-8
        self.crossed: tuple[int, ...] = ()
        self._fit_to(0)

    def tokens(self, row: FloatArray, z: FloatArray) -> Tokens:
        """Hash a row of raw values; a number counts to about three digits."""
        if row.shape[0] != self._salts.shape[0]:
            self._fit_to(row.shape[0])
        # + 0.0 makes one zero of two; 10 bits of mantissa are three digits.
        bits = ((row + 0.0).astype(np.float32).view(np.uint32) + np.uint32(0x1000)) & np.uint32(0xFFFFE000)
        bits[row != row] = 0x7FC00000
        single = (bits.astype(np.uint64) + self._salts) * np.uint64(0x9E3779B97F4A7C15)
        single ^= single >> np.uint64(29)
        pairs = (single[self._left] * np.uint64(0xBF58476D1CE4E5B9)) ^ single[self._right]
        pairs *= np.uint64(0x94D049BB133111EB)
        slots = np.concatenate((single * np.uint64(0xD6E8FEB86659FD93), pairs)) >> np.uint64(64 - N_BITS)
        return Tokens(slots.astype(np.int64), z)

    def score(self, tokens: Tokens) -> FloatArray:
        """Log-odds by each expert, shape (2,)."""
        scores: FloatArray = (_ONES[: tokens.slots.shape[0]] @ self._weights.take(tokens.slots, axis=0)).astype(
            np.float64
        )
        scores += self._z_weights @ tokens.z
        scores += self._bias
        return scores

    def learn(self, tokens: Tokens, errors: tuple[float, float], weight: float) -> None:
        """One step of each expert; ``errors`` = label − its own probability."""
        slots, z = tokens.slots, tokens.z
        tracking, adagrad = errors[TRACKING] * weight, errors[ADAGRAD] * weight
        squares = self._squares.take(slots)
        squares += np.float32(adagrad * adagrad)
        self._squares[slots] = squares
        steps = self._weights.take(slots, axis=0)
        steps[:, TRACKING] += self._steps * np.float32(tracking)
        steps[:, ADAGRAD] += np.float32(ADAGRAD_STEP * adagrad) / np.sqrt(squares)
        self._weights[slots] = steps
        self._z_weights[TRACKING] += (TRACKING_STEP_Z * tracking) * z
        gradient = adagrad * z
        self._z_squares += gradient * gradient
        self._z_weights[ADAGRAD] += ADAGRAD_STEP_Z * gradient / np.sqrt(self._z_squares)
        self._bias[TRACKING] += TRACKING_STEP_Z * tracking
        self._bias_square += adagrad * adagrad
        self._bias[ADAGRAD] += ADAGRAD_STEP_Z * adagrad / math.sqrt(self._bias_square)

    def contributions(self, tokens: Tokens) -> tuple[FloatArray, FloatArray]:
        """What each column adds to each expert's log-odds, shape (2, C), and the biases, shape (2,).

        A pair's weight belongs half to either column.
        """
        n = tokens.z.shape[0]
        weights = self._weights[tokens.slots].T.astype(np.float64)
        parts: FloatArray = weights[:, :n] + self._z_weights * tokens.z
        for expert in (TRACKING, ADAGRAD):
            half = weights[expert, n:] / 2.0
            parts[expert] += np.bincount(self._left, half, n) + np.bincount(self._right, half, n)
        return parts, self._bias.copy()

    def cross(self, columns: tuple[int, ...]) -> None:
        """Cross these columns from now on (the first ``MAX_CROSSED``)."""
        self.crossed = tuple(sorted(columns[:MAX_CROSSED]))
        self._fit_to(self._salts.shape[0])

    def _fit_to(self, n: int) -> None:
        """Tables for ``n`` columns; what was learned stays."""
        self._salts = np.arange(1, n + 1, dtype=np.uint64) << np.uint64(32)
        crossed = self.crossed or tuple(range(min(n, MAX_CROSSED)))
        at = np.array([c for c in crossed if c < n], dtype=np.int64)
        left, right = np.triu_indices(len(at), 1)
        self._left, self._right = at[left], at[right]
        self._steps: Float32Array = np.full(n + len(left), TRACKING_STEP, np.float32)
        self._steps[:n] = TRACKING_STEP_SINGLE
        more = n - self._z_squares.shape[0]
        if more > 0:
            self._z_weights = np.hstack((self._z_weights, np.zeros((2, more))))
            self._z_squares = np.append(self._z_squares, np.full(more, 1e-8))

    def finite(self) -> bool:
        """Whether every number is one."""
        return bool(
            np.isfinite(self._weights).all()
            and np.isfinite(self._z_weights).all()
            and np.isfinite(self._bias).all()
        )

    def dump(self) -> dict[str, Any]:
        """Everything, as plain values for a checkpoint."""
        return {
            "weights": self._weights.tobytes(),
            "squares": self._squares.tobytes(),
            "z_weights": self._z_weights.tobytes(),
            "z_squares": self._z_squares.tobytes(),
            "bias": self._bias.tobytes(),
            "bias_square": self._bias_square,
            "crossed": list(self.crossed),
            "n": self._salts.shape[0],
        }

    @classmethod
    def load(cls, state: dict[str, Any]) -> HashedLinear:
        """The inverse of ``dump``."""
        linear = cls()
        linear._weights = np.frombuffer(state["weights"], np.float32).reshape(-1, 2).copy()
        linear._squares = np.frombuffer(state["squares"], np.float32).copy()
        linear._z_weights = np.frombuffer(state["z_weights"]).reshape(2, -1).copy()
        linear._z_squares = np.frombuffer(state["z_squares"]).copy()
        linear._bias = np.frombuffer(state["bias"]).copy()
        linear._bias_square = state["bias_square"]
        linear.crossed = tuple(state["crossed"])
        linear._fit_to(state["n"])
        return linear

"""Three logistic experts over the same tokens: every value, every pair of values, and the z-scores.

One takes AdaGrad steps, which shrink as a weight settles: best where the world stands still. One does the same
behind ``gates``, which learn what pairs are good for: best where few of them matter. The third takes a small
constant step and so never stops following: best where the world moves. They share hashing and table, which is most
of the cost. Time is linear in the number of pairs, at most ``MAX_CROSSED``² / 2; memory is fixed.

References: Duchi et al. (2011) for AdaGrad; Weinberger et al. (2009) for hashing.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from online_models.conversion.columns import MAX_COLUMNS
from online_models.conversion.gates import ALONE, Gates
from online_models.reward_model import Float32Array, FloatArray

N_BITS = 16
N_HASHED = 1 << N_BITS
MAX_CROSSED = 32
"""Columns that are crossed: at most 496 pairs. Which ones, the forest's gains say."""

TRACKING_STEP = 0.001
TRACKING_STEP_SINGLE = 0.004
"""A value's own weight may move as fast as its pairs' together would not: four pairs' worth."""

TRACKING_STEP_Z = 0.003
ADAGRAD_STEP = 0.01
ADAGRAD_STEP_Z = 0.1
ADAGRAD_START = 3.0
"""Squared gradient a token is born with: the first few steps are as small as the rest."""

ADAGRAD_START_Z = 1e-8
TRACKING, ADAGRAD, GATED = 0, 1, 2
N_EXPERTS = 3
SQUARES = {ADAGRAD: 3, GATED: 4}
"""Where the sums of squares of an expert's gradients stand."""

WIDTH = 5

_HALF_STEP, _THREE_DIGITS = np.uint32(0x1000), np.uint32(0xFFFFE000)
"""10 bits of a float's mantissa are three digits: numbers that agree in them share a token."""

_MIX_1, _MIX_2 = np.uint32(0x9E3779B1), np.uint32(0x85EBCA6B)
_SHIFT, _DROPPED = np.uint32(15), np.uint32(32 - N_BITS)


class Tokens(NamedTuple):
    """One row ready for the experts.

    Attributes
    ----------
    slots
        Of its C values, their pairs, the C z-scores and the bias, shape (m,).
    inputs
        1, or the z-score, per slot, shape (m,).
    table
        What the slots held when they were read, shape (m, ``WIDTH``): the experts' weights, then sums of
        squares.
    """

    slots: NDArray[np.int64]
    inputs: Float32Array
    table: Float32Array


class HashedLinear:
    """The table of all experts; a score is log-odds."""

    def __init__(self) -> None:
        self._table: Float32Array = np.zeros((N_HASHED + MAX_COLUMNS + 1, WIDTH), np.float32)
        self._table[:N_HASHED, N_EXPERTS:] = ADAGRAD_START
        self._table[N_HASHED:, N_EXPERTS:] = ADAGRAD_START_Z
        self.gates = Gates()
        self._serials: list[int] = []
        """Number of each column, by which its values are hashed: one that is given back takes its own along."""
        self._next_serial = 0
        self.crossed: tuple[int, ...] = ()
        self._fit_to(0)

    def is_finite(self) -> bool:
        """Whether every weight is a finite number."""
        return bool(np.isfinite(self._table).all()) and bool(np.isfinite(self.gates.width).all())

    def tokens(self, row: Float32Array, z: FloatArray) -> Tokens:
        """Hash a row of raw values, shape (C,), and take its z-scores along."""
        n = row.shape[0]
        if n != self._n:
            self._fit_to(n)
        mixed = np.zeros(n + 1, np.uint32)
        single = mixed[:n]
        single += ((row.view(np.uint32) + _HALF_STEP) & _THREE_DIGITS) ^ self._salts
        single *= _MIX_1
        single ^= single >> _SHIFT
        single *= _MIX_2
        # A value alone is a pair with the zero at the end.
        pairs = mixed.take(self._left)
        pairs ^= mixed.take(self._right)
        pairs *= _MIX_1
        pairs >>= _DROPPED
        slots = self._slots.copy()
        slots[: pairs.shape[0]] = pairs
        inputs = self._inputs.copy()
        inputs[pairs.shape[0] : -1] = z
        return Tokens(slots, inputs, self._table.take(slots, axis=0))

    def score(self, tokens: Tokens) -> tuple[float, float, float]:
        """Log-odds by each expert."""
        _, inputs, table = tokens
        sums = inputs @ table
        gated = (inputs * self._levers) @ table[:, GATED]
        return float(sums[TRACKING]), float(sums[ADAGRAD]), float(gated)

    def learn(self, tokens: Tokens, errors: tuple[float, float, float], weight: float) -> None:
        """One step of each expert from ``tokens`` just read; ``errors`` = label − its own probability.

        The tokens' own copy of the table is worked on: they are of no use afterwards.
        """
        slots, inputs, table = tokens
        tracking, adagrad, gated = (np.float32(error * weight) for error in errors)
        self._adagrad_step(table, ADAGRAD, inputs * adagrad)
        gradient = inputs * gated
        n_gates = self._left.shape[0]
        of_gates = gradient[:n_gates] * table[:n_gates, GATED]
        gradient *= self._levers
        self._adagrad_step(table, GATED, gradient)
        table[:, TRACKING] += self._tracking_steps * inputs * tracking
        self._table[slots] = table
        self.gates.learn(of_gates)
        self._levers[:n_gates] = self.gates.width

    def _adagrad_step(self, table: Float32Array, expert: int, gradient: Float32Array) -> None:
        """One step of an expert in ``table``; the ``gradient``, shape (m,), is used up."""
        squares = table[:, SQUARES[expert]]
        squares += gradient * gradient
        gradient *= self._adagrad_steps
        gradient /= np.sqrt(squares)
        table[:, expert] += gradient

    def contributions(self, tokens: Tokens) -> tuple[FloatArray, FloatArray]:
        """What each column adds to each expert's log-odds, shape (3, C), and the biases, shape (3,).

        A pair's weight belongs half to either column.
        """
        n, n_pairs = self._n, self._left.shape[0]
        added = (tokens.table[:, :N_EXPERTS].T * tokens.inputs).astype(np.float64)
        added[GATED] *= self._levers
        parts: FloatArray = added[:, :n] + added[:, n_pairs:-1]
        for expert in range(N_EXPERTS):
            half = added[expert, n:n_pairs] / 2.0
            parts[expert] += np.bincount(self._left[n:], half, n) + np.bincount(self._right[n:], half, n)
        return parts, added[:, -1]

    def cross(self, columns: tuple[int, ...]) -> None:
        """Cross these columns from now on (the first ``MAX_CROSSED``)."""
        self.crossed = tuple(sorted(columns[:MAX_CROSSED]))
        self._fit_to(self._n)

    def select(self, kept: NDArray[np.intp]) -> None:
        """Only these columns stay, in this order; crossed are those that were."""
        place = {column: at for at, column in enumerate(kept.tolist())}
        self._serials = [self._serials[column] for column in kept.tolist()]
        of_z = self._table[N_HASHED:-1]
        of_kept = of_z[kept]
        of_z[:, :N_EXPERTS], of_z[:, N_EXPERTS:] = 0.0, ADAGRAD_START_Z
        of_z[: len(kept)] = of_kept
        self.gates.select(kept)
        self.crossed = tuple(place[column] for column in self.crossed if column in place)
        self._fit_to(len(kept))

    def shift(self, by: FloatArray) -> None:
        """Add to each expert's bias, shape (3,)."""
        self._table[-1, :N_EXPERTS] += by

    def _fit_to(self, n: int) -> None:
        """Lay out rows of ``n`` columns; what was learned stays."""
        self._n = n
        while len(self._serials) < n:
            self._next_serial += 1
            self._serials.append(self._next_serial)
        self._salts = np.array(self._serials[:n], dtype=np.uint32) * _MIX_2
        crossed = self.crossed or tuple(range(min(n, MAX_CROSSED)))
        at = np.array([c for c in crossed if c < n], dtype=np.int64)
        left, right = np.triu_indices(len(at), 1)
        self._left = np.append(np.arange(n), at[left])
        self._right = np.append(np.full(n, n), at[right])
        n_pairs = len(self._left)
        own = N_HASHED + np.append(np.arange(n), MAX_COLUMNS)
        self._slots: NDArray[np.int64] = np.append(np.zeros(n_pairs, np.int64), own)
        self._inputs: Float32Array = np.ones(n_pairs + n + 1, np.float32)
        self._tracking_steps: Float32Array = np.full(n_pairs + n + 1, TRACKING_STEP, np.float32)
        self._tracking_steps[:n] = TRACKING_STEP_SINGLE
        self._tracking_steps[n_pairs:] = TRACKING_STEP_Z
        self._adagrad_steps: Float32Array = np.full(n_pairs + n + 1, ADAGRAD_STEP, np.float32)
        self._adagrad_steps[n_pairs:] = ADAGRAD_STEP_Z
        self.gates.fit_to(self._left, np.where(self._right == n, ALONE, self._right))
        self._levers: Float32Array = np.ones(n_pairs + n + 1, np.float32)
        self._levers[:n_pairs] = self.gates.width

    def dump(self, *, training: bool = True) -> dict[str, Any]:
        """Everything, as plain values for a checkpoint; without ``training`` only what predicting needs."""
        table = self._table if training else np.ascontiguousarray(self._table[:, :N_EXPERTS])
        return {
            "table": table.tobytes(),
            "crossed": list(self.crossed),
            "n": self._n,
            "serials": list(self._serials),
            "next_serial": self._next_serial,
            "gates": self.gates.dump(training=training),
        }

    @classmethod
    def load(cls, state: dict[str, Any]) -> HashedLinear:
        """The inverse of ``dump``."""
        linear = cls()
        table = np.frombuffer(state["table"], np.float32).reshape(linear._table.shape[0], -1)
        linear._table[:, : table.shape[1]] = table
        linear.crossed = tuple(state["crossed"])
        linear._serials, linear._next_serial = list(state["serials"]), state["next_serial"]
        linear.gates = Gates.load(state["gates"])
        linear._fit_to(state["n"])
        return linear

"""The last outcomes as raw numbers: what everything is fitted anew from."""

from __future__ import annotations

from collections.abc import Collection
from typing import Any

import numpy as np
from numpy.typing import NDArray

from online_models.reward_model import Float32Array, FloatArray
from online_models.row_units import of_units, row_unit

MAX_ROWS = 65_536
MAX_BYTES = 4 << 20
"""Of raw values; a checkpoint carries them all."""

MIN_ROWS = 4_096
"""Kept however wide they are: 6.5 MB at 400 values."""

GONE = -1
"""In place of an arm that made room for another."""

FORGOTTEN = -2
"""In place of the arm of somebody who was erased: nothing else is left of the row."""


class RowBuffer:
    """A ring of (raw context, arm, reward, √weight, unit), addressed by the count of rows ever appended.

    Parameters
    ----------
    width
        Raw values per row; NaN where a row has none.
    """

    def __init__(self, width: int) -> None:
        self.n = 0
        self._make_room(width, 0)

    def _make_room(self, width: int, n_rows: int) -> None:
        self.width = width
        self.capacity = min(MAX_ROWS, max(MIN_ROWS, MAX_BYTES // (4 * width)))
        n_rows = min(self.capacity, n_rows)
        self._raw: Float32Array = np.full((n_rows, width), np.nan, np.float32)
        self._arm = np.full(n_rows, GONE, np.int32)
        self._reward = np.zeros(n_rows, np.float32)
        self._root = np.ones(n_rows, np.float32)
        self._unit = np.zeros(n_rows, np.uint32)

    @property
    def oldest(self) -> int:
        """Number of the oldest row still held."""
        return max(0, self.n - self.capacity)

    def append(self, raw: FloatArray, arm: int, reward: float, root: float = 1.0, unit: bytes = b"") -> None:
        """Keep one more row; the oldest goes if there is no room.

        Parameters
        ----------
        root
            Square root of its weight.
        unit
            Hash of the person it is of; empty: not known.
        """
        if len(raw) > self.width:
            self._refill(-(-len(raw) // 16) * 16, max(256, len(self._arm)))
        at = self.n % self.capacity
        if at >= len(self._arm):
            self._refill(self.width, max(256, 2 * len(self._arm)))
        self._raw[at, : len(raw)] = raw
        self._raw[at, len(raw) :] = np.nan
        self._arm[at], self._reward[at], self._root[at] = arm, reward, root
        self._unit[at] = row_unit(unit)
        self.n += 1

    def rows(self, first: int, last: int) -> tuple[Float32Array, NDArray[np.int32], Float32Array]:
        """Raw values (n, width), arm rows (n,) and rewards (n,) of the rows numbered [first, last)."""
        at = np.arange(first, last) % self.capacity
        return self._raw[at], self._arm[at], self._reward[at]

    def roots(self, first: int, last: int) -> Float32Array:
        """Square roots of the weights of the rows numbered [first, last): φ and targets are scaled by them."""
        roots: Float32Array = self._root[np.arange(first, last) % self.capacity]
        return roots

    def keep_last(self, arm: int, n: int) -> NDArray[np.intp]:
        """Rows of this arm but the last n are nobody's any more; the numbers of those, in order."""
        numbers = np.arange(self.oldest, self.n)
        own = numbers[self._arm[numbers % self.capacity] == arm]
        kept: NDArray[np.intp] = own[max(0, len(own) - n) :]
        self._arm[own[: len(own) - len(kept)] % self.capacity] = GONE
        return kept

    def forget(self, units: Collection[bytes]) -> int:
        """Rows of these persons hold nothing any more; how many those were."""
        at = of_units(self._unit, units)
        self._raw[at], self._reward[at], self._root[at] = np.nan, 0.0, 1.0
        self._arm[at], self._unit[at] = FORGOTTEN, 0
        return len(at)

    def n_forgotten(self, first: int, last: int) -> int:
        """How many of the rows numbered [first, last) are of persons who were erased."""
        return int((self._arm[np.arange(first, last) % self.capacity] == FORGOTTEN).sum())

    def select(self, kept: NDArray[np.intp]) -> None:
        """Only these of the raw values stay, in this order."""
        raw = np.full_like(self._raw, np.nan)
        raw[:, : len(kept)] = self._raw[:, kept]
        self._raw = raw

    def _refill(self, width: int, n_rows: int) -> None:
        oldest = self.oldest
        raw, arm, reward = self.rows(oldest, self.n)
        root, unit = self.roots(oldest, self.n), self._unit[np.arange(oldest, self.n) % self.capacity]
        before = self.width
        self._make_room(width, n_rows)
        first = max(oldest, self.n - self.capacity)
        at = np.arange(first, self.n) % self.capacity
        kept = slice(first - oldest, None)
        self._raw[at, :before] = raw[kept]
        self._arm[at], self._reward[at], self._root[at] = arm[kept], reward[kept], root[kept]
        self._unit[at] = unit[kept]

    def dump(self) -> dict[str, Any]:
        """Everything, as plain values."""
        return {
            "n": self.n,
            "width": self.width,
            "raw": self._raw.tobytes(),
            "arm": self._arm.tobytes(),
            "reward": self._reward.tobytes(),
            "root": self._root.tobytes() if (self._root != 1.0).any() else b"",
            "unit": self._unit.tobytes() if self._unit.any() else b"",
        }

    @classmethod
    def load(cls, state: dict[str, Any]) -> RowBuffer:
        """The inverse of ``dump``."""
        buffer = cls(state["width"])
        buffer.n = state["n"]
        buffer._raw = np.frombuffer(state["raw"], np.float32).reshape(-1, buffer.width).copy()
        buffer._arm = np.frombuffer(state["arm"], np.int32).copy()
        buffer._reward = np.frombuffer(state["reward"], np.float32).copy()
        root = np.frombuffer(state["root"], np.float32)
        buffer._root = root.copy() if len(root) else np.ones(len(buffer._reward), np.float32)
        unit = np.frombuffer(state.get("unit", b""), np.uint32)  # older checkpoints have none
        buffer._unit = unit.copy() if len(unit) else np.zeros(len(buffer._reward), np.uint32)
        return buffer

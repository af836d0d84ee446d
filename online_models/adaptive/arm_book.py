"""Which arms there are: their rows, how often and when last each was learned, what is known of them."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from online_models.adaptive.arm_attributes import ArmAttributes
from online_models.encoder import Encoder
from online_models.reward_model import FloatArray
from personalization.features import MAX_FEATURES, FeatureValue, clean, storable

MAX_ARM_DIMS = 48
"""Of arm features: 32 of their own, 16 shared by what comes later."""

GROWTH = 16


class ArmBook:
    """The arms of a model, each at a row for good, unless another takes its place.

    Attributes
    ----------
    names
        Of the A arms, by row.
    rows
        Name → row.
    """

    def __init__(self) -> None:
        self.names: list[str] = []
        self.rows: dict[str, int] = {}
        self._n: FloatArray = np.zeros(0)
        self._last = np.zeros(0, np.int64)
        self._raw: dict[str, dict[str, FeatureValue]] = {}
        self._encoder = Encoder(MAX_ARM_DIMS, admits=False)

    def __len__(self) -> int:
        return len(self.names)

    @property
    def n(self) -> FloatArray:
        """Outcomes learned per arm, shape (A,), a view."""
        return self._n[: len(self.names)]

    @property
    def last(self) -> NDArray[np.int64]:
        """Outcome count at which each arm was learned last, shape (A,), a view."""
        return self._last[: len(self.names)]

    @property
    def features(self) -> dict[str, dict[str, FeatureValue]]:
        """Raw features by name, of arms that have some."""
        return self._raw

    def add(self, name: str) -> int:
        """A row for one more arm."""
        row = len(self.names)
        self.names.append(name)
        if row >= len(self._n):
            self._n = np.append(self._n, np.zeros(GROWTH))
            self._last = np.append(self._last, np.zeros(GROWTH, np.int64))
        self._n[row] = self._last[row] = 0
        self.rows[name] = row
        return row

    def replace(self, name: str, before: str | None = None) -> int:
        """The row of ``before``, or of the arm that was learned longest ago, which is ``name``'s now."""
        row = int(np.argmin(self.last)) if before is None else self.rows[before]
        before = self.names[row]
        self._raw.pop(before, None)
        del self.rows[before]
        self.names[row] = name
        self.rows[name] = row
        self._n[row] = 0
        return row

    def learned(self, row: int, n_learned: int) -> None:
        """One outcome of the arm at ``row``."""
        self._n[row] += 1
        self._last[row] = n_learned

    def recount(self, rows: NDArray[np.int32]) -> None:
        """Nothing but these outcomes, one row of an arm each, counts any more; negative ones are nobody's."""
        self._n[:] = np.bincount(rows[rows >= 0], minlength=len(self._n))

    def recount_one(self, row: int, n: int) -> None:
        """So many outcomes of the arm at ``row`` count, and no others."""
        self._n[row] = n

    def learn_features(self, name: str, features: Any) -> None:
        """Take in the raw features of an arm; what is no map or holds nothing usable changes nothing."""
        if not isinstance(features, dict) or not features or self._raw.get(name) == features:
            return
        usable = {
            str(key): value
            for key, raw in features.items()
            if (value := clean(raw)) is not None and storable(str(key)) and storable(str(value))
        }
        if usable and self._raw.get(name) != usable:
            self._raw[name] = dict(list(usable.items())[:MAX_FEATURES])
            self._encoder.learn(self._raw[name])

    def about(self, name: str) -> dict[str, FeatureValue] | None:
        """Raw features of the arm; None: nothing is known of it."""
        return self._raw.get(name)

    def attributes(self) -> ArmAttributes:
        """What is known of every arm now; G = 0 while no arm has features."""
        return ArmAttributes.of(self._encoder.freeze(), [self.about(name) for name in self.names])

    def dump(self) -> dict[str, Any]:
        """Everything, as plain values."""
        return {
            "names": list(self.names),
            "n": self.n.tobytes(),
            "last": self.last.tobytes(),
            "features": dict(self._raw),
            "encoder": self._encoder.dump(),
        }

    @classmethod
    def load(cls, state: dict[str, Any]) -> ArmBook:
        """The inverse of ``dump``."""
        book = cls()
        book.names = list(state["names"])
        book.rows = {name: row for row, name in enumerate(book.names)}
        book._n = np.frombuffer(state["n"], np.float64).copy()
        book._last = np.frombuffer(state["last"], np.int64).copy()
        book._raw = {name: dict(each) for name, each in state["features"].items()}
        book._encoder = Encoder.load(state["encoder"])
        return book

"""Noticing that the world has changed, from how much more is predicted than comes."""

from __future__ import annotations

from enum import Enum
from typing import Any

import numpy as np

from online_models.reward_model import FloatArray

SMALLEST, MILD = 32, 64
LOOK_BACK = 8
"""The last w outcomes are held against up to 8w before them, w ≥ 32; for a mild fall ≥ 64."""

MAX_KEPT = 16_384
EVERY, LOOKS = 16, 4
"""A span is looked at every quarter of itself, and not more often than every 16 outcomes."""
STANDARD_ERRORS = 4.0
MAX_BLOCKS = 64


class Drift(Enum):
    """What to do about it."""

    NONE = 0
    INFLATE = 1
    """Something may be wrong: widen the deviations."""
    RESET = 2
    """What was learned is wrong: keep the recent rows alone."""


class DriftDetector:
    """Watches prediction − reward; it sees large, harmful shifts only, and none where nothing shifts.

    Disappointment is compared, not squared error: while a model learns, its errors change size in both
    directions. A reset needs a rise above max(.1, ½ sd) by four standard errors and what few outcomes may do by
    chance (16/3w, Bernstein's bound), at any of the spans 32, 64 …, and keeps what came after the split that tells
    best; half of that with three standard errors inflates, once per stretch. The standard error is what means over
    so many outcomes varied by before, where that is more than their spread says: a visitor's outcomes come in
    bursts, and one visitor who is hard to please is no drift.
    """

    def __init__(self) -> None:
        self._errors: FloatArray = np.zeros(2 * MAX_KEPT)
        self._sums: FloatArray = np.zeros(2 * MAX_KEPT + 1)
        self._squares: FloatArray = np.zeros(2 * MAX_KEPT + 1)
        """Running sums, one place ahead: a mean over any stretch is one subtraction."""
        self._n = 0
        self._quiet = 0
        """Outcomes during which nothing inflates."""

    def add(self, disappointment: float) -> tuple[Drift, int]:
        """One more outcome; what it calls for, and over how many outcomes that shows."""
        if self._n == len(self._errors):
            self._keep(self._errors[MAX_KEPT:].copy())
        n = self._n
        self._errors[n] = disappointment
        self._sums[n + 1] = self._sums[n] + disappointment
        self._squares[n + 1] = self._squares[n] + disappointment * disappointment
        self._n += 1
        self._quiet = max(0, self._quiet - 1)
        return self._look() if self._n % EVERY == 0 else (Drift.NONE, 0)

    def _keep(self, errors: FloatArray) -> None:
        n = self._n = len(errors)
        self._errors[:n] = errors
        np.cumsum(errors, out=self._sums[1 : n + 1])
        np.cumsum(errors * errors, out=self._squares[1 : n + 1])

    def forget(self) -> None:
        """Begin again: after a reset nothing of before says anything."""
        self._n = 0

    def _look(self) -> tuple[Drift, int]:
        verdict, span = Drift.NONE, 0
        sums, squares = self._sums, self._squares
        w = SMALLEST
        while 2 * w <= self._n and self._n % max(EVERY, w // LOOKS) == 0:
            first, split = max(0, self._n - (1 + LOOK_BACK) * w), self._n - w
            n_before = split - first
            mean = (sums[split] - sums[first]) / n_before
            rise = float((sums[self._n] - sums[split]) / w - mean)
            sd = float(max(0.0, (squares[split] - squares[first]) / n_before - mean * mean)) ** 0.5
            error = max(sd * (1.0 / w + 1.0 / n_before) ** 0.5, self._bursts(w))
            least = max(0.1, 0.5 * sd)
            surprise = STANDARD_ERRORS * error + STANDARD_ERRORS**2 / (3.0 * w)
            if rise > least + surprise:
                return Drift.RESET, self._since(2 * w)
            if rise > 0.5 * least + 3.0 * error and w >= MILD and verdict is Drift.NONE and not self._quiet:
                verdict, span = Drift.INFLATE, w
            w *= 2
        if verdict is Drift.INFLATE:
            self._quiet = LOOK_BACK * span
        return verdict, span

    def _since(self, most: int) -> int:
        """For how many of the last ``most`` outcomes things have been different: the split that explains best."""
        window = self._errors[max(0, self._n - (1 + LOOK_BACK) * most) : self._n]
        back = np.cumsum(window[::-1])
        k = np.arange(1, min(most, len(window) - 1) + 1)
        rise = back[k - 1] / k - (back[-1] - back[k - 1]) / (len(window) - k)
        return int(k[np.argmax(rise * np.sqrt(k * (len(window) - k)))])

    def _bursts(self, w: int) -> float:
        """Deviation of the mean over w outcomes as it was before: a visitor's outcomes come in bursts and agree."""
        n_blocks = min(MAX_BLOCKS, self._n // w - 1)
        if n_blocks < LOOK_BACK:
            return 0.0
        at = self._sums[self._n - (1 + n_blocks) * w : self._n - w + 1 : w]
        means = (at[1:] - at[:-1]) / w
        centred = means - np.add.reduce(means) / n_blocks
        return float(np.sqrt(centred @ centred / (n_blocks - 1)))

    def dump(self) -> bytes:
        """Everything."""
        return np.append(self._errors[: self._n], float(self._quiet)).tobytes()

    @classmethod
    def load(cls, state: bytes) -> DriftDetector:
        """The inverse of ``dump``."""
        loaded = cls()
        errors: Any = np.frombuffer(state, np.float64)
        loaded._keep(errors[:-1])
        loaded._quiet = int(errors[-1])
        return loaded

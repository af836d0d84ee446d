"""How good what was served turned out to be: predictions wait for their labels, and only matured ones count."""

from __future__ import annotations

from collections import OrderedDict, deque
from typing import Any

import numpy as np

from online_models.conversion.metrics import Scorecard, scorecard

MAX_WAITING = 20_000
"""Beyond it every second prediction is let go, by its id, again and again: an even sample of all there are."""

STALE_MS = 86_400_000
"""A prediction this much older than one whose horizon has closed will not be labelled: its example was dropped."""

MAX_MATURED = 5_000
"""Newest matured predictions that are judged."""

ID_BYTES = 8


class Cohort:
    """Predictions as served, and the labels that came a horizon later. Bounded: some half a megabyte dumped.

    >>> cohort = Cohort()
    >>> cohort.serve(b"example1", 0.25, 0), cohort.close(b"example1", True, 0), cohort.close(b"unheard_", True, 0)
    (None, True, False)
    >>> cohort.n_waiting, cohort.scorecard().rows
    (0, 1)
    """

    def __init__(self) -> None:
        self._waiting: OrderedDict[bytes, tuple[float, int]] = OrderedDict()
        self._mask = 0
        self._matured: deque[tuple[float, float]] = deque(maxlen=MAX_MATURED)

    @property
    def n_waiting(self) -> int:
        """Predictions without a label yet."""
        return len(self._waiting)

    def serve(self, example: bytes, probability: float, opened_ms: int) -> None:
        """``probability`` is served to an example, named by 8 bytes that are as good as random."""
        if self._sampled(example):
            self._waiting[example] = probability, opened_ms
            while len(self._waiting) > MAX_WAITING:
                self._mask = self._mask * 2 + 1
                kept = [(key, served) for key, served in self._waiting.items() if self._sampled(key)]
                self._waiting = OrderedDict(kept)

    def close(self, example: bytes, label: bool, opened_ms: int) -> bool:
        """The example's horizon closed; whether what was served to it is known."""
        served = self._waiting.pop(example, None)
        while self._waiting:
            key, (_, oldest_ms) = next(iter(self._waiting.items()))
            if oldest_ms >= opened_ms - STALE_MS:
                break
            del self._waiting[key]
        if self._mask and len(self._waiting) < MAX_WAITING // 4:
            self._mask >>= 1  # traffic went down
        if served is None:
            return False
        self._matured.append((served[0], float(label)))
        return True

    def scorecard(self) -> Scorecard:
        """AUC, log loss and calibration of what was served to the newest matured examples."""
        served = np.array(self._matured, dtype=np.float64).reshape(-1, 2)
        return scorecard(served[:, 1], served[:, 0])

    def _sampled(self, example: bytes) -> bool:
        return not int.from_bytes(example[:4], "big") & self._mask

    def dump(self) -> dict[str, Any]:
        """Everything, as plain values for a checkpoint."""
        return {
            "ids": b"".join(self._waiting),
            "served": np.array([p for p, _ in self._waiting.values()]).tobytes(),
            "opened": np.array([opened for _, opened in self._waiting.values()], np.int64).tobytes(),
            "matured": np.array(self._matured).tobytes(),
            "mask": self._mask,
        }

    @classmethod
    def load(cls, state: dict[str, Any]) -> Cohort:
        """The inverse of ``dump``."""
        cohort, ids = cls(), state["ids"]
        served = zip(
            np.frombuffer(state["served"]).tolist(), np.frombuffer(state["opened"], np.int64).tolist(), strict=True
        )
        keys = (ids[at : at + ID_BYTES] for at in range(0, len(ids), ID_BYTES))
        cohort._waiting = OrderedDict(zip(keys, served, strict=True))
        cohort._matured.extend((p, y) for p, y in np.frombuffer(state["matured"]).reshape(-1, 2).tolist())
        cohort._mask = state["mask"]
        return cohort

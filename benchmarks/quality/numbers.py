"""Contexts as vectors, for libraries that take nothing else; better off than live, they know all categories."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from online_models.reward_model import FloatArray
from personalization.features import Features


class OnlineVectors:
    """Constant, standardised numbers (by the rows seen so far) and one column per category; missing is 0."""

    def __init__(self, contexts: Sequence[Features]) -> None:
        numeric = dict.fromkeys(name for c in contexts for name, v in c.items() if isinstance(v, float))
        texts = dict.fromkeys((name, v) for c in contexts for name, v in c.items() if isinstance(v, str))
        self._numeric = {name: i + 1 for i, name in enumerate(numeric)}
        self._texts = {pair: len(numeric) + 1 + i for i, pair in enumerate(texts)}
        self.width = 1 + len(numeric) + len(texts)
        self._n = np.zeros(self.width)
        self._mean = np.zeros(self.width)
        self._squares = np.zeros(self.width)

    def vector(self, context: Features) -> FloatArray:
        """The row seen now, by the statistics up to and with it (Welford)."""
        raw, present = np.zeros(self.width), np.zeros(self.width, bool)
        x = np.zeros(self.width)
        x[0] = 1.0
        for name, value in context.items():
            if isinstance(value, str):
                x[self._texts[name, value]] = 1.0
            else:
                raw[self._numeric[name]] = value
                present[self._numeric[name]] = True
        at = np.flatnonzero(present)
        self._n[at] += 1
        off = raw[at] - self._mean[at]
        self._mean[at] += off / self._n[at]
        self._squares[at] += off * (raw[at] - self._mean[at])
        sd = np.sqrt(self._squares[at] / self._n[at])
        x[at] = np.where(sd > 1e-9, np.clip((raw[at] - self._mean[at]) / np.maximum(sd, 1e-9), -5, 5), 0.0)
        return x

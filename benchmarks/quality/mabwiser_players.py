"""MABWiser's linear policies, fed row by row with vectors that are scaled online (``numbers``)."""

from __future__ import annotations

from collections.abc import Callable
from importlib.metadata import version
from typing import Any

import numpy as np
from mabwiser.mab import MAB, LearningPolicy

from benchmarks.quality.numbers import OnlineVectors
from online_models.reward_model import FloatArray
from operations.simulation.table import Table
from personalization.features import Features

VERSION: str = version("mabwiser")

POLICIES: dict[str, Callable[[], Any]] = {
    "mabwiser linucb 0.3": lambda: LearningPolicy.LinUCB(alpha=0.3),
    "mabwiser lints 0.3": lambda: LearningPolicy.LinTS(alpha=0.3),
    "mabwiser lingreedy 0.05": lambda: LearningPolicy.LinGreedy(epsilon=0.05),
}


class MabwiserPlayer:
    """One policy of MABWiser. It gives no probabilities: the choice is what it predicts."""

    def __init__(self, table: Table, name: str, seed: int) -> None:
        self._mab = MAB(list(range(len(table.arms))), POLICIES[name](), seed=seed + 1)
        self._vectors = OnlineVectors(table.contexts)
        self._rng = np.random.default_rng(seed)
        self._n_arms = len(table.arms)
        self._fitted = False
        self._pending: dict[int, FloatArray] = {}

    def choose(self, context: Features) -> tuple[int, float]:
        """Uniform until something was learned: MABWiser cannot predict before."""
        x = self._vectors.vector(context)
        self._pending[id(context)] = x
        if not self._fitted:
            return int(self._rng.integers(self._n_arms)), 1.0
        return int(self._mab.predict([x])), 1.0

    def learn(self, context: Features, arm: int, probability: float, reward: float) -> None:
        """With the vector the choice was made by."""
        learn = self._mab.partial_fit if self._fitted else self._mab.fit
        learn([arm], [reward], [self._pending.pop(id(context))])
        self._fitted = True

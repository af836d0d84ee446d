"""What a model had learned when it decided: outcomes by arm, and how noisy they were, counted from the log.

A record holds what was estimated of each arm; policies look at how often it was tried, too, and at the noise of
rewards. Both are counted again, nearly as the learner did: nothing is let go of where the world has changed, and
where the log has lost its beginning, what was learned before is taken to be as the first record expects it. Neither
biases an estimate: whatever was known before a decision makes a policy that could have been.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

import numpy as np

from online_models.noise import RewardNoise
from online_models.reward_model import FloatArray


class Lesson(NamedTuple):
    """One outcome that was learned: its arm, its reward on the scale [0, 1], and when it was closed."""

    arm: str
    reward: float
    closed_at_ms: int


@dataclass(slots=True)
class Known:
    """What one model knew, followed forward: each ``at`` asks for a later moment than the one before, or the same.

    Parameters
    ----------
    lessons
        In the order they were learned, as far as the log still has them.
    """

    lessons: Sequence[Lesson]
    _n_taken: int = 0
    _missing: int | None = None
    _n: dict[str, float] = field(default_factory=dict)
    _noise: RewardNoise = field(default_factory=RewardNoise)

    def at(
        self, n_learned: int, decided_at_ms: int, arms: Sequence[str], expected: Mapping[str, tuple[float, float]]
    ) -> tuple[FloatArray, float]:
        """Outcomes learned of each of K ``arms``, shape (K,), and the noise σ of one reward.

        Parameters
        ----------
        n_learned
            By the model that was asked.
        expected
            Of each arm its probability and the reward expected of it, on the scale [0, 1].
        """
        if self._missing is None:
            self._begin(n_learned, decided_at_ms, expected)
        assert self._missing is not None
        until = min(len(self.lessons), n_learned - self._missing)
        while self._n_taken < until:
            lesson = self.lessons[self._n_taken]
            if lesson.closed_at_ms > decided_at_ms:
                break
            self._n[lesson.arm] = self._n.get(lesson.arm, 0.0) + 1.0
            self._noise.add(lesson.reward)
            self._n_taken += 1
        return np.array([self._n.get(arm, 0.0) for arm in arms]), self._noise.sd

    def _begin(self, n_learned: int, decided_at_ms: int, expected: Mapping[str, tuple[float, float]]) -> None:
        """Take what the log has lost to be as the first record expects it.

        Of a whole log nothing is: no model has learned more than was closed.
        """
        n_seen = sum(lesson.closed_at_ms <= decided_at_ms for lesson in self.lessons)
        self._missing = max(0, n_learned - n_seen)
        mean = min(1.0, max(0.0, sum(share * reward for share, reward in expected.values())))
        self._n = {arm: share * self._missing for arm, (share, _) in expected.items()}
        total, n = mean * self._missing, self._missing
        self._noise = RewardNoise.load([n, total, n, total, total])

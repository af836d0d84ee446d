"""How noisy one reward is: the yardstick of optimism."""

from __future__ import annotations

import math
from typing import Any

from online_models.reward_model import Float32Array

COIN_PRIOR_N = 256
"""Rows of prior belief that half of all choices succeed: they keep early exploration wide (weight 64 dropped
the best arm of a 2 % placement in one order of four)."""

SPREAD_PRIOR_N = 64
"""Rows of prior belief that rewards spread as those of a coin."""


def coin_sd(n: float, total: float) -> float:
    """Standard deviation of a coin with the mean of n rewards, at most ½ wide.

    >>> round(coin_sd(0, 0), 3), round(coin_sd(100_000, 2_000), 3)
    (0.5, 0.144)
    """
    mean = min(0.5, max(1e-4, (COIN_PRIOR_N / 2 + total) / (COIN_PRIOR_N + n)))
    return math.sqrt(mean * (1.0 - mean))


class RewardNoise:
    """Standard deviation σ of one reward: a coin's with the same mean, narrower where rewards are graded.

    Ratings from −10 to 10 spread half as wide as a coin, and with a coin's optimism the Jester offers were explored
    twice as long as they needed. The coin is that of the rewards since the last ``restart``; how they spread beside
    it is known from all.
    """

    def __init__(self) -> None:
        self._n, self._total = 0, 0.0
        self._n_ever, self._total_ever, self._squares_ever = 0, 0.0, 0.0

    def add(self, reward: float) -> None:
        """One more reward."""
        self._n += 1
        self._total += reward
        self._n_ever += 1
        self._total_ever += reward
        self._squares_ever += reward * reward

    def restart(self, rewards: Float32Array) -> None:
        """The world has changed, and only these rewards are of the present one."""
        self._n, self._total = len(rewards), float(rewards.sum(dtype="f8"))

    @property
    def of_a_coin(self) -> float:
        """Standard deviation of a coin with the present mean."""
        return coin_sd(self._n, self._total)

    @property
    def sd(self) -> float:
        """σ."""
        return self.of_a_coin * self.share_of_a_coin

    @property
    def share_of_a_coin(self) -> float:
        """Standard deviation of the rewards over that of a coin with their mean, in (0, 1].

        >>> noise = RewardNoise()
        >>> for reward in (0.0, 1.0, 1.0, 0.0):
        ...     noise.add(reward)
        >>> noise.share_of_a_coin
        1.0
        >>> for _ in range(1000):
        ...     noise.add(0.4)
        ...     noise.add(0.6)
        >>> round(noise.share_of_a_coin, 2)
        0.27
        """
        n = self._n_ever
        mean = self._total_ever / max(1, n)
        coin = mean * (1.0 - mean)
        if coin <= 0.0:
            return 1.0
        share = min(1.0, max(0.0, (self._squares_ever / n - mean * mean) / coin))
        return float(((SPREAD_PRIOR_N + n * share) / (SPREAD_PRIOR_N + n)) ** 0.5)

    def dump(self) -> list[Any]:
        """Everything, as plain values."""
        return [self._n, self._total, self._n_ever, self._total_ever, self._squares_ever]

    @classmethod
    def load(cls, state: list[Any]) -> RewardNoise:
        """The inverse of ``dump``."""
        loaded = cls()
        loaded._n, loaded._total, loaded._n_ever, loaded._total_ever, loaded._squares_ever = state
        return loaded

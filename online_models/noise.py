"""How noisy one reward is, beside a coin with the same mean."""

from __future__ import annotations

from typing import Any

PRIOR_N = 64
"""Rows of prior belief in a coin."""


class RewardSpread:
    """Variance of the rewards seen, as a share of a coin's: 1 for zeros and ones, less for ratings and amounts.

    Optimism is measured in the noise of one reward. Ratings from −10 to 10 spread half as wide as a coin, and with
    a coin's optimism the Jester offers were explored twice as long as they needed.
    """

    def __init__(self) -> None:
        self.n, self.total, self.squares = 0, 0.0, 0.0

    def add(self, reward: float) -> None:
        """One more reward."""
        self.n += 1
        self.total += reward
        self.squares += reward * reward

    @property
    def share_of_a_coin(self) -> float:
        """Standard deviation over a coin's, in (0, 1].

        >>> spread = RewardSpread()
        >>> for reward in (0.0, 1.0, 1.0, 0.0):
        ...     spread.add(reward)
        >>> spread.share_of_a_coin
        1.0
        >>> for _ in range(1000):
        ...     spread.add(0.4)
        ...     spread.add(0.6)
        >>> round(spread.share_of_a_coin, 2)
        0.27
        """
        mean = self.total / max(1, self.n)
        coin = mean * (1.0 - mean)
        if coin <= 0.0:
            return 1.0
        share = min(1.0, max(0.0, (self.squares / self.n - mean * mean) / coin))
        return float(((PRIOR_N + self.n * share) / (PRIOR_N + self.n)) ** 0.5)

    def dump(self) -> list[Any]:
        """Everything, as plain values."""
        return [self.n, self.total, self.squares]

    @classmethod
    def load(cls, state: list[Any]) -> RewardSpread:
        """The inverse of ``dump``."""
        loaded = cls()
        loaded.n, loaded.total, loaded.squares = state
        return loaded

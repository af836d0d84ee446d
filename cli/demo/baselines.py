"""What nextbest is compared with: choices that know nothing of the person."""

from __future__ import annotations

from collections.abc import Mapping


class MostPopular:
    """Always the arm that would have been clicked most often so far; of equals, the first.

    It sees more than a live site could: after each decision whether *every* arm would have been clicked.

    >>> popular = MostPopular(["a", "b"])
    >>> popular.choose()
    'a'
    >>> popular.learn({"a": False, "b": True}); popular.choose()
    'b'
    """

    def __init__(self, arms: list[str]) -> None:
        self._clicks = dict.fromkeys(arms, 0)

    def choose(self) -> str:
        """The arm it would show now."""
        return max(self._clicks, key=self._clicks.__getitem__)

    def learn(self, clicked: Mapping[str, bool]) -> None:
        """One decision's outcome, for every arm."""
        for arm, click in clicked.items():
            self._clicks[arm] += click


def uniform_hit_rate(clicked: Mapping[str, bool]) -> float:
    """The chance that an arm drawn uniformly is clicked: its expected value, free of luck.

    >>> uniform_hit_rate({"a": True, "b": False})
    0.5
    """
    return sum(clicked.values()) / len(clicked)

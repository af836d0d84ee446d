"""Hit rates as they come in, and the paired difference with its interval clustered by person."""

from __future__ import annotations

import math

from personalization.evaluation.intervals import Interval, clustered


class Scores:
    """What every compared policy scored on the same decisions.

    Decisions of one person are alike, so persons, not decisions, are what was sampled: the interval of the
    difference is clustered by person.
    """

    def __init__(self) -> None:
        self.n = 0
        self._nextbest = 0
        self._most_popular = 0
        self._uniform = 0.0
        self._by_person: dict[int, tuple[int, int]] = {}

    def add(self, person: int, nextbest: bool, most_popular: bool, uniform: float) -> None:
        """One decided outcome: whether each policy's choice was clicked, and uniform's chance of it."""
        self.n += 1
        self._nextbest += nextbest
        self._most_popular += most_popular
        self._uniform += uniform
        n, total = self._by_person.get(person, (0, 0))
        self._by_person[person] = (n + 1, total + nextbest - most_popular)

    @property
    def n_people(self) -> int:
        """How many people's decisions were scored."""
        return len(self._by_person)

    @property
    def nextbest(self) -> float:
        """Share of decisions clicked."""
        return self._nextbest / self.n if self.n else math.nan

    @property
    def most_popular(self) -> float:
        """Share that the most popular arm so far would have had."""
        return self._most_popular / self.n if self.n else math.nan

    @property
    def uniform(self) -> float:
        """Expected share of a uniform draw."""
        return self._uniform / self.n if self.n else math.nan

    def difference(self) -> Interval:
        """``nextbest − most_popular``, paired; the interval is unbounded for fewer than two people."""
        if not self.n:
            return Interval(math.nan, math.nan, math.nan)
        mean = (self._nextbest - self._most_popular) / self.n
        return clustered(mean, self._by_person.values())

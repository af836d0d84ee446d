"""What became of a placement's outcomes: how many were learned, how many left because of whom they came from."""

from __future__ import annotations

from typing import Any, NamedTuple

from online_models.distinct_count import DistinctCount
from personalization.events.outcome import Outcome


class IntakeDay:
    """One day's outcomes, UTC."""

    __slots__ = ("learned", "left", "networks")

    def __init__(self, learned: float = 0.0, left: float = 0.0, networks: DistinctCount | None = None) -> None:
        self.learned, self.left = learned, left
        self.networks = networks or DistinctCount()


class IntakeReport(NamedTuple):
    """What is known of today and the day before.

    Attributes
    ----------
    n_outcomes
        For training, learned or left: the sum of their weights.
    left_share
        Of them, what was left because its visitor or its network had taught as much as it may.
    n_networks
        Networks that outcomes by write keys came from, within 9 %; a network counts again each day.
    """

    n_outcomes: float
    left_share: float
    n_networks: int


class Intake:
    """Outcomes of today and the day before, learned and left.

    Examples
    --------
    >>> Intake().report()
    IntakeReport(n_outcomes=0.0, left_share=0.0, n_networks=0)
    """

    def __init__(self) -> None:
        self._today, self._before = IntakeDay(), IntakeDay()

    def add(self, outcome: Outcome, *, learned: bool) -> None:
        """One more outcome."""
        day = self._today
        if learned:
            day.learned += outcome.sample_weight
        else:
            day.left += outcome.sample_weight
        if outcome.origin and outcome.by != "server":
            day.networks.add(outcome.origin)

    def turn(self, n_days: int) -> None:
        """So many days ended."""
        self._before = self._today if n_days == 1 else IntakeDay()
        self._today = IntakeDay()

    def report(self) -> IntakeReport:
        """The figures of both days."""
        today, before = self._today, self._before
        learned, left = today.learned + before.learned, today.left + before.left
        n_networks = round((today.networks | before.networks).estimate())
        return IntakeReport(learned + left, left / (learned + left) if left else 0.0, n_networks)

    def dump(self) -> list[Any]:
        """Everything, as plain values and bytes."""
        return [[day.learned, day.left, day.networks.dump()] for day in (self._today, self._before)]

    @classmethod
    def load(cls, state: list[Any]) -> Intake:
        """The inverse of ``dump``."""
        loaded = cls()
        loaded._today, loaded._before = (
            IntakeDay(learned, left, DistinctCount(networks)) for learned, left, networks in state
        )
        return loaded

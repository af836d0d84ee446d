"""When everything is fitted anew, and how much of it is done per outcome."""

from __future__ import annotations

FIRST_REBUILD = 16
GROWTH, LATE_GROWTH = 0.5, 1.0
"""Rebuilds at 16, 24, 36 … outcomes, from 512 on at every doubling, then every half window: early, each is worth
points; late, they cost."""

STEP_US = 1_500.0
EARLY_STEP_US = 4_000.0
EARLY = 512
"""Of a rebuild per outcome learned. The first ones are worth a point of the mean reward each if they are there
within three outcomes instead of ten, and outcomes are rare then."""


def step_us(n_rows: int) -> float:
    """Work on a rebuild that the outcome with this number pays for."""
    return EARLY_STEP_US if n_rows < EARLY else STEP_US


class RebuildSchedule:
    """At which count of outcomes the next rebuild begins.

    >>> schedule, begun = RebuildSchedule(), []
    >>> for n in range(2000):
    ...     if schedule.due(n):
    ...         begun.append(n)
    ...         schedule.begun(n, kept=n, window=8192)
    >>> begun
    [16, 24, 36, 54, 81, 121, 181, 271, 406, 609, 1218]
    """

    def __init__(self, next_at: int = FIRST_REBUILD) -> None:
        self.next_at = next_at

    def due(self, n_learned: int) -> bool:
        """Whether it is time."""
        return n_learned >= self.next_at

    def at_once(self, n_learned: int) -> None:
        """What there is holds no more."""
        self.next_at = n_learned

    def soon(self, n_learned: int) -> None:
        """There is something new to fit, and a few outcomes of it are waited for."""
        self.next_at = min(self.next_at, n_learned + FIRST_REBUILD)

    def begun(self, n_learned: int, kept: int, window: int) -> None:
        """A rebuild of ``kept`` rows has begun, of which it fits at most ``window``."""
        growth = GROWTH if kept < EARLY else LATE_GROWTH
        self.next_at = n_learned + max(FIRST_REBUILD // 2, min(window // 2, int(growth * kept)))

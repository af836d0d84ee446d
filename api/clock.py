"""The collector's clock: its machine's, unless that runs ahead of the log's.

The fold's clock never goes back. One collector a day ahead would move every visitor it touches a day ahead, and for
that day their windows would not close. So the clock is held against that of Redis, which all collectors share. In
between it is followed by a clock nobody sets, so that one which jumps is noticed before the next look.
"""

from __future__ import annotations

import time
from collections.abc import Callable

MAX_AHEAD_MS = 2_000
"""More than synchronised clocks, and the way of an answer of Redis, ever differ by."""

_STEADY = getattr(time, "CLOCK_BOOTTIME", time.CLOCK_MONOTONIC)
"""Goes on while the machine sleeps, where there is such a clock."""


def wall_ms() -> int:
    """The machine's clock, in milliseconds since 1970."""
    return time.time_ns() // 1_000_000


def steady_ms() -> int:
    """Milliseconds since some moment, never set."""
    return time.clock_gettime_ns(_STEADY) // 1_000_000


class CollectorClock:
    """Tells the time that entries are stamped with."""

    def __init__(self, wall: Callable[[], int] = wall_ms, steady: Callable[[], int] = steady_ms) -> None:
        self._wall = wall
        self._steady = steady
        self._offset_ms: int | None = None
        """What added to the steady clock is the log's; None: not known yet."""

    def now_ms(self) -> int:
        """Milliseconds since 1970: the machine's, or the log's where the machine's is more than 2 s ahead."""
        now_ms = self._wall()
        if self._offset_ms is not None:
            log_ms = self._steady() + self._offset_ms
            if now_ms - log_ms > MAX_AHEAD_MS:
                return log_ms
        return now_ms

    def heard(self, log_ms: int) -> None:
        """Redis has just said that it is ``log_ms``."""
        self._offset_ms = log_ms - self._steady()

    @property
    def ahead_ms(self) -> int:
        """How far the machine's clock is ahead of the log's; negative: behind."""
        return 0 if self._offset_ms is None else self._wall() - self._steady() - self._offset_ms

    def problem(self) -> str | None:
        """What is not well, for everybody to read."""
        ahead_ms = self.ahead_ms
        if ahead_ms <= MAX_AHEAD_MS:
            return None
        return (
            f"this machine's clock is {ahead_ms / 1000:.0f} s ahead of Redis's: times are taken from Redis's "
            "until it is set right"
        )

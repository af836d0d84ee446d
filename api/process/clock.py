"""The collector's clock: its machine's, unless that runs ahead of the log's.

The fold's clock never goes back. One collector a day ahead would move every visitor it touches a day ahead, and for
that day their windows would not close. So the clock is held against that of Redis, which all collectors share. In
between it is followed by a clock nobody sets, so that one which jumps is noticed before the next look.
"""

from __future__ import annotations

import functools
import time
from collections.abc import Callable

MAX_AHEAD_NS = 2_000_000_000
"""More than synchronised clocks, and the way of an answer of Redis, ever differ by."""

steady_ns = functools.partial(time.clock_gettime_ns, getattr(time, "CLOCK_BOOTTIME", time.CLOCK_MONOTONIC))
"""A clock that nobody sets; it goes on while the machine sleeps, where there is such a one."""


class CollectorClock:
    """Tells the time that entries are stamped with.

    Parameters
    ----------
    wall_ns
        The machine's clock, since 1970.
    steady_ns
        One that nobody sets, since any moment.
    """

    def __init__(self, wall_ns: Callable[[], int] = time.time_ns, steady_ns: Callable[[], int] = steady_ns) -> None:
        self._wall_ns = wall_ns
        self._steady_ns = steady_ns
        self._offset_ns: int | None = None
        """What added to the steady clock is the log's; None: not known yet."""

    def now_ms(self) -> int:
        """Milliseconds since 1970: the machine's, or the log's where the machine's is more than 2 s ahead."""
        now_ns = self._wall_ns()
        if self._offset_ns is not None:
            log_ns = self._steady_ns() + self._offset_ns
            if now_ns - log_ns > MAX_AHEAD_NS:
                return log_ns // 1_000_000
        return now_ns // 1_000_000

    def heard(self, log_ms: int) -> None:
        """Redis has just said that it is ``log_ms``."""
        self._offset_ns = log_ms * 1_000_000 - self._steady_ns()

    @property
    def ahead_ms(self) -> int:
        """How far the machine's clock is ahead of the log's; negative: behind."""
        if self._offset_ns is None:
            return 0
        return (self._wall_ns() - self._steady_ns() - self._offset_ns) // 1_000_000

    def problem(self) -> str | None:
        """What is not well, for everybody to read."""
        ahead_ms = self.ahead_ms
        if ahead_ms * 1_000_000 <= MAX_AHEAD_NS:
            return None
        return (
            f"this machine's clock is {ahead_ms / 1000:.0f} s ahead of Redis's: times are taken from Redis's "
            "until it is set right"
        )

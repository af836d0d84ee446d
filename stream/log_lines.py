"""Lines of the log about what may happen thousands of times a second."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable


class SparseLine:
    """A line about something that may happen thousands of times a second: a few a minute, and how many were not.

    Parameters
    ----------
    logger, event
        Who says it, and its constant name.
    n_lines, every_s
        At most that many in that long; what was held back is the field ``left_out`` of the next line.
    """

    def __init__(
        self,
        logger: logging.Logger,
        event: str,
        n_lines: int = 10,
        every_s: float = 60.0,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._logger = logger
        self._event = event
        self._n_lines = n_lines
        self._every_s = every_s
        self._clock = clock
        self._since_s = clock()
        self._n_written = 0
        self._n_left_out = 0

    def write(self, **fields: object) -> bool:
        """Write the line at level INFO, or count it; whether it was written."""
        now_s = self._clock()
        if now_s - self._since_s >= self._every_s:
            self._since_s, self._n_written = now_s, 0
        if self._n_written >= self._n_lines:
            self._n_left_out += 1
            return False
        self._n_written += 1
        self._logger.info(self._event, extra={**fields, "left_out": self._n_left_out})
        self._n_left_out = 0
        return True

"""How workers write their log: one line per event, fields as ``name=value``."""

from __future__ import annotations

import logging
import sys
import time
from collections.abc import Callable


def set_up_logging() -> None:
    """One line per event on standard error: time, level, name, fields."""
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(_FieldFormatter("%(asctime)s %(levelname)s %(name)s %(message)s"))
    logging.basicConfig(level=logging.INFO, handlers=[handler], force=True)
    for chatty in ("faust", "mode", "aiokafka", "kafka"):
        logging.getLogger(chatty).setLevel(logging.WARNING)


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


_STANDARD = frozenset(vars(logging.makeLogRecord({}))) | {"message", "asctime", "taskName"}


class _FieldFormatter(logging.Formatter):
    """Appends a record's extra fields as ``name=value``."""

    def format(self, record: logging.LogRecord) -> str:
        """The line."""
        fields = [f"{name}={value}" for name, value in vars(record).items() if name not in _STANDARD]
        return " ".join([super().format(record), *fields])

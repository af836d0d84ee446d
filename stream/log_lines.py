"""How workers write their log: one line per event, fields as ``name=value``."""

from __future__ import annotations

import logging
import sys


def set_up_logging() -> None:
    """One line per event on standard error: time, level, name, fields."""
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(_FieldFormatter("%(asctime)s %(levelname)s %(name)s %(message)s"))
    logging.basicConfig(level=logging.INFO, handlers=[handler], force=True)
    for chatty in ("faust", "mode", "aiokafka", "kafka"):
        logging.getLogger(chatty).setLevel(logging.WARNING)


_STANDARD = frozenset(vars(logging.makeLogRecord({}))) | {"message", "asctime", "taskName"}


class _FieldFormatter(logging.Formatter):
    """Appends a record's extra fields as ``name=value``."""

    def format(self, record: logging.LogRecord) -> str:
        """The line."""
        fields = [f"{name}={value}" for name, value in vars(record).items() if name not in _STANDARD]
        return " ".join([super().format(record), *fields])

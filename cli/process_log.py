"""How a process of ours logs: a constant event name, then the fields, one line each, on standard error."""

from __future__ import annotations

import logging
import sys

_STANDARD = frozenset(vars(logging.makeLogRecord({}))) | {"message", "asctime", "taskName", "color_message"}


class FieldFormatter(logging.Formatter):
    """Time, level, name, message, and a record's extra fields as ``name=value``."""

    def __init__(self) -> None:
        super().__init__("%(asctime)s %(levelname)s %(name)s %(message)s")

    def format(self, record: logging.LogRecord) -> str:
        """The line.

        >>> record = logging.makeLogRecord({"msg": "lease_lost", "levelname": "WARNING", "generation": 3})
        >>> FieldFormatter().format(record).endswith("WARNING None lease_lost generation=3")
        True
        """
        fields = [f"{name}={value}" for name, value in vars(record).items() if name not in _STANDARD]
        return " ".join([super().format(record), *fields])


def set_up_logging() -> None:
    """Log what is worth knowing of this process, from level INFO."""
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(FieldFormatter())
    logging.basicConfig(level=logging.INFO, handlers=[handler], force=True)

"""How a process of ours logs: a constant event name, then the fields, one line each, on standard error."""

from __future__ import annotations

import json
import logging
import math
import sys
import time

from tracing.current_trace import current_trace_id

_STANDARD = frozenset(vars(logging.makeLogRecord({}))) | {"message", "asctime", "taskName", "color_message"}

_CHATTY = ("faust", "mode", "aiokafka", "kafka")
"""Their every step is of no use to whoever reads our log."""


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
        fields = [f"{name}={value}" for name, value in _fields(record).items()]
        return " ".join([super().format(record), *fields])


class JsonFormatter(logging.Formatter):
    """One JSON object a line: ``time`` (RFC 3339, UTC), ``level``, ``event``, ``logger``, and the extra fields.

    What is said while a request is recorded as a trace has its ``trace_id``, what went wrong its ``error``.
    """

    def format(self, record: logging.LogRecord) -> str:
        """The line.

        >>> record = logging.makeLogRecord({"msg": "lease_lost", "levelname": "WARNING", "generation": 3})
        >>> record.created, record.msecs, record.name = 0.25, 250, "stream.lease"
        >>> JsonFormatter().format(record)
        '{"time":"1970-01-01T00:00:00.250Z","level":"WARNING","event":"lease_lost","logger":"stream.lease","generation":3}'
        """
        at = time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(record.created))
        line: dict[str, object] = {
            "time": f"{at}.{int(record.msecs):03d}Z",
            "level": record.levelname,
            "event": record.getMessage(),
            "logger": record.name,
        }
        for name, value in _fields(record).items():
            line[f"field_{name}" if name in line else name] = _shown(value)
        if trace_id := current_trace_id():
            line.setdefault("trace_id", trace_id)
        if record.exc_info:
            line["error"] = self.formatException(record.exc_info)
        return json.dumps(line, separators=(",", ":"), default=str)


def set_up_logging(log: str = "text") -> None:
    """Log what is worth knowing of this process, from level INFO.

    Parameters
    ----------
    log
        ``NEXTBEST_LOG``: ``text`` or ``json``.
    """
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(JsonFormatter() if log == "json" else FieldFormatter())
    logging.basicConfig(level=logging.INFO, handlers=[handler], force=True)
    for chatty in _CHATTY:
        logging.getLogger(chatty).setLevel(logging.WARNING)


def _fields(record: logging.LogRecord) -> dict[str, object]:
    return {name: value for name, value in vars(record).items() if name not in _STANDARD}


def _shown(value: object) -> object:
    """A value as JSON can say it."""
    return str(value) if isinstance(value, float) and not math.isfinite(value) else value

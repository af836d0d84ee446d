"""How a process of ours logs: a constant event name, then the fields, one line each, on standard error.

As JSON every line is an object, whoever writes it: also what libraries print, and what ends a process.
"""

from __future__ import annotations

import io
import json
import logging
import math
import sys
import threading
import time
from types import TracebackType

from tracing.current_trace import current_trace_id

logger = logging.getLogger(__name__)

_STANDARD = frozenset(vars(logging.makeLogRecord({}))) | {"message", "asctime", "taskName", "color_message"}

_CHATTY = ("faust", "mode", "aiokafka", "kafka")
"""Their every step is of no use to whoever reads our log."""

MAX_CHARS = 8_000
"""Of one value in a line of JSON: with six bytes for a character it is below the 64 KiB that a line may have."""


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
        return super().format(record)

    def formatMessage(self, record: logging.LogRecord) -> str:  # its base's name
        """All but a traceback: one line, whatever stands in it."""
        fields = [f"{name}={value}" for name, value in _fields(record).items()]
        return one_line(" ".join([super().formatMessage(record), *fields]))


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
            "event": _bounded(_message(record)),
            "logger": record.name,
        }
        for name, value in _fields(record).items():
            line[f"field_{name}" if name in line else name] = _shown(value)
        if trace_id := current_trace_id():
            line.setdefault("trace_id", trace_id)
        if record.exc_info:
            line["error"] = self.formatException(record.exc_info)[-MAX_CHARS:]  # what was raised stands at its end
        try:
            return json.dumps(line, separators=(",", ":"), default=_text, allow_nan=False)
        except (TypeError, ValueError, RecursionError):  # a value that JSON has no word for, deep in a field
            return json.dumps({name: _text(value) for name, value in line.items()}, separators=(",", ":"))


class Printed(io.TextIOBase):
    """Stands in for a stream that others print to: each line of theirs is one of the log, the event ``printed``."""

    def __init__(self, level: int) -> None:
        self._level = level
        self._begun = ""
        self._logging = threading.local()

    def write(self, text: str) -> int:
        """Log the lines that are whole."""
        *whole, self._begun = (self._begun + text).split("\n")
        for line in whole:
            self._log(line)
        return len(text)

    def flush(self) -> None:
        """Nothing: what is no whole line waits."""

    def _log(self, line: str) -> None:
        # What logging itself prints, of a line that it could not write, would come back for ever.
        if line.strip() and not getattr(self._logging, "is_under_way", False):
            self._logging.is_under_way = True
            try:
                logger.log(self._level, "printed", extra={"text": line})
            finally:
                self._logging.is_under_way = False


def set_up_logging(log: str = "text") -> None:
    """Log what is worth knowing of this process, from level INFO.

    Parameters
    ----------
    log
        ``NEXTBEST_LOG``: ``text`` or ``json``.
    """
    if isinstance(sys.stderr, Printed):
        return  # it is set up, and stays so
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(JsonFormatter() if log == "json" else FieldFormatter())
    logging.basicConfig(level=logging.INFO, handlers=[handler], force=True)
    for chatty in _CHATTY:
        logging.getLogger(chatty).setLevel(logging.WARNING)
    if log == "json":
        _take_what_is_printed()


def _take_what_is_printed() -> None:
    sys.stdout, sys.stderr = Printed(logging.INFO), Printed(logging.WARNING)
    sys.excepthook = _log_end
    threading.excepthook = lambda ended: logger.error(
        "thread_failed", exc_info=ended.exc_value, extra={"of_thread": getattr(ended.thread, "name", "")}
    )


def _log_end(kind: type[BaseException], error: BaseException, _: TracebackType | None) -> None:
    logger.critical("process_failed", exc_info=error)


def one_line(text: str) -> str:
    """The text with what would begin another line, or is obeyed by a terminal, written as Python writes it.

    >>> one_line("lost\\n2026-01-01 ERROR forged")
    'lost\\\\n2026-01-01 ERROR forged'
    """
    if text.isprintable():
        return text
    return "".join(each if each.isprintable() else each.encode("unicode_escape").decode() for each in text)


def _fields(record: logging.LogRecord) -> dict[str, object]:
    return {name: value for name, value in vars(record).items() if name not in _STANDARD}


def _message(record: logging.LogRecord) -> str:
    try:
        return record.getMessage()
    except (TypeError, ValueError, KeyError):  # a library's words and what it fills them with do not fit
        return f"{record.msg} {record.args}"


def _shown(value: object) -> object:
    """A value as JSON can say it."""
    if isinstance(value, str):
        return _bounded(value)
    return str(value) if isinstance(value, float) and not math.isfinite(value) else value


def _text(value: object) -> str:
    return _bounded(str(value))


def _bounded(text: str) -> str:
    return text if len(text) <= MAX_CHARS else f"{text[:MAX_CHARS]}…"

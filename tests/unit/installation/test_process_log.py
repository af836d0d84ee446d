"""Lines of the log, as text and as JSON."""

from __future__ import annotations

import json
import logging
import sys

from cli.child import alarming
from installation.process_log import FieldFormatter, JsonFormatter
from tracing.current_trace import set_current_trace_id


def record(event: str = "lease_lost", level: int = logging.WARNING, **fields: object) -> logging.LogRecord:
    made = logging.getLogger("stream.lease").makeRecord(
        "stream.lease", level, "f", 1, event, (), None, extra=fields
    )
    made.created, made.msecs = 1_800_000_000.25, 250
    return made


def test_a_line_of_json_is_one_object_with_its_fields_as_they_are() -> None:
    text = JsonFormatter().format(record(generation=3, reason="two\nlines", share=float("inf")))
    assert "\n" not in text
    assert json.loads(text) == {
        "time": "2027-01-15T08:00:00.250Z",
        "level": "WARNING",
        "event": "lease_lost",
        "logger": "stream.lease",
        "generation": 3,
        "reason": "two\nlines",
        "share": "inf",
    }


def test_a_field_never_takes_the_place_of_what_every_line_has() -> None:
    made = record()
    vars(made).update(time="noon", level=3)  # as logging does with `extra`
    line = json.loads(JsonFormatter().format(made))
    assert line["level"] == "WARNING"
    assert (line["field_time"], line["field_level"]) == ("noon", 3)


def test_what_went_wrong_stands_in_the_same_line() -> None:
    made = record()
    try:
        raise ValueError("half\ud800a character")
    except ValueError:
        made.exc_info = sys.exc_info()
    line = json.loads(JsonFormatter().format(made))
    assert line["error"].splitlines()[-1].startswith("ValueError: half")


def test_a_line_said_while_a_request_is_recorded_names_its_trace() -> None:
    set_current_trace_id("ab" * 16)
    try:
        assert json.loads(JsonFormatter().format(record()))["trace_id"] == "ab" * 16
    finally:
        set_current_trace_id(None)
    assert "trace_id" not in json.loads(JsonFormatter().format(record()))


def test_the_supervisor_shows_warnings_of_either_kind_and_nothing_less() -> None:
    for formatter in (JsonFormatter(), FieldFormatter()):
        assert alarming(formatter.format(record(level=logging.ERROR)))
        assert not alarming(formatter.format(record(level=logging.INFO, level_of="WARNING")))

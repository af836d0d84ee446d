"""Lines of the log, as text and as JSON."""

from __future__ import annotations

import ast
import asyncio
import json
import logging
import os
import re
import subprocess
import sys
from typing import Any

import pytest

from cli.child import alarming
from installation.process_log import MAX_CHARS, FieldFormatter, JsonFormatter
from tests.running import ROOT
from tracing.current_trace import Recording


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


async def test_a_line_said_while_a_request_is_recorded_names_its_trace_and_none_later_does() -> None:
    """Whatever task it began may run on, as one that writes for all requests does."""
    recording, over = Recording("ab" * 16), asyncio.Event()

    async def line_later() -> str:
        await over.wait()
        return JsonFormatter().format(record())

    assert json.loads(JsonFormatter().format(record()))["trace_id"] == "ab" * 16
    writer = asyncio.create_task(line_later())
    recording.end()
    over.set()
    assert "trace_id" not in json.loads(await writer)
    assert "trace_id" not in json.loads(JsonFormatter().format(record()))


def test_the_supervisor_shows_warnings_of_either_kind_and_nothing_less() -> None:
    for formatter in (JsonFormatter(), FieldFormatter()):
        assert alarming(formatter.format(record(level=logging.ERROR)))
        assert not alarming(formatter.format(record(level=logging.INFO, level_of="WARNING")))


def test_no_field_and_no_event_begins_a_line_of_its_own_as_text() -> None:
    forged = "\n2026-01-01 10:00:00,000 ERROR state.redis_watch redis_not_well"
    text = FieldFormatter().format(record(reason=forged + "\x1b[2J\u009b"))
    assert "\n" not in text
    assert text.isprintable()
    assert "\\n2026" in text
    assert "\n" not in FieldFormatter().format(record(event=f"seen{forged}"))


def test_whatever_a_field_holds_the_line_is_an_object() -> None:
    deep: list[object] = []
    deep.append(deep)
    held: dict[str, Any] = {
        "key": {(1, 2): "pair", 3: float("nan")},
        "deep": deep,
        "of_bytes": {b"k": b"v"},
        "long": "x" * 10**6,
    }
    text = JsonFormatter().format(record(**held))
    line = json.loads(text, parse_constant=lambda name: pytest.fail(f"{name} is no JSON"))
    assert line["event"] == "lease_lost"
    assert set(held) <= set(line)
    assert len(text) < 4 * MAX_CHARS


PRINTING = """
import logging, sys, threading, traceback, warnings
from installation.process_log import set_up_logging

set_up_logging("json")
print("two\\nlines")
print("half", end=" ", file=sys.stderr)
print("a line", file=sys.stderr)
warnings.warn("old ways")
logging.getLogger("a.library").warning("%d does not fit", "this")
thread = threading.Thread(target=lambda: 1 / 0, name="apart")
thread.start()
thread.join()
try:
    raise KeyError("k")
except KeyError:
    traceback.print_exc()
raise SystemError("the end")
"""


def test_what_anybody_prints_and_what_ends_a_process_is_a_line_of_json_too() -> None:
    done = subprocess.run(
        [sys.executable, "-P", "-c", PRINTING],
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )
    assert done.returncode == 1
    assert done.stdout == ""
    lines = [json.loads(line) for line in done.stderr.splitlines()]
    texts = [line["text"] for line in lines if line["event"] == "printed"]
    assert texts[:3] == ["two", "lines", "half a line"]
    assert any("old ways" in text for text in texts)
    assert texts[-1] == "KeyError: 'k'"
    assert "%d does not fit ('this',)" in {line["event"] for line in lines}
    ends = {line["event"]: line["error"].splitlines()[-1] for line in lines if "error" in line}
    assert ends == {
        "thread_failed": "ZeroDivisionError: division by zero",
        "process_failed": "SystemError: the end",
    }


@pytest.mark.parametrize("role", ["folder", "api"])
def test_why_a_role_does_not_start_is_a_line_of_json_too(role: str) -> None:
    done = subprocess.run(
        [sys.executable, "-P", "-m", "cli", role],
        env={**os.environ, "PYTHONPATH": str(ROOT), "NEXTBEST_LOG": "json", "NEXTBEST_REDDIS": "x"},
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )
    assert done.returncode == 1
    (line,) = [json.loads(line) for line in done.stderr.splitlines()]
    assert "NEXTBEST_REDDIS: there is no such setting" in line["text"]
    assert alarming(done.stderr)  # the supervisor shows it


def test_every_event_of_ours_is_a_constant_name_with_its_facts_beside_it() -> None:
    """Whoever counts events by their names counts none twice."""
    folders = ("api", "background", "cli", "eventlog", "installation", "operations", "state", "stream", "tracing")
    found = []
    for path in (path for folder in folders for path in (ROOT / folder).rglob("*.py")):
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute) and node.func.attr in LEVELS:
                said = ast.unparse(node.func.value)
                is_name = len(node.args) == 1 and re.fullmatch(r"'[a-z_]+'", ast.unparse(node.args[0]))
                if said in ("logger", "self.log") and not is_name:
                    found.append(f"{path.relative_to(ROOT)}:{node.lineno}: {ast.unparse(node)}")
    assert not found


LEVELS = ("debug", "info", "warning", "error", "exception", "critical")

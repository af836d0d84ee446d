"""Whoever holds a page's key writes much of what commands print; and people type what is no id."""

from __future__ import annotations

import json

import pytest
from click.testing import CliRunner

from cli.audit import audit
from cli.log import log
from cli.terminal import json_line
from cli.trace import trace
from cli.why import why


@pytest.mark.parametrize(
    "text", ["plain", "\x1b[2J", "\x9b31m", "\u202e\u2066", "Größe 😀", "\U000e0041", "\r\n\x7f"]
)
def test_a_line_of_json_has_nothing_that_a_terminal_obeys_and_says_the_same(text: str) -> None:
    line = json_line({"event": text})
    assert line.isprintable()
    assert json.loads(line) == {"event": text}


@pytest.mark.parametrize("given", ["", "  ", "\udcff"])
def test_what_is_no_id_is_a_mistake_of_usage(given: str) -> None:
    for command, more in ((log, []), (trace, []), (why, ["hero"])):
        done = CliRunner().invoke(command, [given, *more])
        assert done.exit_code == 2
        assert "it is empty" in done.output or "it is not UTF-8" in done.output
    assert CliRunner().invoke(audit, ["show", "--visitor", given]).exit_code == 2

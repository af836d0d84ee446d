"""``nextbest refused`` shows strangers' words: whoever holds a page's key chose them."""

from __future__ import annotations

import json

import pytest
from click.testing import CliRunner

import cli.refused as module
from cli.refused import refused
from config.settings import Settings
from eventlog.refused_event import RefusedEvent


def shown(monkeypatch: pytest.MonkeyPatch, kept: RefusedEvent, *arguments: str) -> str:
    async def newest(settings: Settings, limit: int) -> list[RefusedEvent]:
        return [kept]

    monkeypatch.setattr(module, "_newest", newest)
    return CliRunner().invoke(refused, arguments).stdout


def test_nothing_that_a_terminal_obeys_is_printed(monkeypatch: pytest.MonkeyPatch) -> None:
    wild = "\x1b]0;mine\x07\x1b[2J\x9b2J[red]Sold\r\n\u202e"
    kept = RefusedEvent(0, "site", "missing_field", f"is missing{wild}", "event", 9, wild, wild, wild)
    table = shown(monkeypatch, kept)
    assert table.count("Sold") == 4
    assert table.replace("\n", "").isprintable()
    line = shown(monkeypatch, kept, "--json")
    assert line.rstrip("\n").isprintable()
    assert json.loads(line)["event"] == wild  # and is the same to whoever reads it as JSON


def test_in_a_pipe_nothing_is_cut_off(monkeypatch: pytest.MonkeyPatch) -> None:
    why = "is missing; send an anonymousId or a userId, " * 3
    kept = RefusedEvent(0, "a-source-of-many-letters", "missing_visitor", why, "anonymousId", 9, "track", "x" * 64)
    *_, line = shown(monkeypatch, kept).splitlines()
    assert all(each in line for each in ("a-source-of-many-letters", "track " + "x" * 64, why.strip()))

"""What a check found."""

from __future__ import annotations

from enum import StrEnum

import msgspec


class Level(StrEnum):
    """How bad it is."""

    OK = "ok"
    LOOK = "look"
    """It works, and a person should see to it."""
    WRONG = "wrong"
    """Something does not work, or what is kept can be lost."""


class Finding(msgspec.Struct, frozen=True, omit_defaults=True):
    """One thing that was looked at.

    Attributes
    ----------
    check
        What was looked at: ``redis-memory``.
    level
        ok, look or wrong.
    what
        What is so, in a sentence that holds no secret.
    do
        What to do about it; empty where it is ok.
    runbook
        The entry of the runbook that says more, as a path with an anchor; empty: none.
    """

    check: str
    level: Level
    what: str
    do: str = ""
    runbook: str = ""


def ok(check: str, what: str) -> Finding:
    """All is well."""
    return Finding(check, Level.OK, what)


def look(check: str, what: str, do: str, runbook: str = "") -> Finding:
    """A person should see to it."""
    return Finding(check, Level.LOOK, what, do, _in_runbook(runbook))


def wrong(check: str, what: str, do: str, runbook: str = "") -> Finding:
    """It does not work, or what is kept can be lost."""
    return Finding(check, Level.WRONG, what, do, _in_runbook(runbook))


def _in_runbook(anchor: str) -> str:
    return f"docs/runbook.md#{anchor}" if anchor else ""

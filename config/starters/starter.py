"""The files of a catalog to start with, filled in by the answers.

What is written lies beside this file: ``common/`` for all sites, and a folder for each kind. ``@name``
stands for what is filled in.
"""

from __future__ import annotations

import string
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import msgspec

from config.schema import catalog_schema_text
from config.starters.answers import Answers
from config.starters.credentials import Credentials, hashed

ENV = ".env"
"""Holds the secret: for its owner alone."""

HERE = Path(__file__).parent
SECTIONS = ("placements", "content", "audiences", "scores")
"""Files of each kind that are taken as they are."""


_NO_TEXTS = frozenset({"true", "false", "null", "yes", "no", "on", "off", "y", "n"})
"""Words that are something else to some reader of YAML."""


class ExampleEvent(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """An event that pages of a kind of site send.

    Attributes
    ----------
    event
        A track's name, or ``page``.
    rewards
        By placement, what it is worth there.
    does
        What else follows from it, for people.
    """

    event: str
    properties: dict[str, Any]
    does: str
    rewards: dict[str, float] = {}


class Example(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What the README of a kind of site shows.

    Attributes
    ----------
    what
        The pages, in words.
    placement
        The one to try. The first of the events rewards it.
    """

    what: str
    placement: str
    events: tuple[ExampleEvent, ...]


class _Text(string.Template):
    delimiter = "@"


def starter_files(answers: Answers, credentials: Credentials) -> dict[str, str]:
    """Name → text of every file of the folder; keys stand in none of them, the secret in ``.env`` alone."""
    kind = HERE / answers.kind
    return {
        ENV: f"NEXTBEST_SECRET={credentials.secret}\n",
        ".gitignore": f"{ENV}\n.nextbest/\n",
        "README.md": _readme(answers, example_of(answers.kind)),
        "catalog.schema.json": catalog_schema_text(),
        "sources.yaml": _sources(answers, credentials),
        "privacy.yaml": (HERE / "common" / "privacy.yaml").read_text(encoding="utf-8"),
        **{f"{name}.yaml": (kind / f"{name}.yaml").read_text(encoding="utf-8") for name in SECTIONS},
    }


def example_of(kind: str) -> Example:
    """What the README of a kind of site shows."""
    return msgspec.json.decode((HERE / kind / "example.json").read_bytes(), type=Example)


def _sources(answers: Answers, credentials: Credentials) -> str:
    name = {"name": answers.name}
    return _filled(
        "common/sources.yaml",
        {
            "key": _yaml_key(answers.name),
            "origins": ", ".join(f"'{origin}'" for origin in answers.origins),
            "write_hash": hashed(credentials.write_key),
            "server_hash": hashed(credentials.server_key),
            "consent": _filled(f"common/{answers.consent}.yaml", {}).rstrip("\n"),
            "users": _filled(f"common/{'verified' if answers.users else 'unverified'}.yaml", name).rstrip("\n"),
        },
    )


def _readme(answers: Answers, example: Example) -> str:
    name = {"name": answers.name}
    more = [_filled("common/users.md", name)] if answers.users else []
    if (HERE / answers.kind / "more.md").exists():
        more.append(_filled(f"{answers.kind}/more.md", {}))
    # Who was not asked yet counts as refusing under `denied`: these examples are of somebody who agreed.
    context = {"context": {"consent": {"personalization": True}}} if answers.consent == "denied" else {}
    first = example.events[0]
    event = {"type": "track", "event": first.event, "anonymousId": "me", **context, "properties": first.properties}
    return _filled(
        "common/README.md",
        {
            **name,
            "what": example.what,
            "origins": ", ".join(answers.origins),
            "placement": example.placement,
            "decide": _json({"visitor": {"anonymousId": "me"}, "placements": [example.placement], **context}),
            "event": _json(event),
            "consent": _filled(f"common/{answers.consent}.md", {}).rstrip("\n"),
            "events": "\n".join(_row(event) for event in example.events),
            "more": "".join(f"\n{part}" for part in more),
        },
    )


def _row(event: ExampleEvent) -> str:
    worth = ", ".join(f"`{placement}` {value:g}" for placement, value in event.rewards.items()) or "–"
    return f"| `{event.event}` | `{_json(event.properties)}` | {worth} | {event.does} |"


def _yaml_key(name: str) -> str:
    """A name as a key of YAML, in quotes where it would be no text without."""
    is_text = name[0].isalpha() and name.lower() not in _NO_TEXTS
    return name if is_text else f"'{name}'"


def _json(value: Mapping[str, Any]) -> str:
    return msgspec.json.encode(value).decode()


def _filled(file: str, values: Mapping[str, str]) -> str:
    return _Text((HERE / file).read_text(encoding="utf-8")).substitute(values)

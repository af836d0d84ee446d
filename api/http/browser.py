"""What a browser says of itself in its headers, where the context of its request does not."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from starlette.types import Scope

from api.http.exchange import header


def with_browser(context: dict[str, Any], scope: Scope) -> dict[str, Any]:
    """The context, with ``userAgent`` and ``locale`` of the browser that asks; other programs speak for nobody."""
    agent = header(scope, b"user-agent")
    if agent is None or not agent.startswith(_BROWSER):
        return context
    said: Mapping[str, str | None] = {"userAgent": agent.decode("latin-1"), "locale": _locale(scope)}
    return {**{name: value for name, value in said.items() if value}, **context}


_BROWSER = b"Mozilla/"
"""So the name of every browser begins, and that of no HTTP library."""


def _locale(scope: Scope) -> str | None:
    """The language a browser prefers, as ``Accept-Language`` has it first."""
    accepted = (header(scope, b"accept-language") or b"").decode("latin-1")
    first = accepted.split(",")[0].split(";")[0].strip()
    return None if first == "*" else first

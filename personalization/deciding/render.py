"""Content as shown: the body in the visitor's language, with template variables filled in.

``{{traits.first_name|there}}`` is the variable, else the words behind the bar (nothing if there are none). In
html the visitor's values are escaped, in a redirect percent-encoded; the author's own words stand as written.
"""

from __future__ import annotations

import html
import re
from collections.abc import Callable, Mapping
from typing import Any
from urllib.parse import quote

from personalization.audience.variables import VisitorScope
from personalization.catalog.catalog import Content

VARIABLE = re.compile(r"\{\{\s*([\w.\- ]+?)\s*(?:\|([^{}]*))?\}\}")
"""A template variable: its name, and what stands in for it."""

_FIELD = {"html": "html", "redirect": "url", "json": "json"}
_ESCAPE: dict[str, Callable[[str], str]] = {
    "html": html.escape,
    "redirect": lambda text: quote(text, safe=""),
    "json": lambda text: text,
}


class Renderer:
    """One content, ready to show: bodies by language, templates found once."""

    __slots__ = ("_bodies", "_escape", "_field", "_type")

    def __init__(self, content: Content) -> None:
        self._type = content.type
        self._field = _FIELD[content.type]
        self._escape = _ESCAPE[content.type]
        bodies = {"": content.body, **content.locales}
        self._bodies = {
            _tag(tag): (_is_template(body), {"type": self._type, self._field: body}) for tag, body in bodies.items()
        }

    def render(self, scope: VisitorScope) -> dict[str, Any]:
        """What to answer: ``type`` and ``html``, ``json`` or ``url``. Not to be changed by the caller."""
        template, content = self._bodies[""] if len(self._bodies) == 1 else self._in_language_of(scope)
        if not template:
            return content
        return {"type": self._type, self._field: _filled(content[self._field], scope, self._escape)}

    def _in_language_of(self, scope: VisitorScope) -> tuple[bool, dict[str, Any]]:
        wanted = scope.context.get("locale")
        if isinstance(wanted, str):
            tag = _tag(wanted[:64])
            while tag:
                found = self._bodies.get(tag)
                if found is not None:
                    return found
                tag = tag.rpartition("-")[0]
        return self._bodies[""]


def _tag(tag: str) -> str:
    return tag.replace("_", "-").lower()


def _is_template(body: Any) -> bool:
    if isinstance(body, str):
        return VARIABLE.search(body) is not None
    if isinstance(body, Mapping):
        return any(_is_template(value) for value in body.values())
    return isinstance(body, list) and any(_is_template(value) for value in body)


def _filled(body: Any, scope: VisitorScope, escape: Callable[[str], str]) -> Any:
    if isinstance(body, str):
        return VARIABLE.sub(lambda match: _value(match, scope, escape), body)
    if isinstance(body, Mapping):
        return {name: _filled(value, scope, escape) for name, value in body.items()}
    if isinstance(body, list):
        return [_filled(value, scope, escape) for value in body]
    return body


def _value(match: re.Match[str], scope: VisitorScope, escape: Callable[[str], str]) -> str:
    first, *steps = match[1].split(".")
    value = scope.value(first)
    for step in steps:
        value = value.get(step) if isinstance(value, Mapping) else None
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, float) and value.is_integer():
        value = int(value)
    if isinstance(value, str | int | float) and value != "":
        return escape(str(value))
    return match[2] or ""

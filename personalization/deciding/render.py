"""Content as shown: the body in the visitor's language, with template variables filled in.

``{{traits.first_name|there}}`` is the variable, else the words behind the bar (nothing if there are none). The
visitor's values are escaped by where they stand in html, and percent-encoded in a redirect; the author's own words
stand as written. Where no value may stand, in what was published before that was checked, the author's words do.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from itertools import repeat
from typing import Any, TypeAlias

from personalization.audience.variables import VisitorScope
from personalization.catalog.catalog import Content
from personalization.catalog.html_template import Escape, Placed, places_of
from personalization.catalog.template import VARIABLE, mask
from personalization.catalog.template_urls import ANY_APP, is_settled, split_at_variables, url_value

Fill: TypeAlias = Callable[[VisitorScope], Any]
"""A body or a part of one for a visitor."""

_FIELD = {"html": "html", "redirect": "url", "json": "json"}


class Renderer:
    """One content, ready to show: bodies by language, templates found and their variables placed once."""

    __slots__ = ("_bodies", "_field", "_type")

    def __init__(self, content: Content) -> None:
        self._type = content.type
        self._field = _FIELD[content.type]
        bodies = {"": content.body, **content.locales}
        self._bodies = {
            _tag(tag): (_fill(body, content.type), {"type": self._type, self._field: body})
            for tag, body in bodies.items()
        }

    def render(self, scope: VisitorScope) -> dict[str, Any]:
        """What to answer: ``type`` and ``html``, ``json`` or ``url``. Not to be changed by the caller."""
        fill, content = self._bodies[""] if len(self._bodies) == 1 else self._in_language_of(scope)
        if fill is None:
            return content
        return {"type": self._type, self._field: fill(scope)}

    def _in_language_of(self, scope: VisitorScope) -> tuple[Fill | None, dict[str, Any]]:
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


def _fill(body: Any, type_: str) -> Fill | None:
    """How a body is filled in; None: it is the same for everybody."""
    if isinstance(body, str):
        return _fill_text(body, type_) if VARIABLE.search(body) else None
    if isinstance(body, Mapping):
        fields = [(name, value, _fill(value, type_)) for name, value in body.items()]
        if any(fill for _, _, fill in fields):
            return lambda scope: {name: fill(scope) if fill else value for name, value, fill in fields}
    elif isinstance(body, list):
        items = [(value, _fill(value, type_)) for value in body]
        if any(fill for _, fill in items):
            return lambda scope: [fill(scope) if fill else value for value, fill in items]
    return None


def _fill_text(body: str, type_: str) -> Fill:
    variables: list[Callable[[VisitorScope], str]] = []
    texts: list[str] = []
    at = 0
    for match, escape in zip(VARIABLE.finditer(body), _escapes(body, type_), strict=type_ != "json"):
        texts.append(body[at : match.start()])
        variables.append(_variable(match[1], match[2] or "", escape))
        at = match.end()
    parts = list(zip(texts, variables, strict=True))
    end = body[at:]
    return lambda scope: "".join([part for text, value in parts for part in (text, value(scope))]) + end


def _escapes(body: str, type_: str) -> Iterable[Escape | None]:
    """How the value of each variable is written; None: none may stand there."""
    if type_ == "json":
        return repeat(str)
    masked = mask(body)
    if type_ == "html":
        return [place.escape if isinstance(place, Placed) else None for place in places_of(masked, ANY_APP)]
    settled = is_settled(*split_at_variables(masked, 0, len(masked.text)), ANY_APP)
    return repeat(url_value if settled else None, len(masked.variables))


def _variable(name: str, otherwise: str, escape: Escape | None) -> Callable[[VisitorScope], str]:
    if escape is None:
        return lambda scope: otherwise
    first, *steps = name.split(".")

    def value_in(scope: VisitorScope) -> str:
        value = scope.value(first)
        for step in steps:
            value = value.get(step) if isinstance(value, Mapping) else None
        if isinstance(value, bool):
            return "true" if value else "false"
        if isinstance(value, float) and value.is_integer():
            value = int(value)
        return (escape(str(value)) if isinstance(value, str | int | float) else "") or otherwise

    return value_in

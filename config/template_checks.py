"""Template variables in bodies: which cannot be filled in, and what looks like one and is none."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Any

from config.catalog_errors import did_you_mean
from personalization.catalog.catalog import Catalog
from personalization.catalog.template import VARIABLE
from personalization.catalog.vocabulary import VISITOR, Variable
from personalization.catalog.walk import definitions

_START = re.compile(r"\{\{.{0,24}", re.DOTALL)
_USUAL_TRAITS = frozenset({"email", "first_name", "firstName", "last_name", "lastName", "name", "phone", "title"})


def template_mistakes(catalog: Catalog) -> Iterator[tuple[str, str]]:
    """(path, what is wrong) of every variable that nothing can ever stand in for."""
    for path, text in _texts(catalog):
        for match in VARIABLE.finditer(text):
            if mistake := _mistake(match[1], catalog):
                yield path, f"{match[0]} {mistake}"


def template_warnings(catalog: Catalog) -> Iterator[tuple[str, str]]:
    """(path, what is surprising) of everything that begins like a variable and is shown as it stands."""
    for path, text in _texts(catalog):
        rest = VARIABLE.sub("", text)
        if start := _START.search(rest):
            shown = start[0].split("\n")[0]
            closing = "is never closed by }}" if "}}" not in rest[start.start() :] else "is no template variable"
            yield (
                path,
                f"{shown!r} {closing} and is shown as it stands; write a variable as {{{{traits.first_name}}}} or "
                "{{traits.first_name|there}}",
            )


def _texts(catalog: Catalog) -> Iterator[tuple[str, str]]:
    for name, content in catalog.content.items():
        yield from _within(content.body, f"content.{name}.body")
        for tag, body in content.locales.items():
            yield from _within(body, f"content.{name}.locales.{tag}")


def _within(body: Any, path: str) -> Iterator[tuple[str, str]]:
    if isinstance(body, str):
        yield path, body
    elif isinstance(body, Mapping):
        for name, value in body.items():
            yield from _within(value, f"{path}.{name}")
    elif isinstance(body, list):
        for n, value in enumerate(body):
            yield from _within(value, f"{path}[{n}]")


def _mistake(name: str, catalog: Catalog) -> str | None:
    first, *steps = name.split(".")
    variable = VISITOR.get(first)
    if variable is None:
        hint = f"write traits.{name}" if first in _USUAL_TRAITS else did_you_mean(first, VISITOR)
        return f"names nothing that is known of visitors; {hint}"
    defined = definitions(catalog)
    if variable.kind == "map" and steps and first in defined and steps[0] not in defined[first][1]:
        noun, known = defined[first]
        return f"names no {noun}; {did_you_mean(steps[0], known)}"
    return _never_shown(variable, first, steps)


def _never_shown(variable: Variable, name: str, steps: list[str]) -> str | None:
    for step in steps:
        held = variable.entry(step)
        if held is None:
            hint = did_you_mean(step, variable.named) if variable.named else f"write {{{{{name}}}}}"
            return f"is always empty: {name} has no {step!r}; {hint}"
        variable, name = held, f"{name}.{step}"
    if variable.kind == "list":
        return f"is always empty: {name} is a list; say it in words, or show another content by a rule"
    if variable.kind == "map":
        example = next(iter(variable.named), "name")
        return f"is always empty: {name} holds several values; name one, such as {{{{{name}.{example}}}}}"
    return None

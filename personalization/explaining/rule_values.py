"""What a rule looks at, by name as it is written there, and what that is for one visitor."""

from __future__ import annotations

import functools
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from personalization.audience.tier_words import where_tier_begins
from personalization.audience.variables import VisitorScope
from personalization.audience.window_reading import read_window
from personalization.catalog.cel_tree import (
    Binary,
    Call,
    Field,
    Index,
    Literal,
    Name,
    Node,
    children,
    path_of,
    text_of,
)
from personalization.catalog.windows import COMPARISONS, FUNCTIONS, Window, read_windows
from personalization.explaining.value_words import in_words, length_in_words, moment_in_words


@dataclass(frozen=True, slots=True)
class Look:
    """Something that a rule looks at.

    Attributes
    ----------
    text
        As it is written: ``traits.plan``, ``count("Viewed", within="7d")``.
    path
        Of a variable, the names that lead to it.
    entry
        What is looked for in it, of ``"plan" in traits``.
    window
        The window instead of a variable.
    """

    text: str
    path: tuple[str, ...] = ()
    entry: str | None = None
    window: Window | None = None


@dataclass(frozen=True, slots=True)
class Seen:
    """What it is for a visitor.

    Attributes
    ----------
    value
        None: it is missing.
    words
        The same in a sentence, which begins with the name.
    """

    name: str
    value: Any
    words: str


@functools.lru_cache(maxsize=2048)
def looks_of(node: Node, variables: frozenset[str]) -> tuple[Look, ...]:
    """What an expression looks at, in its order, each thing once.

    Parameters
    ----------
    variables
        The names in it that are variables.
    """
    return tuple(dict.fromkeys(_looks(node, variables)))


def _looks(node: Node, variables: frozenset[str]) -> Iterator[Look]:
    match node:
        case Binary(operator, left, right) if operator in COMPARISONS and (_is_window(left) or _is_window(right)):
            yield from _windows(node, left if _is_window(left) else right)
        case Call() if _is_window(node):
            yield from _windows(node, node)
        case Binary("in", Literal(str(key), _, False), container) if _leads(container, variables):
            yield Look(text_of(container), path_of(container) or (), key)
        case Name() | Field() | Index() if _leads(node, variables):
            yield Look(text_of(node), path_of(node) or ())
        case _:
            for child in children(node):
                yield from _looks(child, variables)


def _windows(node: Node, call: Node) -> Iterator[Look]:
    for window in read_windows(node)[1]:
        yield Look(text_of(call), window=window)


def _is_window(node: Node) -> bool:
    return isinstance(node, Call) and node.target is None and node.function in FUNCTIONS


def _leads(node: Node, variables: frozenset[str]) -> bool:
    path = path_of(node)
    return path is not None and path[0] in variables


def see(look: Look, scope: VisitorScope) -> Seen:
    """What something is that a rule looks at."""
    if look.window is not None:
        return _see_window(look, look.window, scope)
    value = scope.value(look.path[0])
    for step in look.path[1:]:
        value = value.get(step) if isinstance(value, Mapping) else None
    name = look.text
    if look.entry is not None and (value is None or isinstance(value, Mapping)):
        name = f"{look.text}.{look.entry}" if look.entry.isidentifier() else f"{look.text}[{look.entry!r}]"
        value = None if value is None else value.get(look.entry)
    return Seen(name, value, f"{name} is {in_words(value)}{_threshold(look, scope, value)}")


def _threshold(look: Look, scope: VisitorScope, value: Any) -> str:
    """Where a tier for a share of all visitors begins, in brackets; empty for what is none."""
    if look.path[0] != "tiers" or len(look.path) != 2 or not isinstance(value, str):
        return ""
    score = scope.catalog.scores.by_name.get(look.path[1])
    return f" ({where_tier_begins(score, value)})" if score is not None and score.shares else ""


def _see_window(look: Look, window: Window, scope: VisitorScope) -> Seen:
    series = scope.catalog.series.get(window.series.id)
    if scope.state is None or series is None:
        return Seen(look.text, None, f"{look.text} is missing")
    reading = read_window(window, series, scope.state, scope.now_ms)
    if look.text.startswith("never("):
        return Seen(look.text, reading.holds, f"{look.text} is {_told(reading.holds)}")
    if reading.value is None:
        return Seen(look.text, None, f"{look.text} is missing: it never happened, as far as is known")
    if window.kind in ("since", "last"):
        value = (length_in_words if window.kind == "since" else moment_in_words)(reading.value)
        return Seen(look.text, value, f"{look.text} is {value}")
    least = " or more" if reading.at_least else ""
    return Seen(look.text, reading.value, f"{look.text} is {in_words(reading.value)}{least}")


def _told(holds: bool | None) -> str:
    return "not known: not all of the visitor's past was seen" if holds is None else in_words(holds)

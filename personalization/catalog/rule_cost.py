"""What a rule may cost, told from its text: macros within macros multiply, and ``map`` and ``filter`` square.

Lists are as long as the door lets them be. The figures are measured (CEL is given a variable anew wherever it is
named, also in each turn of a macro): they tell milliseconds from seconds, not one millisecond from two.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from personalization.catalog.cel_tree import (
    MACROS,
    Binary,
    Call,
    Field,
    Index,
    ListOf,
    MapOf,
    Name,
    Node,
    children,
)

BUDGET_US = 150_000.0
"""A ``filter`` of a list that fills a whole context takes a third of it, and a ``map`` of that another."""

_NODE_US = 0.1
_ENTRY_US = 0.7
"""Of a list or map that is given to CEL, an entry."""
_COPIED_US = 0.05
"""``map`` and ``filter`` copy what they have made so far for each entry."""

_SIZES: Mapping[str, int] = {"context": 1_000, "properties": 250, "traits": 250}
_OTHERS = 64
"""Entries of what is kept of a visitor (``docs/limits.md``)."""
_SECOND = 250
"""Of two lists that share the values of one request, the one with the other's thousand: 500 times 500 at most."""


@dataclass(frozen=True, slots=True)
class _Within:
    """What a part of a rule stands in.

    Attributes
    ----------
    bound
        Names that macros around it bind.
    walked
        Names whose lists these macros go through.
    """

    bound: frozenset[str] = frozenset()
    walked: frozenset[str] = frozenset()


def cost_us(tree: Node) -> float:
    """How long a rule may take, in microseconds.

    >>> from personalization.catalog.cel_parser import parse
    >>> [cost_us(parse(text)) < 5_000 for text in ("n_orders > 2", "context.tags.exists(t, t == 'sale')")]
    [True, True]
    >>> cost_us(parse("context.a.exists(x, context.b.exists(y, x == y))")) > BUDGET_US
    True
    """
    return _cost(tree, _Within())


def _cost(node: Node, within: _Within) -> float:
    match node:
        case Call(target, function, arguments) if target is not None and function in MACROS and len(arguments) > 1:
            return _macro(target, function, arguments, within)
        case Binary("in", left, right):
            return _NODE_US + _cost(left, within) + _given(right, within)
        case Call(None, "size", (argument,)):
            return _NODE_US + _given(argument, within)
        case Index(target, key):
            return _NODE_US + _given(target, within) + _cost(key, within)
    return _NODE_US + sum(_cost(child, within) for child in children(node))


def _macro(target: Node, function: str, arguments: tuple[Node, ...], within: _Within) -> float:
    n_entries = _length(target, within)
    bound, *bodies = arguments
    inner = within
    for root in _roots(target):
        inner = _Within(inner.bound, inner.walked | {root})
    if isinstance(bound, Name):
        inner = _Within(inner.bound | {bound.name}, inner.walked - {bound.name})
    each = _NODE_US + sum(_cost(body, inner) for body in bodies)
    copied = n_entries * n_entries * _COPIED_US if function in ("map", "filter") else 0.0
    return _given(target, within) + n_entries * each + copied


def _given(node: Node, within: _Within) -> float:
    """The cost of a list or map that is looked at as a whole."""
    if isinstance(node, Call | ListOf | MapOf):
        return _cost(node, within)
    return _NODE_US + _length(node, within) * _ENTRY_US


def _length(node: Node, within: _Within) -> int:
    """How many entries it may have; in a name that a macro binds, of all turns of the macro together: one each."""
    match node:
        case ListOf(items):
            return len(items)
        case MapOf(entries):
            return len(entries)
        case Call(target, "map" | "filter", _) if target is not None:
            return _length(target, within)
    return max((_size(root, within) for root in _roots(node)), default=1)


def _size(root: str, within: _Within) -> int:
    if root in within.walked:
        return min(_SECOND, _SIZES.get(root, _SECOND if root in within.bound else _OTHERS))
    return 1 if root in within.bound else _SIZES.get(root, _OTHERS)


def _roots(node: Node) -> Iterator[str]:
    """The variables, or bound names, that a list comes from."""
    match node:
        case Name(name):
            yield name
        case Field(target, _) | Index(target, _):
            yield from _roots(target)
        case Call(target, _, _) if target is not None:
            yield from _roots(target)
        case ListOf() | MapOf():
            return
        case _:
            for child in children(node):
                yield from _roots(child)

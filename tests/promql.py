"""Queries of rules and dashboards, as a parser reads them."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import promql_parser


def named(expression: str) -> set[str]:
    """The series an expression reads; raises ``ValueError`` where it is none."""
    return set(_selected(promql_parser.parse(expression)))


def _selected(node: Any) -> Iterator[str]:
    if isinstance(node, promql_parser.VectorSelector):
        assert node.name is not None
        yield node.name
    for child in ("expr", "lhs", "rhs", "vector_selector", "param"):
        if getattr(node, child, None) is not None:
            yield from _selected(getattr(node, child))
    for argument in getattr(node, "args", None) or ():
        yield from _selected(argument)

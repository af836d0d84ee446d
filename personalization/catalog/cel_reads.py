"""Which parts of its variables an expression looks at. CEL copies each variable whole, every time it is named."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from personalization.catalog.cel_tree import (
    Binary,
    Field,
    Index,
    Literal,
    Name,
    Node,
    children,
    path_of,
)


@dataclass(slots=True)
class Reads:
    """What is looked at of a value.

    Attributes
    ----------
    whole
        All of it.
    searched
        Whether something is looked for in it: in a list that takes all of it.
    entries
        What is looked at of each entry that is named, where it is a map.
    """

    whole: bool = False
    searched: bool = False
    entries: dict[str, Reads] = field(default_factory=dict)


def reads_of(node: Node) -> dict[str, Reads]:
    """The variables of which an expression looks at named entries alone.

    >>> from personalization.catalog.cel_parser import parse
    >>> found = reads_of(parse("context.page.path == '/' && 'vip' in traits && size(counts) > 1"))
    >>> sorted(found), list(found["context"].entries["page"].entries), list(found["traits"].entries)
    (['context', 'traits'], ['path'], ['vip'])
    """
    reads: dict[str, Reads] = {}
    pending = [node]
    while pending:
        each = pending.pop()
        match each:
            case Binary("in", Literal(str(key), text, False), container) if (
                path := _path(container)
            ) is not None and not _has_escapes(text):
                found = _entry(reads, path)
                found.searched = True
                found.entries.setdefault(key, Reads(whole=True))
            case Name() | Field() | Index() if (path := _path(each)) is not None:
                _entry(reads, path).whole = True
            case _:
                pending.extend(children(each))
    return {name: found for name, found in reads.items() if not found.whole}


def _path(node: Node) -> tuple[str, ...] | None:
    """As ``path_of``; None too where CEL may read a name in it otherwise than we do."""
    inside: Node = node
    while isinstance(inside, Field | Index):
        if isinstance(inside, Index) and isinstance(inside.key, Literal) and _has_escapes(inside.key.text):
            return None
        inside = inside.target
    return path_of(node)


def _has_escapes(text: str) -> bool:
    return "\\" in text or "\r" in text


def _entry(reads: dict[str, Reads], path: tuple[str, ...]) -> Reads:
    found = reads.setdefault(path[0], Reads())
    for step in path[1:]:
        found = found.entries.setdefault(step, Reads())
    return found


def pruned(value: Any, reads: Reads) -> Any:
    """The value with nothing in it but what is looked at, so that every look finds the same.

    >>> from personalization.catalog.cel_parser import parse
    >>> reads = reads_of(parse("context.page.path == '/'"))["context"]
    >>> pruned({"page": {"path": "/x", "title": "X"}, "locale": "de"}, reads)
    {'page': {'path': '/x'}}
    """
    if reads.whole:
        return value
    kind = type(value)
    if kind is dict:
        return {
            name: value[name] if inside.whole else pruned(value[name], inside)
            for name, inside in reads.entries.items()
            if name in value
        }
    if kind is list and not reads.searched:
        return []  # it has no names
    return value

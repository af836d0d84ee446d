"""What a new version of the catalog changes, in a few lines a person reads in the history."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import msgspec

from personalization.catalog.catalog import Catalog

MAX_LINES = 20


def catalog_diff(old: Catalog | None, new: Catalog) -> list[str]:
    """Lines such as ``content.hero-sale: cap, ends`` or ``+ placements.app.banner``; at most 20.

    >>> from personalization.catalog.catalog import Content
    >>> catalog_diff(Catalog(placements={}, content={}), Catalog(placements={}, content={"a": Content()}))
    ['+ content.a']
    """
    if old is None:
        return [f"first version: {len(new.placements)} placements, {len(new.content)} contents"]
    lines = list(_changes(old, new))
    if len(lines) > MAX_LINES:
        lines[MAX_LINES - 1 :] = [f"… and {len(lines) - MAX_LINES + 1} more"]
    return lines or ["the same contents in another order"]


def _changes(old: Catalog, new: Catalog) -> Iterator[str]:
    for field in old.__struct_fields__:
        before, after = getattr(old, field), getattr(new, field)
        if before == after:
            continue
        if not isinstance(before, dict):
            yield f"{field.removesuffix('_ms')}: {_short(before)} → {_short(after)}"
            continue
        for name in sorted(before.keys() - after.keys()):
            yield f"- {field}.{name}"
        for name in sorted(after.keys() - before.keys()):
            yield f"+ {field}.{name}"
        for name in sorted(before.keys() & after.keys()):
            if before[name] != after[name]:
                yield f"{field}.{name}{_fields(before[name], after[name])}"


def _fields(before: Any, after: Any) -> str:
    if not isinstance(before, msgspec.Struct):
        return ""
    changed = [name for name in before.__struct_fields__ if getattr(before, name) != getattr(after, name)]
    return ": " + ", ".join(name.removesuffix("_ms") for name in changed)


def _short(value: Any) -> str:
    text = ", ".join(value) if isinstance(value, tuple) else str(value)
    return text if len(text) <= 60 else text[:59] + "…"

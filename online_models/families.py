"""Families of names: the keys of one map (``affinities.x``, ``affinities.y`` …), of which what is absent is 0."""

from __future__ import annotations

from collections.abc import Container, Mapping
from typing import Any, TypeAlias

FAMILY = 3
"""So many numeric names with one prefix up to their last dot are the keys of a map: a missing key is a zero."""

Families: TypeAlias = dict[str, list[Any]]
"""Prefix → numeric names that have it, in the order they came. Replaced when it changes, never written to."""


def is_sparse(families: Families, text: str) -> bool:
    """Whether a name is one of a map's keys.

    >>> is_sparse({"affinities": ["affinities.a", "affinities.b", "affinities.c"]}, "affinities.new")
    True
    """
    return len(families.get(text.rpartition(".")[0], ())) >= FAMILY


def joined(families: Families, text: str, name: Any, bound: int) -> tuple[Families, list[Any]]:
    """What they become with one more name, at most ``bound`` a family; and who is found to be a key of a map."""
    family = text.rpartition(".")[0]
    members = families.get(family, [])
    if not family or len(members) >= bound or name in members:
        return families, []
    members = [*members, name]
    return {**families, family: members}, members if len(members) == FAMILY else []


def of(families: Families, names: Container[Any]) -> Families:
    """What they become when only these names are left."""
    left = {family: [name for name in members if name in names] for family, members in families.items()}
    return {family: members for family, members in left.items() if members}


def copied(families: Mapping[str, list[Any]]) -> Families:
    """Copy the families as plain lists."""
    return {family: list(names) for family, names in families.items()}

"""What may stand at a place of an object where something else stands: for the error that says so."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

from msgspec.inspect import (
    CollectionType,
    DictType,
    LiteralType,
    Metadata,
    StructType,
    Type,
    UnionType,
    type_info,
)

_STEP = re.compile(r"\.(\w+)|\[(\d+|\.\.\.)\]")


def values_at(wire: type[Any], path: str) -> list[str]:
    """The values that are taken at ``path`` of such an object, where it is one of a few; else none.

    >>> from api.reading.wire import WireEvent
    >>> values_at(WireEvent, ".type")
    ['alias', 'group', 'identify', 'page', 'screen', 'track']
    """
    return [
        str(value)
        for each in _types_at(type_info(wire), path)
        if isinstance(each, LiteralType)
        for value in each.values
        if value is not None
    ]


def names_at(wire: type[Any], path: str) -> list[str]:
    """The fields that the object at ``path`` may have; none where it is none of ours.

    >>> from api.reading.wire import WireEvent
    >>> names_at(WireEvent, "")[:3], names_at(WireEvent, ".properties")
    (['type', 'messageId', 'anonymousId'], [])
    """
    return [
        field.encode_name
        for each in _types_at(type_info(wire), path)
        if isinstance(each, StructType)
        for field in each.fields
    ]


def _types_at(type_: Type, path: str) -> Iterator[Type]:
    """The types that may stand at ``path``, those that a union offers one by one."""
    found = list(_each(type_))
    for match in _STEP.finditer(path):
        found = [inner for each in found for inner in _inside(each, match[1])]
    yield from found


def _each(type_: Type) -> Iterator[Type]:
    if isinstance(type_, Metadata):
        yield from _each(type_.type)
    elif isinstance(type_, UnionType):
        for each in type_.types:
            yield from _each(each)
    else:
        yield type_


def _inside(type_: Type, name: str | None) -> Iterator[Type]:
    """What stands in a value under ``name``; None: in a place of a list, or under any name of a map."""
    if isinstance(type_, StructType) and name is not None:
        for field in type_.fields:
            if field.encode_name == name:
                yield from _each(field.type)
    elif isinstance(type_, CollectionType) and name is None:
        yield from _each(type_.item_type)
    elif isinstance(type_, DictType) and name is None:
        yield from _each(type_.value_type)

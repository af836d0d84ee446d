"""JSON of any shape that callers hand us to keep or to give back: what of it nobody could write again."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import msgspec

from personalization.errors import InvalidInput

MAX_DEPTH = 32
"""Deeper is no content of anybody's, and every later reader recurses."""

_MIN_INT, _MAX_INT = -(2**63), 2**64 - 1


def check_free_json(value: Any, field: str) -> None:
    """Refuse what could be read but not written: whole numbers beyond 64 bits, half characters, too much depth.

    Raises
    ------
    InvalidInput
        Names where in ``field`` it stands.

    >>> check_free_json({"a": [1, 2**64]}, "body")
    Traceback (most recent call last):
    personalization.errors.InvalidInput: body.a[1]: is a whole number beyond 64 bits; send it as text
    """
    try:
        _encoder.encode(value)  # refuses the first two, a hundred times as fast as we find them
    except (OverflowError, UnicodeEncodeError, RecursionError):
        _find(value, field)
    else:
        if _is_too_deep(value):
            _find(value, field)


def _is_too_deep(value: Any) -> bool:
    level = [value] if isinstance(value, dict | list) else []
    for _ in range(MAX_DEPTH):
        if not level:
            return False
        inside = [each.values() if isinstance(each, dict) else each for each in level]
        level = [each for members in inside for each in members if isinstance(each, dict | list)]
    return bool(level)


def _find(value: Any, field: str) -> None:
    """Name it, where it is."""
    left: list[tuple[Any, str, int]] = [(value, field, 0)]
    while left:
        each, where, depth = left.pop()
        if isinstance(each, str):
            _check_text(each, where)
        elif isinstance(each, int):
            if not _MIN_INT <= each <= _MAX_INT:
                raise InvalidInput(where, "is a whole number beyond 64 bits; send it as text", "bad_number")
        elif isinstance(each, dict | list):
            if depth >= MAX_DEPTH:
                raise InvalidInput(field, f"is nested deeper than {MAX_DEPTH}", "too_deep")
            left += [(member, at, depth + 1) for member, at in _members(each, where)]


_encoder = msgspec.msgpack.Encoder()


def _members(value: dict[str, Any] | list[Any], where: str) -> Iterator[tuple[Any, str]]:
    if isinstance(value, list):
        for index, member in enumerate(value):
            yield member, f"{where}[{index}]"
        return
    for name, member in value.items():
        _check_text(name, where)
        yield member, f"{where}.{name[:64]}"


def _check_text(text: str, where: str) -> None:
    if not text.isascii() and any("\ud800" <= letter <= "\udfff" for letter in text):
        raise InvalidInput(where, "holds a lone surrogate, which is no character", "bad_text")

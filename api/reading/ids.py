"""Ids as callers send them: text or whole numbers, bounded, and none that are nobody's."""

from __future__ import annotations

import logging
from typing import Annotated, TypeAlias

from prometheus_client import Counter

from api.reading.json_schema import described
from personalization.errors import InvalidInput
from personalization.visitor.visitor_key import MAX_ID_BYTES

logger = logging.getLogger(__name__)

WireId: TypeAlias = Annotated[
    str | int | float | bool | None,
    described({"type": ["string", "integer", "null"], "maxLength": MAX_ID_BYTES}),
]
"""What may stand in JSON where an id belongs; which of it is one, ``check_id`` says."""

LOG_EVERY_MS = 3_600_000
_TOO_LARGE = 10**MAX_ID_BYTES


def is_given(value: WireId) -> bool:
    """Whether something was sent; empty text counts as nothing."""
    return value is not None and value != ""


def check_id(value: WireId, field: str) -> str | None:
    """An id as sent; empty counts as none, and a whole number is its digits.

    >>> check_id(7, "userId"), check_id(2**64, "userId"), check_id("", "userId")
    ('7', '18446744073709551616', None)

    Raises
    ------
    InvalidInput
        Where it is no id, too long or holds what no key may hold.
    """
    if value is None or value == "":
        return None
    if type(value) is not str:
        return _digits(value, field)
    if not value.isascii() or not value.isprintable():
        if "\x00" in value:
            raise InvalidInput(field, "holds a NUL character; remove it", "bad_text")
        if any("\ud800" <= letter <= "\udfff" for letter in value):
            raise InvalidInput(field, "holds a lone surrogate, which is no character", "bad_text")
        if len(value.encode()) <= MAX_ID_BYTES:
            return value
    elif len(value) <= MAX_ID_BYTES:
        return value
    raise _too_long(field)


def _digits(value: WireId, field: str) -> str:
    if isinstance(value, bool):
        raise InvalidInput(field, f"is {str(value).lower()}, which is no id; send the id as text", "bad_id")
    if isinstance(value, int):
        if abs(value) >= _TOO_LARGE:
            raise _too_long(field)
        return str(value)
    raise InvalidInput(field, "is no whole number; an id is text or a whole number: send it as text", "bad_id")


def _too_long(field: str) -> InvalidInput:
    return InvalidInput(
        field, f"is longer than {MAX_ID_BYTES} bytes; send a shorter id, or a hash of it", "too_long"
    )


class DegenerateIds:
    """Counts the ids that were none, by source, and tells the log of them once per source and hour."""

    def __init__(self, counter: Counter) -> None:
        self._counter = counter
        self._told_ms: dict[str, int] = {}

    def note(self, source: str, field: str, now_ms: int) -> None:
        """A request of ``source`` had one in ``field``."""
        self._counter.labels(source).inc()
        told_ms = self._told_ms.get(source)
        if told_ms is None or not 0 <= now_ms - told_ms < LOG_EVERY_MS:
            self._told_ms[source] = now_ms
            logger.warning("degenerate_id", extra={"source": source, "field": field})

"""What callers pass, as JSON."""

from __future__ import annotations

import json
from collections.abc import Mapping, Set
from datetime import date, datetime
from decimal import Decimal
from typing import Any
from uuid import UUID


def encoded(value: Any) -> bytes:
    """JSON in UTF-8; half of a surrogate pair, which is no character, becomes ``?``.

    Dates become ISO 8601 (without a time zone of their own they have that of the machine), ``Decimal`` a number,
    ``UUID`` text, sets lists.

    >>> encoded({"at": date(2026, 1, 31), "price": Decimal("7.5"), "name": "\\ud800"})
    b'{"at":"2026-01-31","price":7.5,"name":"?"}'

    Raises
    ------
    TypeError, ValueError
        What cannot be JSON: other objects, NaN, circles.
    """
    try:
        text = json.dumps(value, separators=(",", ":"), allow_nan=False, ensure_ascii=False, default=_plain)
    except RecursionError:
        raise ValueError("this is nested too deep for JSON") from None
    return text.encode("utf-8", "replace")


def _plain(value: Any) -> Any:
    if isinstance(value, datetime):
        return (value if value.tzinfo else value.astimezone()).isoformat()
    if isinstance(value, date):
        return value.isoformat()
    if isinstance(value, Decimal):
        return float(value)
    if isinstance(value, UUID):
        return str(value)
    if isinstance(value, Set):
        return list(value)
    if isinstance(value, Mapping):
        return dict(value)
    raise TypeError(f"{type(value).__name__} is none of what JSON holds; pass text, numbers, lists or objects")

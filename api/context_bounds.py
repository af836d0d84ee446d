"""How much context a decision takes: rules, features and templates look at it, and CEL copies what they look at."""

from __future__ import annotations

from typing import Any

import msgspec
import orjson

from personalization.errors import InvalidInput

MAX_BYTES = 32 * 1024
"""As compact JSON; of one event the same."""

MAX_VALUES = 1_000
"""Texts, numbers, lists, maps and so on, however deep they stand. What analytics libraries send has about 40."""

_NEVER_TOO_MANY_BYTES = 2 * MAX_VALUES
"""Each value takes two bytes of JSON at least: itself, and what parts it from the next."""


def bounded_context(context: dict[str, Any]) -> dict[str, Any]:
    """The context, unless it is too much; half a microsecond for an ordinary one.

    Raises
    ------
    InvalidInput
        Names ``context``, and says which bound it is beyond.

    >>> bounded_context({"page": {"path": "/x"}})
    {'page': {'path': '/x'}}
    >>> bounded_context({"a": [{}] * 1000})
    Traceback (most recent call last):
    ...
    personalization.errors.InvalidInput: context: has more than 1000 values; send what rules and models look at
    """
    text = _encoded(context)
    if len(text) <= _NEVER_TOO_MANY_BYTES:
        return context
    if len(text) > MAX_BYTES:
        message = f"has {len(text)} bytes of JSON, at most {MAX_BYTES}; send what rules and models look at"
        raise InvalidInput("context", message, "too_large")
    # Each value is the first of what it stands in, or follows a comma. Commas in texts make it a suspicion.
    at_most = text.count(b",") + text.count(b"{") + text.count(b"[")
    if at_most > MAX_VALUES and _has_too_many(context):
        message = f"has more than {MAX_VALUES} values; send what rules and models look at"
        raise InvalidInput("context", message, "too_large")
    return context


def _encoded(context: dict[str, Any]) -> bytes:
    try:
        return orjson.dumps(context)
    except orjson.JSONEncodeError:  # a whole number of more than 64 bits
        return msgspec.json.encode(context)


def _has_too_many(context: dict[str, Any]) -> bool:
    n_values = 0
    pending: list[Any] = [context]
    while pending:
        container = pending.pop()
        inside = container.values() if isinstance(container, dict) else container
        n_values += len(container)
        if n_values > MAX_VALUES:
            return True
        pending.extend([value for value in inside if isinstance(value, dict | list)])
    return False

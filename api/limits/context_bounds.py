"""How much contexts and events hold: rules, features and templates look at it, and CEL copies what they look at."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import msgspec
import orjson

from api.reading.notice import Notice
from api.reading.wire import WireEvent
from personalization.errors import InvalidInput

MAX_BYTES = 32 * 1024
"""As compact JSON; of one event the same."""

MAX_VALUES = 1_000
"""Texts, numbers, lists, maps and so on, however deep they stand. What analytics libraries send has about 40."""

_NEVER_TOO_MANY_BYTES = 2 * MAX_VALUES
"""Each value takes two bytes of JSON at least: itself, and what parts it from the next."""


MAX_EVENT_VALUES = 4_000
"""Of one event: 250 products of fifteen fields. Each costs the folder 2 µs for each rule that looks at it."""


def check_event(wire: WireEvent, text: bytes, field: str) -> None:
    """Refuse an event of more values than anybody's has; a microsecond for one of 5 KB or less.

    Raises
    ------
    InvalidInput
        Names what below ``field`` holds most of them.
    """
    if len(text) <= 2 * MAX_EVENT_VALUES:
        return
    if text.count(b",") + text.count(b"{") + text.count(b"[") <= MAX_EVENT_VALUES:
        return
    counts = {name: _n_values(getattr(wire, name), MAX_EVENT_VALUES) for name in _FREE}
    if sum(counts.values()) <= MAX_EVENT_VALUES:
        return
    most = max(counts, key=counts.__getitem__)
    message = (
        f"has more than {MAX_EVENT_VALUES} values, lists and what is in them counted; leave out what no rule looks "
        "at, or send the products of a large order in several events"
    )
    raise InvalidInput(f"{field}.{most}" if field else most, message, "too_large")


MAX_ENTRIES = 250
"""Of one list in an event: what CEL's ``map`` and ``filter`` make of a list takes time by its length squared."""


def cut_lists(wire: WireEvent, text: bytes, field: str) -> list[Notice]:
    """Cut lists that are longer than rules can look at, in place; tells of each.

    They are cut, not refused: an order of 300 products is an order, and its revenue stands beside them.
    """
    if text.count(b",") < MAX_ENTRIES:
        return []
    notices = []
    pending = [(f"{field}.{name}" if field else name, getattr(wire, name)) for name in _FREE]
    while pending:
        where, container = pending.pop()
        if isinstance(container, list) and len(container) > MAX_ENTRIES:
            message = (
                f"has {len(container)} entries: the first {MAX_ENTRIES} were taken; send others in another event"
            )
            notices.append(Notice(where, "list_cut", message))
            del container[MAX_ENTRIES:]
        if isinstance(container, dict):
            inside: Iterable[tuple[str, Any]] = ((f".{name[:64]}", each) for name, each in container.items())
        else:
            inside = ((f"[{index}]", each) for index, each in enumerate(container or ()))
        pending.extend([(where + at, each) for at, each in inside if isinstance(each, dict | list)])
    return notices


_FREE = ("properties", "traits", "context")


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
    if at_most > MAX_VALUES and _n_values(context, MAX_VALUES) > MAX_VALUES:
        message = f"has more than {MAX_VALUES} values; send what rules and models look at"
        raise InvalidInput("context", message, "too_large")
    return context


def _encoded(context: dict[str, Any]) -> bytes:
    try:
        return orjson.dumps(context)
    except orjson.JSONEncodeError:  # a whole number of more than 64 bits
        return msgspec.json.encode(context)


def _n_values(container: dict[str, Any] | None, at_most: int) -> int:
    """How many values stand in it, however deep; some number beyond ``at_most`` where there are more."""
    n_values = 0
    pending: list[Any] = [container] if container else []
    while pending and n_values <= at_most:
        each = pending.pop()
        inside = each.values() if isinstance(each, dict) else each
        n_values += len(each)
        pending.extend([value for value in inside if isinstance(value, dict | list)])
    return n_values

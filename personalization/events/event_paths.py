"""Dotted paths into what a caller sent."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from personalization.events.event import ClientEvent, event_name


def sent_variable(event: ClientEvent, name: str) -> Any:
    """One of ``vocabulary.SENT_VARIABLES``, None for any other."""
    if name == "event":
        return event_name(event)
    if name == "type":
        return event.__struct_config__.tag
    if name in ("properties", "traits", "context"):
        return getattr(event, name, {})
    return None


def at_sent_path(event: ClientEvent, path: tuple[str, ...]) -> Any:
    """The value at a dotted path into what was sent, None where there is none."""
    value = getattr(event, "properties", None) if path[0] == "properties" else sent_variable(event, path[0])
    for step in path[1:]:  # as `within`: most paths have two steps, and a call costs as much as they do
        if not isinstance(value, dict):
            return None
        value = value.get(step)
    return value


def within(value: Any, path: Sequence[str]) -> Any:
    """The value at ``path`` within another, None where there is none."""
    for step in path:
        if not isinstance(value, dict):
            return None
        value = value.get(step)
    return value

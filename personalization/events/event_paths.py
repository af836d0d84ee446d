"""Dotted paths into what a caller sent."""

from __future__ import annotations

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
    return within(sent_variable(event, path[0]), path, 1)


def within(value: Any, path: tuple[str, ...], start: int = 0) -> Any:
    """The value at the steps of ``path`` from ``start`` on, None where there is none."""
    for step in path[start:]:
        if not isinstance(value, dict):
            return None
        value = value.get(step)
    return value

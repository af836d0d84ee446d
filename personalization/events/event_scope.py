"""What rules about events may look at: the event itself, and nothing of the visitor."""

from __future__ import annotations

from typing import Any

from personalization.catalog.rules import Scope
from personalization.events.event import ClientEvent, event_name


def event_scope(event: ClientEvent) -> Scope:
    """The CEL scope of one client event."""
    return Scope(lambda name: event_variable(event, name))


def event_variable(event: ClientEvent, name: str) -> Any:
    """One of ``rules.EVENT_VARIABLES``."""
    if name == "event":
        return event_name(event)
    if name == "type":
        return event.__struct_config__.tag
    if name in ("properties", "traits", "context"):
        return getattr(event, name, {})
    return None


def at_path(event: ClientEvent, path: tuple[str, ...]) -> Any:
    """The value at a dotted path into the event, None where there is none."""
    value = event_variable(event, path[0])
    for step in path[1:]:
        if not isinstance(value, dict):
            return None
        value = value.get(step)
    return value

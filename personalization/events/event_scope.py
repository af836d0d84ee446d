"""What rules about events may look at: the event itself, and nothing of the visitor."""

from __future__ import annotations

from typing import Any

from personalization.catalog.compiled_catalog import CompiledCatalog
from personalization.catalog.rules import Scope
from personalization.catalog.vocabulary import FIELDS
from personalization.events.event import ClientEvent
from personalization.events.event_content import content_feature, content_of
from personalization.events.event_fields import field_value
from personalization.events.event_paths import at_sent_path, sent_variable

_FOUND = frozenset({"content", "fields"})


def event_scope(event: ClientEvent, catalog: CompiledCatalog) -> Scope:
    """The CEL scope of one client event; what has to be looked for in it is found once for all rules."""
    found: dict[str, Any] = {}

    def resolve(name: str) -> Any:
        if name not in _FOUND:
            return sent_variable(event, name)
        if name not in found:
            found[name] = event_variable(event, name, catalog)
        return found[name]

    return Scope(resolve)


def event_variable(event: ClientEvent, name: str, catalog: CompiledCatalog) -> Any:
    """One of ``rules.EVENT_VARIABLES``."""
    if name == "content":
        return content_of(event, catalog)
    if name == "fields":
        values = ((each, field_value(event, catalog.events, each)) for each in FIELDS)
        return {each: value for each, value in values if value is not None}
    return sent_variable(event, name)


def at_path(event: ClientEvent, path: tuple[str, ...], catalog: CompiledCatalog) -> Any:
    """The value at a dotted path into the event, None where there is none."""
    first = path[0]
    if first == "content":
        return content_feature(event, path[1:], catalog)
    if first == "fields":
        return field_value(event, catalog.events, path[1]) if len(path) == 2 else None
    return at_sent_path(event, path)

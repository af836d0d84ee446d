"""The content that an event names: one of the catalog's, or an item as it was when the event came."""

from __future__ import annotations

from typing import Any

from personalization.catalog.compiled_catalog import CompiledCatalog
from personalization.events.event import ClientEvent
from personalization.events.event_fields import field_value
from personalization.events.event_paths import sent_variable

_NAMED_BY = ("contentId", "content_id")


def content_id_of(event: ClientEvent, catalog: CompiledCatalog) -> str | None:
    """The id of the content or item that the event names; None: it names none, or several."""
    properties = sent_variable(event, "properties")
    if isinstance(properties, dict):
        for name in _NAMED_BY:
            if isinstance(named := properties.get(name), str):
                return named
    found = field_value(event, catalog.events, "id")
    if isinstance(found, list) and len(found) == 1:
        found = found[0]
    return found if isinstance(found, str) else None


def content_of(event: ClientEvent, catalog: CompiledCatalog) -> dict[str, Any] | None:
    """``id`` and ``features`` of the content that the event names; None where nothing is known of it."""
    named = content_id_of(event, catalog)
    if named is None:
        return None
    arm = catalog.arms.get(named)
    features = event.item if arm is None else arm.content.features
    if features is None:
        return None
    as_json = {name: list(value) if isinstance(value, tuple) else value for name, value in features.items()}
    return {"id": named, "features": as_json}

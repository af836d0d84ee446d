"""The contents that an event names: those of the catalog, and items as they were when the event came."""

from __future__ import annotations

from typing import Any

from personalization.catalog.compiled_catalog import CompiledCatalog
from personalization.events.event import ClientEvent
from personalization.events.event_fields import field_value, read_id
from personalization.events.event_paths import sent_variable, within

_NAMED_BY = ("contentId", "content_id")

MAX_CONTENTS = 32
"""Of one event: an affinity has as many keys."""


def content_ids_of(event: ClientEvent, catalog: CompiledCatalog) -> list[str]:
    """The ids of the contents and items that the event names, the first 32."""
    properties = sent_variable(event, "properties")
    if isinstance(properties, dict):
        for name in _NAMED_BY:
            if (named := properties.get(name)) is not None and (content := _id(named)):
                return [content]
    found = field_value(event, catalog.events, "id")
    listed = found[:MAX_CONTENTS] if isinstance(found, list) else [found]
    return [each for each in listed if isinstance(each, str) and each]


def _id(value: Any) -> str | None:
    return value if isinstance(value, str) else read_id(value)


def content_feature(event: ClientEvent, path: tuple[str, ...], catalog: CompiledCatalog) -> Any:
    """What stands at a path into the content that the event names; of several the texts of each, one by one."""
    named = content_ids_of(event, catalog)
    if len(named) < 2:
        return within(content_of(event, catalog), path)
    if len(path) != 2 or path[0] != "features":
        return None
    found: list[str] = []
    for content in named:
        arm = catalog.arms.get(content)
        if arm is not None:
            found += texts_of(arm.content.features.get(path[1]))
    if event.item is not None:
        found += texts_of(event.item.get(path[1]))
    return found or None


def texts_of(value: Any) -> tuple[str, ...]:
    """The texts of a feature: one, those of a list, or none."""
    if isinstance(value, str):
        return (value,)
    return value if isinstance(value, tuple) else ()


def content_of(event: ClientEvent, catalog: CompiledCatalog) -> dict[str, Any] | None:
    """``id`` and ``features`` of the one content that the event names; None where it names none, or several."""
    ids = content_ids_of(event, catalog)
    if len(ids) != 1:
        return None
    (named,) = ids
    arm = catalog.arms.get(named)
    features = event.item if arm is None else arm.content.features
    if features is None:
        return None
    as_json = {name: list(value) if isinstance(value, tuple) else value for name, value in features.items()}
    return {"id": named, "features": as_json}

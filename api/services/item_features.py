"""What is known of the item that an event names, put into the event: the fold knows the catalog alone."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import TypeAlias, TypeVar

from msgspec import structs

from personalization.catalog.compiled_catalog import CompiledCatalog
from personalization.catalog.content_features import ALL
from personalization.catalog.item import Item
from personalization.events.event import ClientEvent
from personalization.events.event_content import content_ids_of, texts_of
from personalization.features import MAX_CATEGORY_CHARS, Attribute

E = TypeVar("E", bound=ClientEvent)

ItemOf: TypeAlias = Callable[[str], Item | None]
"""Gives the item of an id, None where there is none."""

MAX_FEATURES = 16
MAX_TEXTS = 32
"""Of a list: an affinity has as many keys."""


def no_item(item_id: str) -> Item | None:
    """Where nobody knows any."""
    return None


def with_item(event: E, catalog: CompiledCatalog, item_of: ItemOf) -> E:
    """The event, with those features of the items it names that the catalog looks at in events.

    At most 16 features, of lists the first 32 texts, of texts the first 64 characters; of several items the texts
    of each, one behind the other. Costs nothing under a catalog that looks at none.
    """
    looked_at = catalog.content_features
    if not looked_at:
        return event
    named = content_ids_of(event, catalog)
    items = [item for each in named if each not in catalog.arms and (item := item_of(each)) is not None]
    if not items:
        return event
    features = items[0].content.features if len(named) == 1 else _texts_of_all(items)
    names = features if ALL in looked_at else [name for name in sorted(looked_at) if name in features]
    return structs.replace(event, item={name: _bounded(features[name]) for name in list(names)[:MAX_FEATURES]})


def _texts_of_all(items: Iterable[Item]) -> Mapping[str, Attribute]:
    found: dict[str, Attribute] = {}
    for item in items:
        for name, value in item.content.features.items():
            if texts := texts_of(value):
                found[name] = (*texts_of(found.get(name)), *texts)
    return found


def _bounded(value: Attribute) -> Attribute:
    if isinstance(value, str):
        return value[:MAX_CATEGORY_CHARS]
    if isinstance(value, tuple):
        return tuple(text[:MAX_CATEGORY_CHARS] for text in value[:MAX_TEXTS])
    return value

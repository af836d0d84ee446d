"""A shop whose catalog says what events mean, and nothing else."""

from __future__ import annotations

from typing import Any

from personalization.catalog.catalog import Catalog, Content, EventMapping, Events, Placement
from personalization.catalog.compiled_catalog import compile_catalog
from tests.unit.personalization.world import World


def world_of(events: Events | None, **catalog: Any) -> World:
    """Visitors of a shop with this mapping."""
    terms = {"placements": {"hero": Placement(content=("red",), default="red")}, "content": {"red": Content()}}
    return World(compile_catalog(Catalog(**{**terms, **catalog}, events=events), version=1))


def own(**mappings: EventMapping) -> Events:
    """Segment's events, and some of one's own."""
    written: dict[str, Any] = {meaning: (mapping,) for meaning, mapping in mappings.items()}
    return Events(**written)

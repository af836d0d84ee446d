"""Segments: named rules over a visitor, evaluated when somebody asks."""

from __future__ import annotations

from collections.abc import Callable

from personalization.catalog.compiled_catalog import CompiledCatalog
from personalization.catalog.rules import Rule


def segments_of(catalog: CompiledCatalog, holds: Callable[[Rule], bool]) -> list[str]:
    """Names of the segments whose rule ``holds``, in the catalog's order."""
    return [name for name, rule in catalog.segments.items() if holds(rule)]

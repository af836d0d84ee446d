"""Segments: named rules over a visitor, evaluated when somebody asks."""

from __future__ import annotations

from typing import Any

from personalization.compiled import CompiledCatalog


def segments_of(catalog: CompiledCatalog, rules: Any) -> list[str]:
    """Names of the segments the visitor in the scope ``rules`` is in, in the catalog's order."""
    return [name for name, rule in catalog.segments.items() if rule.holds(rules)]

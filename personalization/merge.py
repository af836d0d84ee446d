"""The one merge of two visitors' states: used by the fold when identities meet and by the decider in memory."""

from __future__ import annotations

from personalization.compiled import CompiledCatalog
from personalization.visitor_state import VisitorState


def merge_states(into: VisitorState, other: VisitorState, catalog: CompiledCatalog) -> None:
    """Merge ``other`` into ``into`` in place; the fence and the clock of ``into`` stay its own."""
    raise NotImplementedError

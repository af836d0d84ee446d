"""What a client event does to a visitor: the part of the fold the decider also applies, to events sent along."""

from __future__ import annotations

from personalization.compiled import CompiledCatalog
from personalization.event import ClientEvent
from personalization.visitor_state import VisitorState


def apply_event(
    state: VisitorState, event: ClientEvent, occurred_at_ms: int, now_ms: int, catalog: CompiledCatalog
) -> None:
    """Apply one client event in place: counts, session, affinities, basket, traits, consents, revision."""
    raise NotImplementedError

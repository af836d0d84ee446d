"""The span of a decision that closes: the folder records it, the learner's is its child."""

from __future__ import annotations

from personalization.events.outcome import Outcome
from tracing.trace_context import derived_span_id

CLOSE = "close"


def closing_span_id(trace_id: bytes, outcome: Outcome) -> bytes:
    """The id of the span in which an outcome was closed; the same, however often it is folded."""
    return derived_span_id(trace_id, CLOSE, outcome.choice.decision_id)

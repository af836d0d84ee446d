"""Spans of the learner: of each outcome that carries a trace."""

from __future__ import annotations

import time

from personalization.events.outcome import Outcome
from stream.closing_span import closing_span_id
from tracing.span import Attribute, Kind, Span, wall_offset_ns
from tracing.trace_context import derived_span_id, of_carried
from tracing.tracer import Tracer


def trace_learning(tracer: Tracer, outcome: Outcome, result: str, began_ns: int) -> None:
    """The span of an outcome that a model has taken.

    Parameters
    ----------
    result
        What became of it: ``learned``, or why not.
    began_ns
        On the clock of ``time.perf_counter_ns``.
    """
    place = of_carried(outcome.trace)
    if place is None:
        return
    told: dict[str, Attribute] = {
        "nextbest.decision_id": outcome.choice.decision_id,
        "nextbest.model": outcome.choice.model,
        "nextbest.result": result,
    }
    offset_ns = wall_offset_ns()
    tracer.put(
        Span(
            "learn",
            place.trace_id,
            derived_span_id(place.trace_id, "learn", outcome.choice.decision_id),
            closing_span_id(place.trace_id, outcome),
            began_ns + offset_ns,
            time.perf_counter_ns() + offset_ns,
            Kind.CONSUMER,
            told,
        )
    )

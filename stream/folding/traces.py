"""Spans of the folder: of each entry that carries a trace, of the batch it came in, of the outcome it leads to."""

from __future__ import annotations

import os
import time
from collections.abc import Iterable, Mapping

from personalization.events.entry import Entry
from personalization.events.event import DecisionMade
from personalization.events.outcome import Outcome
from stream.closing_span import CLOSE, closing_span_id
from stream.folding.batch_fold import Message, Pending
from tracing.span import Attribute, Kind, Span, wall_offset_ns
from tracing.trace_context import SPAN_ID_BYTES, TRACE_ID_BYTES, TraceContext, derived_span_id, of_carried
from tracing.tracer import Tracer

FOLD = "fold"

MAX_ENTRIES = 50
"""Of one trace in a batch have spans, decisions first: a request may bring 2,000 events, and each has four."""

MS_NS = 1_000_000


class BatchTrace:
    """Times one batch for its entries that carry a trace.

    Each of them has a span ``fold`` in its own trace, with what the batch waited for as parts, and a link to the
    batch's span, which is a trace of its own: a batch belongs to many.
    """

    __slots__ = ("_began_ns", "_entries", "_marks", "_tracer")

    def __init__(self, tracer: Tracer, entries: list[Pending]) -> None:
        self._tracer = tracer
        self._entries = entries
        self._began_ns = time.perf_counter_ns()
        self._marks: list[tuple[str, int]] = []

    def mark(self, part: str) -> None:
        """``part`` is done, which began where the one before it ended."""
        self._marks.append((part, time.perf_counter_ns()))

    def end(self, n_entries: int) -> None:
        """The batch is folded and written."""
        offset_ns, ended_ns = wall_offset_ns(), time.perf_counter_ns()
        batch = TraceContext(os.urandom(TRACE_ID_BYTES), os.urandom(SPAN_ID_BYTES), sampled=True)
        began_ns, ended_ns = self._began_ns + offset_ns, ended_ns + offset_ns
        shown = self._shown()
        told = {"nextbest.entries": n_entries}
        if n_left_out := len(self._entries) - len(shown):
            told["nextbest.entries_without_spans"] = n_left_out
        put = self._tracer.put
        put(Span("fold batch", batch.trace_id, batch.span_id, b"", began_ns, ended_ns, attributes=told))
        for message, entry, place in shown:
            where: dict[str, Attribute] = {
                "nextbest.event": type(entry.event).__name__,
                "nextbest.partition": message.partition,
                "nextbest.offset": message.offset,
            }
            # A batch that is folded twice gives these the same ids.
            span_id = derived_span_id(place.trace_id, FOLD, message.partition, message.offset)
            put(
                Span(
                    *(FOLD, place.trace_id, span_id, place.span_id, began_ns, ended_ns, Kind.CONSUMER),
                    attributes=where,
                    links=(batch,),
                )
            )
            part_began_ns = began_ns
            for at, (part, at_ns) in enumerate(self._marks):
                part_id = derived_span_id(place.trace_id, part, at, message.partition, message.offset)
                put(Span(part, place.trace_id, part_id, span_id, part_began_ns, at_ns + offset_ns, Kind.CLIENT))
                part_began_ns = at_ns + offset_ns

    def _shown(self) -> list[tuple[Message, Entry, TraceContext]]:
        """The entries that have spans, with the place in a trace of each."""
        found: list[tuple[Message, Entry, TraceContext]] = []
        n_of: dict[bytes, int] = {}
        for message, entry in sorted(self._entries, key=_comes_later):
            place = of_carried(entry.trace)
            if place is None:
                continue
            n = n_of[place.trace_id] = n_of.get(place.trace_id, 0) + 1
            if n <= MAX_ENTRIES:
                found.append((message, entry, place))
        return found


def _comes_later(pending: Pending) -> bool:
    return not isinstance(pending.entry.event, DecisionMade)


class NoBatchTrace:
    """Of a batch that nobody records."""

    __slots__ = ()

    def mark(self, part: str) -> None:
        """Nothing."""

    def end(self, n_entries: int) -> None:
        """Nothing."""


NOT_TRACED = NoBatchTrace()


def batch_trace(tracer: Tracer | None, pending: Mapping[str, Iterable[Pending]]) -> BatchTrace | NoBatchTrace:
    """What times a batch: nothing, if none of its entries carries a trace."""
    if tracer is None:
        return NOT_TRACED
    traced = [each for entries in pending.values() for each in entries if each.entry.trace]
    return BatchTrace(tracer, traced) if traced else NOT_TRACED


def trace_closing(tracer: Tracer, outcome: Outcome, closed_at_ms: int) -> None:
    """The span of a decision that was closed: from when it was made until its outcome stands in the log."""
    place = of_carried(outcome.trace)
    if place is None:
        return
    told: dict[str, Attribute] = {
        "nextbest.decision_id": outcome.choice.decision_id,
        "nextbest.placement": outcome.choice.placement,
        "nextbest.arm": outcome.choice.arm,
        "nextbest.reward": outcome.reward,
        "nextbest.reason": outcome.reason.value,
    }
    tracer.put(
        Span(
            *(CLOSE, place.trace_id, closing_span_id(place.trace_id, outcome), place.span_id),
            *(outcome.decided_at_ms * MS_NS, closed_at_ms * MS_NS, Kind.CONSUMER),
            attributes=told,
        )
    )

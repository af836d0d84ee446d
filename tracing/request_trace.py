"""The trace of one request, from the first look at it to its answer."""

from __future__ import annotations

import os
import time
from collections.abc import Mapping

from tracing.current_trace import Recording
from tracing.span import Attribute, Kind, Span, wall_offset_ns
from tracing.trace_context import SPAN_ID_BYTES, TraceContext, carried
from tracing.tracer import Tracer


class RequestTrace:
    """Records one request; made only for requests that are recorded.

    Attributes
    ----------
    context
        The request's own span: what it leads to are its children.
    carried
        What the log carries of it.
    """

    __slots__ = ("_parent_id", "_recording", "_stages", "_tracer", "carried", "context")

    def __init__(self, tracer: Tracer, trace_id: bytes, parent_id: bytes = b"") -> None:
        span_id = os.urandom(SPAN_ID_BYTES)
        self.context = TraceContext(trace_id, span_id, sampled=True)
        self.carried = carried(trace_id, span_id)
        self._tracer = tracer
        self._parent_id = parent_id
        self._stages: list[tuple[str, float, float, Kind]] = []
        self._recording = Recording(trace_id.hex())

    def stage(self, name: str, began_s: float, ended_s: float, kind: Kind = Kind.INTERNAL) -> None:
        """Note a part of the request; times are those of ``time.perf_counter``."""
        self._stages.append((name, began_s, ended_s, kind))

    def leave(self) -> None:
        """The request is given up, with no answer: it has no spans."""
        self._recording.end()

    def end(self, name: str, began_s: float, failed: str, attributes: Mapping[str, Attribute]) -> None:
        """The request is answered: hand over its spans."""
        self._recording.end()
        offset_ns = wall_offset_ns()
        trace_id, span_id, _ = self.context
        put = self._tracer.put
        for stage, stage_began_s, stage_ended_s, kind in self._stages:
            put(
                Span(
                    stage,
                    trace_id,
                    os.urandom(SPAN_ID_BYTES),
                    span_id,
                    _ns(stage_began_s, offset_ns),
                    _ns(stage_ended_s, offset_ns),
                    kind,
                )
            )
        put(
            Span(
                name,
                trace_id,
                span_id,
                self._parent_id,
                _ns(began_s, offset_ns),
                _ns(time.perf_counter(), offset_ns),
                Kind.SERVER,
                attributes,
                failed=failed,
            )
        )


def _ns(at_s: float, offset_ns: int) -> int:
    return int(at_s * 1e9) + offset_ns

"""Whether a request is recorded as a trace, decided before anything is made for it."""

from __future__ import annotations

from api.access.caller import Caller
from api.http.request_names import RequestNames
from api.process.randomness import Randomness
from tracing.request_trace import RequestTrace
from tracing.tracer import Tracer

_upper = Randomness(8)
_whole = Randomness(16)


def request_trace(tracer: Tracer, names: RequestNames, request_id: str, caller: Caller) -> RequestTrace | None:
    """The trace of a request, if it is recorded.

    The id of a trace that begins here ends in the request's own id, so that either leads to it. A server's word on
    whether its trace is recorded is taken, if the sampler follows callers. A page's is not, nor does the id decide
    that it chose: everybody has its key, and could have everything recorded.
    """
    sampler, parent = tracer.sampler, names.parent
    if parent is None:
        trace_id = _whole() if names.request_id else _upper() + bytes.fromhex(request_id)
        return RequestTrace(tracer, trace_id) if sampler.records(trace_id) else None
    if caller.is_server:
        recorded = parent.sampled if sampler.follows_caller else sampler.records(parent.trace_id)
    else:
        recorded = sampler.records(_whole())
    return RequestTrace(tracer, parent.trace_id, parent.span_id) if recorded else None

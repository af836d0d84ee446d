"""The line of a request in the log: what it was, how it went, how long it took.

Personal data never stand in it: the path is the route's, and a visitor who is named there stands by the mark that
the audit has for them.
"""

from __future__ import annotations

import logging
import time

from api.http.dialect import Call, Route
from personalization.audit.record import visitor_mark

logger = logging.getLogger("api.requests")

_VISITOR = "visitor_id"


def write_line(call: Call, route: Route, status: int) -> None:
    """Write the line of a request that was answered."""
    fields: dict[str, object] = {
        "method": call.scope["method"],
        "path": route.path,
        "status": status,
        "ms": round((time.perf_counter() - call.began) * 1000, 2),
        "source": call.source,
        "request_id": call.request_id,
    }
    if call.trace is not None:
        fields["trace_id"] = call.trace.context.trace_id.hex()
    if tiers := call.tiers:
        fields["tiers"] = ",".join(tiers)
    if visitor := call.params.get(_VISITOR):
        fields["visitor"] = visitor_mark(call.core.services.visitor_mark_key, visitor)
    logger.info("request", extra=fields)

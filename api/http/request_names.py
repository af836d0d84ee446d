"""What a request calls itself: the id that its caller gave it, and the trace it is a part of.

Proxies and clients name their requests by ``x-request-id``, tracing libraries by ``traceparent``. Both are taken
and answered, so that what stands in their logs leads to what stands in ours.
"""

from __future__ import annotations

import re
from typing import NamedTuple

from starlette.types import Scope

from tracing.trace_context import TraceContext, parse_traceparent

_REQUEST_ID = re.compile(rb"[!-~]{1,128}")
"""Printable, without a space: it stands in lines of the log."""


class RequestNames(NamedTuple):
    """What a caller calls its request.

    Attributes
    ----------
    request_id
        As its caller says, if that can be one; else the id of the caller's trace; None if it says neither.
    parent
        The caller's place in a trace; None if none was sent, or it was malformed.
    """

    request_id: str | None = None
    parent: TraceContext | None = None


NAMELESS = RequestNames()


def request_names(scope: Scope) -> RequestNames:
    """What a caller calls its request; what is malformed counts as not sent."""
    sent_id = sent_trace = None
    for name, value in scope["headers"]:  # of every request: nothing is made for those that have neither
        if name == b"x-request-id":
            sent_id = value
        elif name == b"traceparent":
            sent_trace = b"" if sent_trace is not None else value  # two of them are none
    if sent_id is None and sent_trace is None:
        return NAMELESS
    parent = parse_traceparent(sent_trace) if sent_trace else None
    if sent_id is not None and _REQUEST_ID.fullmatch(sent_id):
        return RequestNames(sent_id.decode(), parent)
    return RequestNames(parent.trace_id.hex(), parent) if parent is not None else NAMELESS

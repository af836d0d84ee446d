"""What a request calls itself: the id that its caller gave it, and the trace it is a part of.

Proxies and clients name their requests by ``x-request-id``, tracing libraries by ``traceparent``. Both are taken
and answered, so that what stands in their logs leads to what stands in ours.
"""

from __future__ import annotations

import re
from typing import NamedTuple

from starlette.types import Scope

from api.http.exchange import new_request_id
from tracing.trace_context import TraceContext, parse_traceparent

_REQUEST_ID = re.compile(rb"[!-~]{1,128}")
"""Printable, without a space: it stands in lines of the log."""


class RequestNames(NamedTuple):
    """What a request is called.

    Attributes
    ----------
    request_id
        As its caller says, if that can be one; else the id of the caller's trace; else one made for it.
    parent
        The caller's place in a trace; None if none was sent, or it was malformed.
    is_made
        Whether the request's id was made for it: 16 hexadecimal digits.
    """

    request_id: str
    parent: TraceContext | None = None
    is_made: bool = False


def request_names(scope: Scope) -> RequestNames:
    """What a request is called; what is malformed counts as not sent."""
    sent_id = sent_trace = None
    for name, value in scope["headers"]:
        if name == b"x-request-id":
            sent_id = value
        elif name == b"traceparent":
            sent_trace = b"" if sent_trace is not None else value  # two of them are none
    if sent_id is None and sent_trace is None:
        return RequestNames(new_request_id(), None, True)
    parent = parse_traceparent(sent_trace) if sent_trace else None
    if sent_id is not None and _REQUEST_ID.fullmatch(sent_id):
        return RequestNames(sent_id.decode(), parent)
    if parent is not None:
        return RequestNames(parent.trace_id.hex(), parent)
    return RequestNames(new_request_id(), None, True)

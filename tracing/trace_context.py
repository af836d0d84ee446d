"""Which trace a request belongs to, as W3C Trace Context (level 1) writes it, and as the log carries it."""

from __future__ import annotations

import hashlib
import re
from typing import NamedTuple

_TRACEPARENT = re.compile(rb"([0-9a-f]{2})-([0-9a-f]{32})-([0-9a-f]{16})-([0-9a-f]{2})(-.*)?")

TRACE_ID_BYTES = 16
SPAN_ID_BYTES = 8
_SAMPLED = 0x01
_NO_TRACE, _NO_SPAN = bytes(TRACE_ID_BYTES), bytes(SPAN_ID_BYTES)


class TraceContext(NamedTuple):
    """A place in a trace.

    Attributes
    ----------
    trace_id
        16 bytes, the same for all that one request leads to.
    span_id
        8 bytes: what happens next is its child.
    sampled
        Whether whoever began the trace records it.
    """

    trace_id: bytes
    span_id: bytes
    sampled: bool


def parse_traceparent(text: bytes) -> TraceContext | None:
    """What a header ``traceparent`` says; None if it is malformed, and then it counts as none.

    >>> parse_traceparent(b"00-" + b"ab" * 16 + b"-" + b"cd" * 8 + b"-01").sampled
    True
    >>> parse_traceparent(b"00-" + b"00" * 16 + b"-" + b"cd" * 8 + b"-01") is None
    True
    """
    match = _TRACEPARENT.fullmatch(text)
    if match is None:
        return None
    version, trace_id, span_id, flags, more = match.groups()
    # Version 00 ends here; later ones may say more, and ff is none.
    if version == b"ff" or (more is not None and version == b"00"):
        return None
    context = TraceContext(
        bytes.fromhex(trace_id.decode()), bytes.fromhex(span_id.decode()), bool(int(flags, 16) & _SAMPLED)
    )
    return None if context.trace_id == _NO_TRACE or context.span_id == _NO_SPAN else context


def traceparent_of(context: TraceContext) -> bytes:
    """The header ``traceparent`` of a place in a trace.

    >>> traceparent_of(TraceContext(bytes(15) + b"a", bytes(7) + b"b", True))
    b'00-00000000000000000000000000000061-0000000000000062-01'
    """
    flags = "01" if context.sampled else "00"
    return f"00-{context.trace_id.hex()}-{context.span_id.hex()}-{flags}".encode()


def carried(trace_id: bytes, span_id: bytes) -> bytes:
    """What the log carries of a recorded trace: 24 bytes. Of one that is not recorded it carries nothing."""
    return trace_id + span_id


def of_carried(data: bytes) -> TraceContext | None:
    """The place in a trace that the log carried; None if it carried none.

    >>> of_carried(b""), of_carried(carried(b"t" * 16, b"s" * 8)).span_id
    (None, b'ssssssss')
    """
    if len(data) != TRACE_ID_BYTES + SPAN_ID_BYTES:
        return None
    return TraceContext(data[:TRACE_ID_BYTES], data[TRACE_ID_BYTES:], sampled=True)


def derived_span_id(trace_id: bytes, *named: object) -> bytes:
    """The id of a span that whoever knows what it is named by works out alike: done twice, it is one span."""
    text = "\x1f".join(map(str, named)).encode()
    return hashlib.blake2b(text, digest_size=SPAN_ID_BYTES, key=trace_id).digest()

"""A span: something that took a while, within a trace."""

from __future__ import annotations

import time
from collections.abc import Mapping
from enum import StrEnum
from types import MappingProxyType
from typing import NamedTuple

from tracing.trace_context import TraceContext

Attribute = str | int | float | bool

_NOTHING: Mapping[str, Attribute] = MappingProxyType({})


class Kind(StrEnum):
    """What a span is to others, as OpenTelemetry calls it."""

    SERVER = "server"
    CONSUMER = "consumer"
    CLIENT = "client"
    INTERNAL = "internal"


class Span(NamedTuple):
    """One span, once it is over.

    Attributes
    ----------
    parent_id
        The span it is a part of; empty: it is the first of its trace.
    began_ns, ended_ns
        Nanoseconds since 1970.
    links
        Spans of other traces that it has to do with.
    failed
        What went wrong; empty: nothing.
    """

    name: str
    trace_id: bytes
    span_id: bytes
    parent_id: bytes
    began_ns: int
    ended_ns: int
    kind: Kind = Kind.INTERNAL
    attributes: Mapping[str, Attribute] = _NOTHING
    links: tuple[TraceContext, ...] = ()
    failed: str = ""


def wall_offset_ns() -> int:
    """What makes a moment of ``time.perf_counter_ns`` one of the wall clock, as of now."""
    return time.time_ns() - time.perf_counter_ns()

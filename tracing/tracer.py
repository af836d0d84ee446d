"""What a process has that records traces: which it records, and where their spans go."""

from __future__ import annotations

import logging
import os
from collections.abc import Callable, Mapping

from personalization.errors import Refused
from tracing.sampler import Sampler, sampler_of
from tracing.span import Span
from tracing.span_queue import SpanQueue

logger = logging.getLogger(__name__)

ENDPOINTS = ("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", "OTEL_EXPORTER_OTLP_ENDPOINT")
MISSING = "traces need OpenTelemetry's SDK: pip install 'nextbest[traces]'"


class Tracer:
    """Records traces.

    Attributes
    ----------
    sampler
        Says which.
    put
        Takes a span that is over; never waits.
    """

    __slots__ = ("close", "put", "sampler")

    def __init__(
        self, sampler: Sampler, put: Callable[[Span], None], close: Callable[[], None] = lambda: None
    ) -> None:
        self.sampler = sampler
        self.put = put
        self.close = close


def is_wanted(traces: str, environment: Mapping[str, str]) -> bool:
    """Whether ``NEXTBEST_TRACES``, or what OpenTelemetry's own variables say, asks for traces.

    >>> is_wanted("auto", {}), is_wanted("auto", {"OTEL_EXPORTER_OTLP_ENDPOINT": "http://127.0.0.1:4318"})
    (False, True)
    """
    if traces != "auto":
        return traces == "otlp"
    if environment.get("OTEL_SDK_DISABLED", "").lower() == "true":
        return False
    if environment.get("OTEL_TRACES_EXPORTER", "otlp") not in ("", "otlp"):
        return False
    return any(environment.get(name) for name in ENDPOINTS)


def open_tracer(
    traces: str,
    role: str,
    counted: Callable[[str, int], object],
    environment: Mapping[str, str] | None = None,
) -> Tracer | None:
    """What records the traces of this process; None if nobody asks for them.

    Parameters
    ----------
    traces
        ``NEXTBEST_TRACES``.
    role
        ``api``, ``folder`` or ``learner``.
    counted
        See ``SpanQueue``.

    Raises
    ------
    Refused
        If traces are asked for by name, and the extra is not installed.
    InvalidInput
        If a variable of OpenTelemetry cannot be read.
    """
    environment = os.environ if environment is None else environment
    if not is_wanted(traces, environment):
        return None
    sampler = sampler_of(environment)
    try:
        from tracing.otlp import OtlpExport
    except ModuleNotFoundError as error:
        if traces == "otlp":
            raise Refused(MISSING) from error
        logger.warning("traces_off", extra={"reason": MISSING})
        return None
    queue = SpanQueue(OtlpExport(f"nextbest-{role}"), counted)
    return Tracer(sampler, queue.put, queue.close)

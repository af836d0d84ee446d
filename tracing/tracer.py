"""What a process has that records traces: which it records, and where their spans go."""

from __future__ import annotations

import logging
import os
from collections.abc import Callable, Mapping

from personalization.errors import Refused
from tracing.sampler import Sampler, sampler_of
from tracing.span import Span
from tracing.span_queue import SpanQueue
from tracing.variables import ENDPOINTS, problems

logger = logging.getLogger(__name__)

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
        If traces are asked for by name, and the extra is not installed, or a variable of OpenTelemetry's is wrong.
        Where they are not, its variables may be meant for others: the log says why nothing is recorded.
    """
    environment = os.environ if environment is None else environment
    if not is_wanted(traces, environment):
        return None
    try:
        return _open(role, counted, environment)
    except Refused as error:
        if traces == "otlp":
            raise
        logger.warning("traces_off", extra={"reason": str(error)})
        return None


def _open(role: str, counted: Callable[[str, int], object], environment: Mapping[str, str]) -> Tracer:
    if wrong := problems(environment):
        raise Refused("; ".join(map(str, wrong)))
    try:
        from tracing.otlp import OtlpExport

        export = OtlpExport(f"nextbest-{role}")
    except ImportError as error:
        raise Refused(MISSING) from error
    except ValueError as error:  # its words name the variable
        raise Refused(f"OpenTelemetry's SDK refuses a variable of its own: {error}") from error
    queue = SpanQueue(export, counted)
    return Tracer(sampler_of(environment), queue.put, queue.close)

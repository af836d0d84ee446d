"""Spans as OpenTelemetry's SDK hands them to a collector, by OTLP over HTTP: the extra ``nextbest[traces]``."""

from __future__ import annotations

import os
from collections.abc import Sequence

from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.sdk.resources import SERVICE_NAME, Resource
from opentelemetry.sdk.trace import ReadableSpan
from opentelemetry.sdk.trace.export import SpanExporter, SpanExportResult
from opentelemetry.sdk.util.instrumentation import InstrumentationScope
from opentelemetry.trace import Link, SpanContext, SpanKind, Status, StatusCode, TraceFlags

from personalization.errors import Unavailable
from tracing.sdk_words import SdkWords
from tracing.span import Kind, Span
from tracing.trace_context import TraceContext
from tracing.variables import secrets_in

_KINDS = {
    Kind.SERVER: SpanKind.SERVER,
    Kind.CONSUMER: SpanKind.CONSUMER,
    Kind.CLIENT: SpanKind.CLIENT,
    Kind.INTERNAL: SpanKind.INTERNAL,
}
_SCOPE = InstrumentationScope("nextbest")
_SAMPLED = TraceFlags(TraceFlags.SAMPLED)


class OtlpExport:
    """Hands spans to the collector that the variables of OpenTelemetry name (``OTEL_EXPORTER_OTLP_ENDPOINT`` …).

    Parameters
    ----------
    service
        The name of the process, if ``OTEL_SERVICE_NAME`` says nothing.
    """

    def __init__(self, service: str, exporter: SpanExporter | None = None) -> None:
        self._words = SdkWords(secrets_in(os.environ))
        self._words.listen()
        self._exporter = exporter or OTLPSpanExporter()
        told = Resource.create()
        named = Resource({SERVICE_NAME: service, "nextbest.role": service.removeprefix("nextbest-")})
        is_told = not str(told.attributes.get(SERVICE_NAME, "unknown_service")).startswith("unknown_service")
        self._resource = named.merge(told) if is_told else told.merge(named)

    def __call__(self, spans: Sequence[Span]) -> bool:
        """Whether the collector took them: true, or it raises ``Unavailable`` with what the SDK says of it."""
        try:
            found = self._exporter.export([self._readable(span) for span in spans])
        except Exception as error:  # of the SDK's client for HTTP
            raise Unavailable(self._words.without_secrets(f"{type(error).__name__}: {error}")) from None
        if found is not SpanExportResult.SUCCESS:
            raise Unavailable(self._words.latest or "the collector took none")
        return True

    def _readable(self, span: Span) -> ReadableSpan:
        return ReadableSpan(
            name=span.name,
            context=_context(span.trace_id, span.span_id),
            parent=_context(span.trace_id, span.parent_id) if span.parent_id else None,
            resource=self._resource,
            attributes=dict(span.attributes),
            links=[Link(_context_of(link)) for link in span.links],
            kind=_KINDS[span.kind],
            status=Status(StatusCode.ERROR, span.failed) if span.failed else Status(StatusCode.UNSET),
            start_time=span.began_ns,
            end_time=span.ended_ns,
            instrumentation_scope=_SCOPE,
        )


def _context_of(place: TraceContext) -> SpanContext:
    return _context(place.trace_id, place.span_id)


def _context(trace_id: bytes, span_id: bytes) -> SpanContext:
    return SpanContext(int.from_bytes(trace_id), int.from_bytes(span_id), is_remote=False, trace_flags=_SAMPLED)

"""Which traces are recorded, by OpenTelemetry's names."""

from __future__ import annotations

import random

import pytest

from personalization.errors import InvalidInput
from tracing.sampler import sampler_of
from tracing.tracer import is_wanted


def test_without_a_word_everything_is_recorded_as_by_opentelemetry() -> None:
    sampler = sampler_of({})
    assert sampler.records(b"\xff" * 16)
    assert sampler.follows_caller


def test_a_share_is_kept_by_the_trace_id_as_opentelemetry_does() -> None:
    from opentelemetry.sdk.trace.sampling import Decision, TraceIdRatioBased

    sampler = sampler_of({"OTEL_TRACES_SAMPLER": "traceidratio", "OTEL_TRACES_SAMPLER_ARG": "0.25"})
    theirs = TraceIdRatioBased(0.25)
    lots = random.Random(7)
    ids = [lots.randbytes(16) for _ in range(2_000)]
    ours = [sampler.records(each) for each in ids]
    assert ours == [
        theirs.should_sample(None, int.from_bytes(each), "x").decision is Decision.RECORD_AND_SAMPLE for each in ids
    ]
    assert 400 < sum(ours) < 600
    assert not sampler.follows_caller


@pytest.mark.parametrize(
    ("variables", "field"),
    [
        ({"OTEL_TRACES_SAMPLER": "sometimes"}, "OTEL_TRACES_SAMPLER"),
        ({"OTEL_TRACES_SAMPLER": "traceidratio", "OTEL_TRACES_SAMPLER_ARG": "2"}, "OTEL_TRACES_SAMPLER_ARG"),
        ({"OTEL_TRACES_SAMPLER": "traceidratio", "OTEL_TRACES_SAMPLER_ARG": "a"}, "OTEL_TRACES_SAMPLER_ARG"),
        ({"OTEL_TRACES_SAMPLER": "traceidratio", "OTEL_TRACES_SAMPLER_ARG": "nan"}, "OTEL_TRACES_SAMPLER_ARG"),
    ],
)
def test_a_sampler_that_is_none_is_refused_by_its_variable(variables: dict[str, str], field: str) -> None:
    with pytest.raises(InvalidInput) as refused:
        sampler_of(variables)
    assert refused.value.field == field


def test_traces_are_off_unless_somebody_names_a_collector() -> None:
    endpoint = {"OTEL_EXPORTER_OTLP_ENDPOINT": "http://127.0.0.1:4318"}
    assert not is_wanted("auto", {})
    assert is_wanted("auto", endpoint)
    assert not is_wanted("off", endpoint)
    assert not is_wanted("auto", {**endpoint, "OTEL_SDK_DISABLED": "true"})
    assert not is_wanted("auto", {**endpoint, "OTEL_TRACES_EXPORTER": "none"})
    assert is_wanted("otlp", {})

"""Variables of OpenTelemetry that nobody could go by are named; what is secret in them is shown nowhere."""

from __future__ import annotations

import json
import os
import subprocess
import sys

import pytest

from config.settings import InvalidSettings, Settings
from personalization.errors import Refused
from tests.running import ROOT
from tracing.tracer import open_tracer
from tracing.variables import problems, secrets_in

ENDPOINT = {"OTEL_EXPORTER_OTLP_ENDPOINT": "http://127.0.0.1:4318"}


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("OTEL_TRACES_SAMPLER", "jaeger_remote"),
        ("OTEL_EXPORTER_OTLP_ENDPOINT", "collector:4318"),
        ("OTEL_EXPORTER_OTLP_ENDPOINT", "http://:4318"),
        ("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", "http://collector:port"),
        ("OTEL_EXPORTER_OTLP_PROTOCOL", "grpc"),
        ("OTEL_EXPORTER_OTLP_COMPRESSION", "zstd"),
        ("OTEL_EXPORTER_OTLP_TIMEOUT", "1s"),
        ("OTEL_EXPORTER_OTLP_TRACES_TIMEOUT", "-1"),
        ("OTEL_EXPORTER_OTLP_HEADERS", "authorization: Bearer s3cret"),
        ("OTEL_EXPORTER_OTLP_HEADERS", "a=b,x-key=s3c%0aret"),
        ("OTEL_EXPORTER_OTLP_CERTIFICATE", "/nowhere/ca.pem"),
    ],
)
def test_a_variable_that_nobody_could_go_by_is_refused_by_name(name: str, value: str) -> None:
    found = problems({**ENDPOINT, name: value})
    assert [each.field for each in found] == [name]
    assert "s3c" not in str(found[0])
    with pytest.raises(InvalidSettings, match=name):  # before anything has started
        Settings.from_environment({**ENDPOINT, name: value, "NEXTBEST_TRACES": "otlp"})
    with pytest.raises(Refused, match=name):
        open_tracer("otlp", "api", print, {**ENDPOINT, name: value})


def test_variables_that_may_be_meant_for_others_stop_nothing() -> None:
    wrong = {**ENDPOINT, "OTEL_EXPORTER_OTLP_PROTOCOL": "grpc"}
    Settings.from_environment(wrong)
    assert open_tracer("auto", "api", print, wrong) is None


def test_what_opentelemetry_takes_is_taken() -> None:
    taken = {
        "OTEL_EXPORTER_OTLP_ENDPOINT": "https://user:pw@collector.example/otlp",
        "OTEL_EXPORTER_OTLP_HEADERS": "authorization=Bearer%20s3cret, x-tenant=7,",
        "OTEL_EXPORTER_OTLP_PROTOCOL": "http/protobuf",
        "OTEL_EXPORTER_OTLP_COMPRESSION": "gzip",
        "OTEL_EXPORTER_OTLP_TIMEOUT": "2.5",
        "OTEL_TRACES_SAMPLER": " ",
    }
    assert not problems(taken)
    assert set(secrets_in(taken)) >= {"Bearer s3cret", "Bearer%20s3cret"}


SAYING = """
import os
from installation.process_log import set_up_logging
from tracing.span import Span
from tracing.tracer import open_tracer

set_up_logging("json")
tracer = open_tracer("auto", "api", lambda outcome, n: None)
for n in range(3):
    tracer.put(Span("x", b"t" * 16, bytes([n]) * 8, b"", 1, 2))
tracer.close()
"""


def test_what_is_secret_of_a_collector_stands_in_no_log() -> None:
    """The SDK's own words hold the header; and it says them at each batch."""
    done = subprocess.run(
        [sys.executable, "-P", "-c", SAYING],
        env={
            **os.environ,
            "PYTHONPATH": str(ROOT),
            "OTEL_EXPORTER_OTLP_ENDPOINT": "http://127.0.0.1:1",
            "OTEL_EXPORTER_OTLP_TIMEOUT": "0.2",
            "OTEL_EXPORTER_OTLP_HEADERS": "authorization=s3cret\u00e9\u4e00",
        },
        capture_output=True,
        text=True,
        check=True,
        timeout=60,
    )
    lines = [json.loads(line) for line in done.stderr.splitlines()]
    assert [line["event"] for line in lines if line["event"] != "opentelemetry_says"] == ["spans_not_sent"]
    assert "s3cret" not in done.stderr

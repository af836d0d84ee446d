"""The page of docs that lists every setting, made from the rows of ``Settings``."""

from __future__ import annotations

from dataclasses import fields

from config.setting_values import PREFIX
from config.settings import Settings

_HEAD = f"""# Settings

Every process reads its settings from the environment: `{PREFIX}` and the name in capitals. All wrong ones are
reported at once; a name that is none of these is wrong too, and the error names the nearest. Durations are
milliseconds (`_MS`), sizes bytes (`_BYTES`).

A password in the URL of Redis is masked wherever the URL is shown. A Redis Cluster (`redis+cluster://`) is refused:
log, catalogs, models and leases need one server, or a proxy that looks like one.

This page is made from `config/settings.py` by `python -m config.generate`.

| variable | default | what it says |
|---|---|---|
"""

_OF_OPENTELEMETRY = """
## Variables of OpenTelemetry

[Traces](traces.md) go where OpenTelemetry's own variables say. Its SDK reads them, but for
the sampler's, which we read. Those that say what is recorded and where it goes are checked beforehand
([how](traces.md)).

| variable | default | what it says |
|---|---|---|
"""

_VARIABLES = (
    (
        "`OTEL_EXPORTER_OTLP_ENDPOINT`",
        "(empty)",
        "the collector, such as `http://127.0.0.1:4318`; if it is set, `NEXTBEST_TRACES=auto` records traces",
    ),
    ("`OTEL_EXPORTER_OTLP_TRACES_ENDPOINT`", "(empty)", "the same for traces alone, with the path"),
    ("`OTEL_EXPORTER_OTLP_PROTOCOL`", "`http/protobuf`", "nothing else is spoken"),
    (
        "`OTEL_EXPORTER_OTLP_HEADERS`",
        "(empty)",
        "what the collector wants to be shown: `name=value,name=value`, values as in a URL "
        "(`authorization=Bearer%20…`)",
    ),
    ("`OTEL_EXPORTER_OTLP_CERTIFICATE`", "(empty)", "PEM file of the CA that signed its certificate"),
    ("`OTEL_EXPORTER_OTLP_TIMEOUT`", "`10`", "how many seconds it may take for a batch"),
    (
        "`OTEL_TRACES_SAMPLER`",
        "`parentbased_always_on`",
        "which requests are recorded: `always_on`, `always_off`, `traceidratio`, or these with `parentbased_` in "
        "front, by which a server that calls us decides for its own traces",
    ),
    ("`OTEL_TRACES_SAMPLER_ARG`", "`1`", "the share for `traceidratio`, such as `0.01`"),
    ("`OTEL_SERVICE_NAME`", "`nextbest-` and the role", "what the processes are called"),
    ("`OTEL_SDK_DISABLED`", "`false`", "`true` records nothing under `NEXTBEST_TRACES=auto`"),
    ("`OTEL_TRACES_EXPORTER`", "`otlp`", "any other records nothing under `NEXTBEST_TRACES=auto`"),
)


def settings_page() -> str:
    """The page as Markdown."""
    rows = []
    for row in fields(Settings):
        default = f"`{row.default}`" if str(row.default) else "(empty)"
        rows.append(f"| `{PREFIX}{row.name.upper()}` | {default} | {row.metadata['help'].replace('|', '¦')} |\n")
    of_opentelemetry = [f"| {' | '.join(row)} |\n" for row in _VARIABLES]
    return "".join([_HEAD, *rows, _OF_OPENTELEMETRY, *of_opentelemetry])

"""Whether OpenTelemetry's variables can be gone by: its SDK takes some wrong ones for others, and logs secrets."""

from __future__ import annotations

import math
import os
import re
from collections.abc import Iterator, Mapping
from urllib.parse import unquote, urlsplit

from personalization.errors import InvalidInput
from tracing.sampler import sampler_of

OTLP = "OTEL_EXPORTER_OTLP_"
ENDPOINTS = (OTLP + "TRACES_ENDPOINT", OTLP + "ENDPOINT")
HEADERS = (OTLP + "TRACES_HEADERS", OTLP + "HEADERS")

_PROTOCOLS = ("http/protobuf",)
_COMPRESSIONS = ("none", "gzip", "deflate")
_HEADER = re.compile(r"\s*[!#$%&'*+.^_`|~0-9A-Za-z-]+\s*=[^\x00-\x1f\x7f]*")

_LEAST_SECRET = 4
"""Characters: what is shorter, such as the number of a tenant, is none, and stands in every other line."""


def problems(environment: Mapping[str, str]) -> list[InvalidInput]:
    """What is wrong with the variables that say what is recorded and where it goes; never with what a header holds.

    >>> [str(each) for each in problems({"OTEL_EXPORTER_OTLP_HEADERS": "authorization: Bearer s3cret"})]
    ['OTEL_EXPORTER_OTLP_HEADERS: must read name=value,name=value']
    """
    return list(_problems({name: value.strip() for name, value in environment.items() if value.strip()}))


def _problems(environment: Mapping[str, str]) -> Iterator[InvalidInput]:
    try:
        sampler_of(environment)
    except InvalidInput as error:
        yield error
    for name in ENDPOINTS:
        if (url := environment.get(name)) and not _is_address(url):
            yield InvalidInput(name, "must be the address of a collector, such as http://127.0.0.1:4318")
    for name, value in _said(environment, "PROTOCOL"):
        if value not in _PROTOCOLS:
            message = f"must be http/protobuf, with the port that the collector has for it (4318), not {value!r}"
            yield InvalidInput(name, message)
    for name, value in _said(environment, "COMPRESSION"):
        if value.lower() not in _COMPRESSIONS:
            yield InvalidInput(name, f"must be one of {', '.join(_COMPRESSIONS)}, not {value!r}")
    for name, value in _said(environment, "TIMEOUT"):
        if not _is_positive(value):
            yield InvalidInput(name, f"must be a number of seconds above 0, such as 10, not {value!r}")
    for name, value in _said(environment, "HEADERS"):
        if not all(_HEADER.fullmatch(unquote(part)) for part in value.split(",") if part.strip()):
            yield InvalidInput(name, "must read name=value,name=value")
    for what in ("CERTIFICATE", "CLIENT_CERTIFICATE", "CLIENT_KEY"):
        for name, path in _said(environment, what):
            if not os.access(path, os.R_OK) or os.path.isdir(path):
                yield InvalidInput(name, f"must be a file that can be read, not {path!r}")


def secrets_in(environment: Mapping[str, str]) -> list[str]:
    """What of the variables no log may show, the longest first."""
    found = set()
    for name in HEADERS:
        value = environment.get(name, "")
        found |= {value, *(part.partition("=")[2] for part in value.split(","))}
    for name in ENDPOINTS:
        found.add(environment.get(name, "").rpartition("@")[0].rpartition("//")[2].partition(":")[2])
    found |= {unquote(each) for each in found}
    return sorted({each.strip() for each in found if len(each.strip()) >= _LEAST_SECRET}, key=len, reverse=True)


def _said(environment: Mapping[str, str], what: str) -> Iterator[tuple[str, str]]:
    for name in (f"{OTLP}TRACES_{what}", OTLP + what):
        if value := environment.get(name):
            yield name, value


def _is_address(url: str) -> bool:
    try:
        parts = urlsplit(url)
        port = parts.port
    except ValueError:
        return False
    is_whole = bool(parts.hostname) and port != 0 and not re.search(r"\s", url)
    return is_whole and parts.scheme in ("http", "https")


def _is_positive(text: str) -> bool:
    try:
        number = float(text)
    except ValueError:
        return False
    return number > 0 and math.isfinite(number)

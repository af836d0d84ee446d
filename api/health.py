"""``/healthz``: the process runs. ``/readyz``: whether it can do its work, what is missing, what is not well."""

from __future__ import annotations

from typing import Literal

import orjson

from api.http.answer import Answer
from api.http.description import Description, json_of
from api.http.dialect import Call, Dialect, Reply, Route

_GET = ("GET", "HEAD")


async def healthz(_: Call) -> Reply:
    """Say that the process is alive."""
    return Reply(200, b'{"status":"ok"}')


async def readyz(call: Call) -> Reply:
    """Say that it is ready, or name what is missing; what is not well beside it, and why."""
    report = call.core.services.readiness()
    body = {
        "status": "ready" if report.ready else "waiting",
        "missing": sorted(report.missing),
        "warnings": sorted(report.warnings),
        "reasons": {**report.warnings, **report.missing},
    }
    return Reply(200 if report.ready else 503, orjson.dumps(body))


async def metrics(call: Call) -> Reply:
    """Show the metrics, for Prometheus."""
    accept = next((value for name, value in call.scope["headers"] if name == b"accept"), b"")
    text, media_type = await call.core.services.metrics.exposition_for(accept.decode("latin-1"))
    return Reply(200, text, media_type=media_type.encode())


class Health(Answer, frozen=True, kw_only=True):
    """That the process is alive."""

    status: Literal["ok"]


_HEALTHZ = Route(
    _GET,
    "/healthz",
    "healthz",
    None,
    healthz,
    description=Description(summary="Whether the process answers", given={200: json_of(Health, what="It does.")}),
)

HEALTH = Dialect(name="health", prefix="/", routes=(_HEALTHZ,))
"""What everybody may ask: no dialect of callers, and served like one."""

INNER = Dialect(
    name="inner",
    prefix="/",
    routes=(
        _HEALTHZ,
        Route(_GET, "/readyz", "readyz", None, readyz),
        Route(_GET, "/metrics", "metrics", None, metrics),
    ),
    is_for_pages=False,
)
"""How the process is, for whoever runs it: served by the inner listener alone."""

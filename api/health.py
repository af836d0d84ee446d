"""``/healthz``: the process runs. ``/readyz``: whether it can do its work, what is missing, what is not well."""

from __future__ import annotations

import orjson
from starlette.requests import Request
from starlette.responses import Response

from api.services import Services


class HealthEndpoints:
    """Liveness and readiness."""

    def __init__(self, services: Services) -> None:
        self._services = services

    async def healthz(self, _: Request) -> Response:
        """Alive."""
        return Response(b'{"status":"ok"}', media_type="application/json")

    async def readyz(self, _: Request) -> Response:
        """Ready, or the names of what is missing; what is not well beside it, and why."""
        report = self._services.readiness()
        body = {
            "status": "ready" if report.ready else "waiting",
            "missing": sorted(report.missing),
            "warnings": sorted(report.warnings),
            "reasons": {**report.warnings, **report.missing},
        }
        return Response(orjson.dumps(body), 200 if report.ready else 503, media_type="application/json")

    async def metrics(self, _: Request) -> Response:
        """For Prometheus."""
        return Response(self._services.metrics.exposition(), media_type="text/plain; version=0.0.4; charset=utf-8")

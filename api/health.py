"""``/healthz``: the process runs. ``/readyz``: it can do its work, and what is missing where it cannot."""

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
        """Ready, or the names of what is not."""
        missing = self._services.ready()
        body = {"status": "waiting" if missing else "ready", "missing": missing}
        return Response(orjson.dumps(body), 503 if missing else 200, media_type="application/json")

    async def metrics(self, _: Request) -> Response:
        """For Prometheus."""
        return Response(self._services.metrics.exposition(), media_type="text/plain; version=0.0.4; charset=utf-8")

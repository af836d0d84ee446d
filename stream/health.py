"""A worker's own small HTTP port: ``/metrics``, ``/healthz``, ``/readyz``."""

from __future__ import annotations

import logging
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from functools import partial

from aiohttp import web
from aiohttp.typedefs import Handler

from background.metrics import beside_the_loop, exposition
from background.pages import refused_to_browsers
from stream.metrics import WorkerMetrics

logger = logging.getLogger(__name__)

NotReady = Callable[[], str | None]
"""Why the worker is not ready, None where it is."""

Warnings = Callable[[], list[str]]
"""What is not well though it does its work, each in a sentence."""


@web.middleware
async def _no_pages(request: web.Request, handler: Handler) -> web.StreamResponse:
    refused = refused_to_browsers(request.headers.get)
    if refused is None:
        return await handler(request)
    return web.json_response({"code": refused.code, "message": refused.words}, status=refused.status)


@asynccontextmanager
async def health_server(
    metrics: WorkerMetrics, host: str, port: int, not_ready: NotReady, warnings: Warnings = list
) -> AsyncIterator[int]:
    """Serve while the block runs; gives the port (``port`` 0: any free one).

    ``/healthz`` answers as long as the event loop turns; ``/readyz`` is 503 with the reason while the worker
    has no partitions, lags, or waits for a part of the house, and lists what is not well in either case;
    ``/metrics`` counts these warnings.
    """

    async def shown(request: web.Request) -> web.Response:
        metrics.n_warnings.set(len(warnings()))  # looks anew at what its gauges tell, too
        accept = request.headers.get("Accept", "")
        text, media_type = await beside_the_loop(partial(exposition, metrics.registry, accept))
        return web.Response(body=text, headers={"Content-Type": media_type})

    async def healthy(_: web.Request) -> web.Response:
        return web.json_response({"status": "ok"})

    async def ready(_: web.Request) -> web.Response:
        reason = not_ready()
        if reason is None:
            return web.json_response({"status": "ready", "warnings": warnings()})
        return web.json_response({"status": "waiting", "reason": reason, "warnings": warnings()}, status=503)

    app = web.Application(middlewares=[_no_pages])
    app.add_routes([web.get("/metrics", shown), web.get("/healthz", healthy), web.get("/readyz", ready)])
    runner = web.AppRunner(app, access_log=None, handle_signals=False)
    await runner.setup()
    try:
        site = web.TCPSite(runner, host, port)
        await site.start()
        bound: int = runner.addresses[0][1]
        logger.info("health_port_open", extra={"port": bound})
        yield bound
    finally:
        await runner.cleanup()

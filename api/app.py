"""The application: the two hot endpoints on bare ASGI, everything else on Starlette.

Errors of every endpoint have the one shape of ``api.errors``; browsers of any origin may collect and decide.
"""

from __future__ import annotations

import logging
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager

from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route
from starlette.types import ASGIApp, Receive, Scope, Send

from api.collect import CollectEndpoint
from api.decide import DecideEndpoint
from api.decisions import DecisionEndpoints
from api.errors import ApiError, as_api_error, body_of, headers_of, not_found
from api.exchange import READABLE, new_request_id, respond_error
from api.health import HealthEndpoints
from api.placements import PlacementEndpoint
from api.services import Services
from api.visitors import VisitorEndpoint

logger = logging.getLogger(__name__)

Handler = Callable[[Request], Awaitable[Response]]

_DECIDE_METHODS = ("POST", "GET")
_COLLECT_METHODS = ("POST",)
_HOT = {"/v1/decide": _DECIDE_METHODS, "/v1/events": _COLLECT_METHODS}

_PREFLIGHT = [
    (b"access-control-allow-origin", b"*"),
    (b"access-control-allow-methods", b"GET, POST, OPTIONS"),
    (b"access-control-allow-headers", b"authorization, content-type, content-encoding, x-api-key"),
    (b"access-control-max-age", b"86400"),
    (b"content-length", b"0"),
]


class Application:
    """What the server calls.

    The services are made when the application starts (``open_services``), within its event loop, and let go
    of when it stops.
    """

    def __init__(self, open_services: Callable[[], AbstractAsyncContextManager[Services]]) -> None:
        self._open_services = open_services
        self._decide: ASGIApp = _not_started
        self._collect: ASGIApp = _not_started
        self._rest: ASGIApp = _not_started
        self._lifespan = Starlette(lifespan=lambda _: self.started())

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """One request, or the life of the process."""
        if scope["type"] != "http":
            # Websockets are refused by Starlette's router, which also speaks the lifespan protocol.
            await self._lifespan(scope, receive, send)
            return
        path, method = scope["path"], scope["method"]
        if path == "/v1/decide" and method in _DECIDE_METHODS:
            await self._decide(scope, receive, send)
        elif path == "/v1/events" and method in _COLLECT_METHODS:
            await self._collect(scope, receive, send)
        elif method == "OPTIONS":
            await send({"type": "http.response.start", "status": 204, "headers": _PREFLIGHT})
            await send({"type": "http.response.body", "body": b""})
        elif path in _HOT:
            refused = ApiError(405, "method_not_allowed", f"this takes {', '.join(_HOT[path])}", "method")
            await respond_error(send, refused, new_request_id())
        else:
            await self._rest(scope, receive, send)

    @asynccontextmanager
    async def started(self) -> AsyncIterator[None]:
        """The time it answers; the server's lifespan protocol enters it."""
        async with self._open_services() as services:
            self._decide = DecideEndpoint(services)
            self._collect = CollectEndpoint(services)
            self._rest = rest_of(services)
            try:
                yield
            finally:
                self._decide = self._collect = self._rest = _not_started


def rest_of(services: Services) -> Starlette:
    """Everything but the hot endpoints."""
    decisions = DecisionEndpoints(services)
    health = HealthEndpoints(services)
    counted = services.metrics.requests
    named: list[tuple[str, str, str, Handler]] = [
        ("POST", "/v1/decisions/{decision_id}/reward", "reward", decisions.reward),
        ("POST", "/v1/decisions/{decision_id}/activate", "activate", decisions.activate),
        ("GET", "/v1/visitors/{visitor_id:path}", "visitor", VisitorEndpoint(services).get),
        ("GET", "/v1/placements/{name:path}", "placement", PlacementEndpoint(services).get),
        ("GET", "/healthz", "healthz", health.healthz),
        ("GET", "/readyz", "readyz", health.readyz),
        ("GET", "/metrics", "metrics", health.metrics),
    ]

    def shaped(name: str, handler: Handler) -> Handler:
        async def handle(request: Request) -> Response:
            request_id = new_request_id()
            try:
                response = await handler(request)
            except Exception as error:  # every error becomes an answer, in the one shape
                response = _error_response(error, request_id)
                if response.status_code == 500:
                    logger.exception("request_failed", extra={"endpoint": name, "request_id": request_id})
            counted.labels(name, str(response.status_code)).inc()
            response.headers["access-control-allow-origin"] = "*"
            return response

        return handle

    async def unknown(request: Request, error: Exception) -> Response:
        if isinstance(error, HTTPException) and error.status_code == 405:
            allowed = (error.headers or {}).get("Allow", "")
            refused = ApiError(405, "method_not_allowed", f"this takes {allowed}", "method")
            return _error_response(refused, new_request_id())
        return _error_response(not_found(request.url.path), new_request_id())

    app = Starlette(
        routes=[Route(path, shaped(name, handler), methods=[method]) for method, path, name, handler in named],
        exception_handlers={HTTPException: unknown},
    )
    app.router.redirect_slashes = False  # it would send people to whatever host the request names
    return app


def _error_response(error: BaseException, request_id: str) -> Response:
    known = as_api_error(error)
    response = Response(body_of(known, request_id), known.status, media_type="application/json")
    for name, value in headers_of(known):
        response.headers[name.decode()] = value.decode()
    response.headers["x-request-id"] = request_id
    for name, value in READABLE:
        response.headers[name.decode()] = value.decode()
    return response


async def _not_started(scope: Scope, receive: Receive, send: Send) -> None:
    raise RuntimeError("the application has not been started: run it with its lifespan on")

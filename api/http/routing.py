"""From a request to its route: those with a fixed path are found by one look-up.

In a path with variable parts ``%2F`` is a slash of an id, and separates nothing: ``/v1/visitors/a%2Fexport`` is the
visitor ``a/export``, and no export of ``a``.

Pages may ask wherever a page's key may do anything; what is nobody's is refused in the shape of the dialect whose
path it is, or looks like.
"""

from __future__ import annotations

import re
from collections.abc import Awaitable, Mapping, Sequence
from types import MappingProxyType
from urllib.parse import unquote

from starlette.routing import compile_path
from starlette.types import ASGIApp, Receive, Scope, Send

from api.access.origins import NONE
from api.access.permissions import WRITE
from api.errors import ApiError, method_not_allowed, not_found
from api.http.dialect import Call, Dialect, Route
from api.http.endpoint import Endpoint, refusal
from api.http.exchange import respond
from api.services.core import Core

_NO_METHODS: Mapping[str, ASGIApp] = MappingProxyType({})


class Routes:
    """Every route of several dialects; the first dialect refuses what is nobody's."""

    def __init__(self, dialects: Sequence[Dialect], core: Core) -> None:
        self._dialects = sorted(dialects, key=lambda dialect: -len(dialect.prefix))
        self._core = core
        self._fixed: dict[str, dict[str, ASGIApp]] = {}
        self._owners: dict[str, Dialect] = {}
        self._routes: dict[str, list[Route]] = {}
        self._patterns: list[tuple[str, re.Pattern[str], Dialect, Route, ASGIApp]] = []
        for dialect in dialects:
            for route in dialect.routes:
                endpoint = Endpoint(dialect, route, core)
                if route.is_fixed:
                    self._owners[route.path] = dialect
                    self._routes.setdefault(route.path, []).append(route)
                    self._fixed.setdefault(route.path, {}).update(dict.fromkeys(route.methods, endpoint))
                else:
                    begins = route.path.partition("{")[0]
                    self._patterns.append((begins, _pattern(route.path), dialect, route, endpoint))

    def __call__(self, scope: Scope, receive: Receive, send: Send) -> Awaitable[None]:
        """One request."""
        by_method = self._fixed.get(scope["path"], _NO_METHODS)
        endpoint = by_method.get(scope["method"])
        if endpoint is None:
            return self._look_further(by_method, scope, receive, send)
        return endpoint(scope, receive, send)

    async def _look_further(
        self, by_method: Mapping[str, ASGIApp], scope: Scope, receive: Receive, send: Send
    ) -> None:
        """A request whose path has variable parts, or that is nobody's."""
        path, method = scope["path"], scope["method"]
        if method == "OPTIONS":
            dialect = self._dialect_of(scope)
            pages = dialect.anybody if self._is_for_pages(scope) else NONE
            await respond(send, 204, headers=dialect.preflight, readable_by=pages)
            return
        allowed = list(by_method)
        marked = _marked(scope)
        for begins, pattern, _, route, endpoint in self._patterns:
            if not marked.startswith(begins):
                continue
            match = pattern.fullmatch(marked)
            if match is None:
                continue
            if method in route.methods:
                params = {name: value.replace(_SLASH, "/") for name, value in match.groupdict().items()}
                await endpoint({**scope, "path_params": params}, receive, send)
                return
            allowed += route.methods
        error = method_not_allowed(allowed) if allowed else not_found(path)
        await self._refuse(error, scope, receive, send)

    def _is_for_pages(self, scope: Scope) -> bool:
        """Whether a page's key may do anything there, or nobody may."""
        marked = _marked(scope)
        routes = self._routes.get(scope["path"]) or [
            route for _, pattern, _, route, _ in self._patterns if pattern.fullmatch(marked)
        ]
        return not routes or any(route.permission in WRITE for route in routes)

    async def _refuse(self, error: ApiError, scope: Scope, receive: Receive, send: Send) -> None:
        dialect = self._dialect_of(scope)
        call = Call(scope, receive, self._core)
        reply = refusal(dialect, error, call)
        headers = call.named(reply.headers)
        await respond(send, reply.status, reply.body, reply.media_type, headers, dialect.anybody)

    def _dialect_of(self, scope: Scope) -> Dialect:
        """The dialect that has the path, else the one it looks like."""
        path, marked = scope["path"], _marked(scope)
        if path in self._owners:
            return self._owners[path]
        for _, pattern, dialect, _, _ in self._patterns:
            if pattern.fullmatch(marked):
                return dialect
        looks_like = (dialect for dialect in self._dialects if path.startswith(dialect.prefix))
        return next(looks_like, self._dialects[-1])  # `OPTIONS *` has no path


_SLASH = "\ud800"
"""Stands for a slash that came as ``%2F``: half a character, which no path becomes by decoding."""

_ENCODED_SLASH = re.compile(rb"%2[Ff]")


def _marked(scope: Scope) -> str:
    """The path, decoded but for slashes that came as ``%2F``."""
    raw: bytes = scope.get("raw_path") or b""
    parts = _ENCODED_SLASH.split(raw)
    if len(parts) == 1:
        path: str = scope["path"]
        return path
    return _SLASH.join(unquote(part.decode("ascii", "replace")) for part in parts)


def _pattern(path: str) -> re.Pattern[str]:
    """What a route's paths match as a whole: an id in one may hold a line break, and end in one."""
    return re.compile(compile_path(path)[0].pattern, re.DOTALL)

"""A route as the server calls it: looks at the key, asks the handler, and makes every error an answer."""

from __future__ import annotations

import logging

from starlette.types import Receive, Scope, Send

from api.access.caller import authenticate, authorise
from api.access.origins import ANY, readable_by
from api.core import Core
from api.dialect import Call, Dialect, Reply, Route
from api.errors import ApiError, as_api_error, headers_of
from api.exchange import Headers, respond

logger = logging.getLogger(__name__)


class Endpoint:
    """One route of one dialect, on bare ASGI."""

    def __init__(self, dialect: Dialect, route: Route, core: Core) -> None:
        self._dialect = dialect
        self._route = route
        self._core = core
        self._permission = route.permission

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """One request."""
        route, services = self._route, self._core.services
        call = Call(scope, receive, self._core)
        readers: Headers = ANY
        try:
            if self._permission is not None:
                caller = authenticate(self._dialect.key_of(scope), services.keys)
                call.caller = caller
                authorise(caller, self._permission)
                readers = readable_by(caller.access, scope["headers"])
            reply = await route.handle(call)
        except Exception as error:  # every error becomes an answer, in the dialect's one shape
            known = as_api_error(error)
            if known.status == 500:
                logger.exception("request_failed", extra={"endpoint": route.name, "request_id": call.request_id})
            reply = refusal(self._dialect, known, call)
            # Else this frame and the error would hold each other, and the body, until a garbage collection.
            del known
        finally:
            call.let_go()
        await respond(send, reply.status, reply.body, reply.media_type, reply.headers, readers)
        if reply.status == 200:
            services.metrics.answered(route.name)
        else:
            services.metrics.requests.labels(route.name, str(reply.status)).inc()


def refusal(dialect: Dialect, error: ApiError, call: Call) -> Reply:
    """An error as the dialect says it, readable for pages of any origin."""
    headers = [(b"x-request-id", call.request_id.encode()), *dialect.readable, *headers_of(error)]
    return Reply(error.status, dialect.error_body(error, call.request_id, call.params), headers)

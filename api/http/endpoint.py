"""A route as the server calls it: looks at the key, asks the handler, and makes every error an answer."""

from __future__ import annotations

import logging
import time

from starlette.types import Receive, Scope, Send

from api.access.caller import Caller, authenticate, authorise
from api.access.origins import readable_by
from api.access.permissions import WRITE, Permission
from api.access.shown_key import exposed_server_key, key_in_address
from api.errors import ApiError, as_api_error, headers_of
from api.http.dialect import Call, Dialect, Reply, Route
from api.http.exchange import respond
from api.http.request_log import write_line
from api.services.core import Core
from personalization.audit.record import Trail
from personalization.errors import NextbestError
from tracing.span import Attribute

logger = logging.getLogger(__name__)


class Endpoint:
    """One route of one dialect, on bare ASGI."""

    def __init__(self, dialect: Dialect, route: Route, core: Core) -> None:
        self._dialect = dialect
        self._route = route
        self._core = core
        self._permission = route.permission
        self._trail = route.trail
        self._is_for_pages = route.permission in WRITE

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """One request."""
        route, services = self._route, self._core.services
        call = Call(scope, receive, self._core)
        readers = self._dialect.anybody
        services.metrics.n_open += 1
        try:
            if self._permission is not None:
                key = self._dialect.key_of(scope)
                if key is None and self._is_for_pages:
                    caller = await self._openly(call)
                else:
                    caller = authenticate(key, services.keys)
                call.caller = caller
                readers = readable_by(caller.access, scope["headers"])
                self._core.limiter.admit(caller, call.address, call.began)  # what it refuses is not recorded
                if self._trail is None:
                    authorise(caller, self._permission)
                else:
                    await self._admit(call, self._permission, self._trail)
                if services.tracer is not None:
                    call.begin_trace(services.tracer)
            reply = await route.handle(call)
            if self._trail is not None and not call.audited.has_begun:
                raise NextbestError(f"{route.name} was answered without a record in the audit")
        except Exception as error:  # every error becomes an answer, in the dialect's one shape
            known = as_api_error(error)
            if known.status == 500:
                logger.exception("request_failed", extra={"endpoint": route.name, "request_id": call.request_id})
            reply = refusal(self._dialect, known, call)
            if self._trail is not None:
                await call.fail(known.status)
            # Else this frame and the error would hold each other, and the body, until a garbage collection.
            del known
        except BaseException:  # it is given up, as when the process ends
            if call.trace is not None:
                call.trace.leave()
            raise
        finally:
            call.let_go()
            services.metrics.n_open -= 1
        await respond(send, reply.status, reply.body, reply.media_type, call.named(reply.headers), readers)
        services.metrics.answered(route.name, reply.status, time.perf_counter() - call.began)
        if call.trace is not None:
            self._end_trace(call, reply.status)
        if services.request_lines.share and services.request_lines.wants_one():
            write_line(call, route, reply.status)

    def _end_trace(self, call: Call, status: int) -> None:
        trace, route = call.trace, self._route
        assert trace is not None
        told: dict[str, Attribute] = {
            "http.request.method": call.scope["method"],
            "http.route": route.path,
            "http.response.status_code": status,
            "nextbest.request_id": call.request_id,
            "nextbest.source": call.source,
        }
        if tiers := call.tiers:
            told["nextbest.tiers"] = ",".join(tiers)
        trace.end(route.name, call.began, "" if status < 500 else f"answered {status}", told)

    async def _openly(self, call: Call) -> Caller:
        """Whoever shows a key in the address, or in the body; raises ``ApiError`` where nobody does."""
        keys = self._core.services.keys
        key = key_in_address(call.scope["query_string"])
        if key is None:
            dialect = self._dialect
            return authenticate(await call.key_in_body(dialect.body_keys, dialect.keyed_body_bytes), keys)
        caller = authenticate(key, keys)
        if caller.is_server:
            raise exposed_server_key()
        return caller

    async def _admit(self, call: Call, permission: Permission, trail: Trail) -> None:
        """Let the caller in if it may, with a record of that; raises ``ApiError`` with one, too, if it may not."""
        audited = call.audited_as(trail, self._route.name)
        try:
            authorise(call.caller, permission)
        except ApiError:
            await audited.refuse(call.began)
            raise
        if not self._route.names_in_body:
            await audited.begin()


def refusal(dialect: Dialect, error: ApiError, call: Call) -> Reply:
    """An error as the dialect says it, readable for pages of any origin."""
    headers = [*dialect.readable, *headers_of(error)]
    return Reply(error.status, dialect.error_body(error, call.request_id, call.params), headers)

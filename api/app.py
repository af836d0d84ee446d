"""The application: all dialects over the services of one process, while it runs."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager, nullcontext

from starlette.applications import Starlette
from starlette.types import ASGIApp, Receive, Scope, Send

from api.dialects.growthbook import GROWTHBOOK
from api.dialects.metarank import METARANK
from api.dialects.ofrep import OFREP
from api.dialects.own import OWN
from api.dialects.posthog import POSTHOG
from api.dialects.rank_reward import RANK_REWARD
from api.dialects.segment import SEGMENT
from api.health import HEALTH, INNER
from api.http.no_pages import NoPages
from api.http.routing import Routes
from api.openapi import describing
from api.sdk import SDK
from api.services.core import Core
from api.services.ports import Services

DIALECTS = (OWN, OFREP, SEGMENT, GROWTHBOOK, POSTHOG, METARANK, RANK_REWARD, SDK, HEALTH)
"""What is spoken; the first one refuses what is nobody's."""

ANSWERED = (*DIALECTS, describing(DIALECTS))
"""All of that, and what describes it."""


class Application:
    """What the server calls.

    The services are made when the application starts (``open_services``), within its event loop, and let go
    of when it stops.

    Parameters
    ----------
    open_inner
        Listens for whoever runs the process, with what answers them; nobody is listened to where it is None.

    Attributes
    ----------
    inner
        What answers them, while it runs.
    """

    def __init__(
        self,
        open_services: Callable[[], AbstractAsyncContextManager[Services]],
        open_inner: Callable[[ASGIApp], AbstractAsyncContextManager[object]] | None = None,
    ) -> None:
        self._open_services = open_services
        self._open_inner = open_inner or nullcontext
        self.inner: ASGIApp | None = None
        self._routes: Routes | None = None
        self._lifespan = Starlette(lifespan=lambda _: self.started())

    def __call__(self, scope: Scope, receive: Receive, send: Send) -> Awaitable[None]:
        """One request, or the life of the process."""
        if scope["type"] != "http":
            # Websockets are refused by Starlette's router, which also speaks the lifespan protocol.
            return self._lifespan(scope, receive, send)
        if self._routes is None:
            raise RuntimeError("the application has not been started: run it with its lifespan on")
        return self._routes(scope, receive, send)

    @asynccontextmanager
    async def started(self) -> AsyncIterator[None]:
        """The time it answers; the server's lifespan protocol enters it."""
        async with self._open_services() as services:
            core = Core(services)
            self._routes, self.inner = Routes(ANSWERED, core), NoPages(Routes((INNER,), core))
            try:
                async with self._open_inner(self.inner):
                    yield
            finally:
                self._routes = self.inner = None

"""Refuses what pages ask of the inner listener, before any route."""

from __future__ import annotations

from starlette.types import ASGIApp, Receive, Scope, Send

from api.access.origins import NONE
from api.errors import ApiError, body_of
from api.http.exchange import header, new_request_id, respond
from background.pages import refused_to_browsers


class NoPages:
    """An application behind ``background.pages``."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """One request."""

        def value_of(name: str) -> str | None:
            value = header(scope, name.encode())
            return None if value is None else value.decode("latin-1")

        refused = refused_to_browsers(value_of)
        if refused is None:
            await self._app(scope, receive, send)
            return
        error = ApiError(refused.status, refused.code, refused.words)
        await respond(send, error.status, body_of(error, new_request_id()), readable_by=NONE)

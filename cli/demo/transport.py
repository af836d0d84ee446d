"""The demo's only way to nextbest: its public HTTP API, as any site would call it."""

from __future__ import annotations

import asyncio
from types import TracebackType
from typing import Any, Protocol, Self

import aiohttp
import orjson

from personalization.errors import NextbestError, Unavailable

RETRY_FOR_S = 20.0
"""How long a server that is away (restarting, its log full) is waited for, before the demo gives up."""

FIRST_RETRY_S = 0.05


class ApiError(NextbestError):
    """The API refused a request, and would again."""

    def __init__(self, method: str, path: str, status: int, body: bytes) -> None:
        super().__init__(f"{method} {path} was answered {status}: {body[:300].decode(errors='replace')}")
        self.status = status


class Transport(Protocol):
    """Sends one request and gives the answer's JSON; None where there is no body."""

    async def request(self, method: str, path: str, body: dict[str, Any] | None = None) -> Any:
        """Raises ``ApiError`` where the API refuses, ``Unavailable`` where it stays away."""


class HttpTransport:
    """The API at ``url``.

    Parameters
    ----------
    key
        A server key: the demo reads visitors back to count what was lost.
    connections
        Kept open at most.
    """

    def __init__(self, url: str, key: str, connections: int = 128) -> None:
        self._url = url.rstrip("/")
        self._session = aiohttp.ClientSession(
            connector=aiohttp.TCPConnector(limit=connections, keepalive_timeout=60),
            headers={"Authorization": f"Bearer {key}", "Content-Type": "application/json"},
            timeout=aiohttp.ClientTimeout(total=30),
        )
        self.retries = 0

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self._session.close()

    async def request(self, method: str, path: str, body: dict[str, Any] | None = None) -> Any:
        """One request; one that may succeed later is sent again, its message ids being the same."""
        data = None if body is None else orjson.dumps(body)
        loop = asyncio.get_running_loop()
        until = loop.time() + RETRY_FOR_S
        pause = FIRST_RETRY_S
        while True:
            try:
                async with self._session.request(method, self._url + path, data=data) as answer:
                    raw = await answer.read()
                    if answer.status < 300:
                        return orjson.loads(raw) if raw else None
                    if answer.status < 500 and answer.status != 429:
                        raise ApiError(method, path, answer.status, raw)
                    reason = f"it answered {answer.status}"
            except (aiohttp.ClientError, TimeoutError) as error:
                reason = str(error) or type(error).__name__
            if loop.time() > until:
                raise Unavailable(
                    f"no nextbest at {self._url} ({reason}); start one with `nextbest demo --up`, "
                    "or say where it is with --url"
                )
            self.retries += 1
            await asyncio.sleep(pause)
            pause = min(pause * 2, 1.0)

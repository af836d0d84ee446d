"""uvicorn's HTTP protocol, except that what an answer consists of leaves in one system call, after the turn's work.

uvicorn writes head and body one after the other and uvloop sends each write at once: two ``send`` calls, and two
wake-ups of the client, where one would do. And requests that were read and scored together are answered in one
turn of the loop: sent together, all but the first of them find their client awake.
"""

from __future__ import annotations

import asyncio
from typing import Any

from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol


class JoinedWrites:
    """A transport that sends what was written during one turn of the loop with the next, at once."""

    def __init__(self, transport: asyncio.Transport, loop: asyncio.AbstractEventLoop) -> None:
        self._transport = transport
        self._call_soon = loop.call_soon
        self._kept: list[bytes] = []

    def write(self, data: bytes) -> None:
        """Send ``data``, soon."""
        if not self._kept:
            self._call_soon(self.flush)
        self._kept.append(data)

    def flush(self) -> None:
        """Send what is kept back, unless the client has left."""
        kept, self._kept = self._kept, []
        if kept and not self._transport.is_closing():
            self._transport.write(b"".join(kept))

    def close(self) -> None:
        """Send what is kept back, then close."""
        self.flush()
        self._transport.close()

    def __getattr__(self, name: str) -> Any:
        return getattr(self._transport, name)


class JoiningProtocol(HttpToolsProtocol):
    """One connection."""

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]  # as uvicorn's
        """Begin, over a transport that joins writes."""
        super().connection_made(JoinedWrites(transport, self.loop))  # type: ignore[arg-type]  # what uvicorn calls of one

"""uvicorn's HTTP protocol, except that the head and the body of an answer leave in one system call.

uvicorn writes them one after the other and uvloop sends each write at once: two ``send`` calls, and two wake-ups
of the client, where one would do. On the decision path a ``send`` costs as much as all rules and draws together.
"""

from __future__ import annotations

import asyncio
from typing import Any

from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

_HEAD = b"HTTP/1.1 "


class JoinedWrites:
    """A transport that keeps the head of an answer back until the next write, or the loop's next turn."""

    def __init__(self, transport: asyncio.Transport, loop: asyncio.AbstractEventLoop) -> None:
        self._transport = transport
        self._write = transport.write
        self._call_soon = loop.call_soon
        self._head: bytes | None = None

    def write(self, data: bytes) -> None:
        """Send ``data``, what was kept back in front of it."""
        head = self._head
        if head is not None:
            self._head = None
            self._write(head + data)
        elif data[:9] == _HEAD:
            self._head = data
            self._call_soon(self.flush)
        else:
            self._write(data)

    def flush(self) -> None:
        """Send what is kept back."""
        head, self._head = self._head, None
        if head is not None:
            self._write(head)

    def close(self) -> None:
        """Send what is kept back, then close."""
        self.flush()
        self._transport.close()

    def __getattr__(self, name: str) -> Any:
        return getattr(self._transport, name)


class JoiningProtocol(HttpToolsProtocol):
    """One connection."""

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """Begin, over a transport that joins writes."""
        super().connection_made(JoinedWrites(transport, self.loop))  # type: ignore[arg-type]

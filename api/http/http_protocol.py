"""uvicorn's HTTP protocol, held to the bounds of the door, with what an answer consists of in one system call.

uvicorn writes head and body one after the other and uvloop sends each write at once: two ``send`` calls, and two
wake-ups of the client, where one would do. An answer that is alone leaves once it is whole. Requests that were read
and scored together are answered with the next turn of the loop: what their clients ask next comes together as well.
"""

from __future__ import annotations

import asyncio
import re
from typing import Any

import httptools
from uvicorn.config import Config
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol, RequestResponseCycle
from uvicorn.server import ServerState

from api.errors import ApiError
from api.http import refusals
from api.http.door import Connection, Door, count_closed

_CONTINUE = b"HTTP/1.1 100 "


class JoinedWrites:
    """A transport that sends an answer once it is whole: at once where it is alone, else with the next turn.

    What an answer consists of leaves in one call: a head is kept back until the body comes, or ``leave`` is called.
    """

    def __init__(self, transport: asyncio.Transport, door: Door, loop: asyncio.AbstractEventLoop) -> None:
        self._transport = transport
        self._door = door
        self._call_soon = loop.call_soon
        self._kept: list[bytes] = []
        self._leaves = False

    def write(self, data: bytes) -> None:
        """Send ``data`` with what is kept, unless it is a head."""
        self._kept.append(data)
        if not data.endswith(b"\r\n\r\n") or data.startswith(_CONTINUE):
            self.leave()

    def leave(self) -> None:
        """Have what is kept sent, with the answers to those that are asked for together with it."""
        if self._leaves or not self._kept:
            return
        if self._door.n_at_work > 1:
            self._leaves = True
            self._call_soon(self.flush)
        else:
            self.flush()

    def flush(self) -> None:
        """Send what is kept now, unless the client has left."""
        self._leaves = False
        kept, self._kept = self._kept, []
        if kept and not self._transport.is_closing():
            self._transport.write(b"".join(kept))

    def close(self) -> None:
        """Send what is kept, then close."""
        self.flush()
        self._transport.close()

    def __getattr__(self, name: str) -> Any:
        return getattr(self._transport, name)


_on_headers_complete = HttpToolsProtocol.on_headers_complete
_on_body = HttpToolsProtocol.on_body
_on_message_complete = HttpToolsProtocol.on_message_complete
# ``super()`` would cost as much as what is counted here.


class _Refused(Exception):
    """Raised through the parser, which stops at it."""

    def __init__(self, error: ApiError) -> None:
        super().__init__(error.message)
        self.error = error


_SLICE_BYTES = 16 * 1024
"""What the parser is given at once: between two slices is asked what came of the last."""


_UPGRADE = re.compile(rb"\r\nupgrade:", re.I)


def _without_upgrade(data: bytes) -> bytes:
    """The first head in ``data``, offering no other protocol.

    Java's client and ``curl --http2`` offer one with each request. We go on in HTTP/1.1 (RFC 9110, 7.8), but the
    parser would take what follows the head, the body too, for the other protocol's.
    """
    head, end, rest = data.partition(b"\r\n\r\n")
    return _UPGRADE.sub(rb"\r\nx-not-upgraded:", head) + end + rest


class JoiningProtocol(HttpToolsProtocol):
    """One connection, held to the bounds of the door.

    httptools calls back for a header once its line has ended, and copies all of an unfinished line for each piece
    that comes: so bytes are counted here, as they come. What is refused is answered behind what was asked before.
    """

    def __init__(
        self,
        config: Config,
        server_state: ServerState,
        app_state: dict[str, Any],
        _loop: asyncio.AbstractEventLoop | None = None,
        *,
        door: Door,
    ) -> None:
        super().__init__(config, server_state, app_state, _loop)
        self._door = door
        self._bounds = door.bounds
        self._resting: dict[Connection, None] | None = door.strangers
        self._answering: RequestResponseCycle | None = None
        self._deaf = False  # nothing more is read
        self._in_body = False
        self.since = door.n_looks  # when it was that what is waited for now began
        self._n_head = self._n_body = self._n_unheard = self._n_unread = 0

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]  # as uvicorn's
        """Begin, over a transport that joins writes, if there is room."""
        self._joined = JoinedWrites(transport, self._door, self.loop)
        super().connection_made(self._joined)  # type: ignore[arg-type]  # what uvicorn calls of one
        full = self._door.enter(self, self.client[0] if self.client else "", self.loop)
        if full is not None:
            self._resting = None
            self._refuse(refusals.no_room(full, self._bounds))

    def connection_lost(self, exc: Exception | None) -> None:
        """End."""
        self._door.leave(self)
        super().connection_lost(exc)
        self.pipeline.clear()  # what waits here refers to this connection
        self._answering = None

    def make_room(self) -> None:
        """Close: it rests, and somebody else needs the place."""
        self._deaf = True
        count_closed("made_room")
        self.transport.abort()

    def data_received(self, data: bytes) -> None:
        """Take what came."""
        if self._deaf:
            return
        n_bytes = len(data)
        if n_bytes > _SLICE_BYTES:
            for at in range(0, n_bytes, _SLICE_BYTES):
                self.data_received(data[at : at + _SLICE_BYTES])
            return
        n_body = self._n_body
        if not self._in_body:
            if not self._n_head:
                self.since = self._door.n_looks
            self._n_head += n_bytes
            if b"pgrade:" in data or b"PGRADE:" in data:
                data = _without_upgrade(data)
        try:
            self.parser.feed_data(data)
        except httptools.HttpParserError as error:
            refused = error.__context__
            if isinstance(refused, _Refused):
                self._refuse(refused.error)
            else:
                self._refuse(refusals.not_http())
            return
        except httptools.HttpParserUpgrade:
            return  # no other protocol is spoken here, and the request is answered as any
        if self._in_body:
            # Extensions of chunks and trailers are no body, and the parser copies them as it does headers.
            self._n_unheard = 0 if self._n_body > n_body else self._n_unheard + n_bytes
            if self._n_unheard > self._bounds.head_bytes:
                self._refuse(refusals.head_too_large(self._bounds))
        elif self._n_head > self._bounds.head_bytes:
            self._refuse(refusals.head_too_large(self._bounds))

    def on_headers_complete(self) -> None:
        """A head is whole: it is looked at before anything is made of it."""
        bounds = self._bounds
        if len(self.headers) > bounds.headers or (
            self._n_head > bounds.head_bytes and self._head_size() > bounds.head_bytes
        ):
            raise _Refused(refusals.head_too_large(bounds))
        if len(self.pipeline) >= bounds.waiting:
            raise _Refused(refusals.too_many_waiting(bounds))
        _on_headers_complete(self)
        if not self.pipeline:
            self._answering = self.cycle
        if self._resting is not None:
            self._resting.pop(self, None)
            self._resting = None
        self._in_body = True
        self.since = self._door.n_looks
        self._n_head = self._n_body = self._n_unheard = 0

    def on_body(self, body: bytes) -> None:
        """Some of a body came."""
        self._n_body += len(body)
        _on_body(self, body)

    def on_message_complete(self) -> None:
        """A request is whole."""
        self._in_body = False
        _on_message_complete(self)

    def on_response_complete(self) -> None:
        """An answer is whole: the next request's turn. As uvicorn's, but for its timer at each request."""
        self.server_state.total_requests += 1
        self._joined.leave()
        if self.transport.is_closing():
            return
        if not self._deaf:
            self.flow.resume_reading()
        if self.pipeline:
            cycle, app = self.pipeline.pop()
            self._answering = cycle
            self._start_asgi_task(cycle, app)
            return
        self._resting = self._door.idle
        self._resting[self] = None
        if not self._n_head and not self._in_body:
            self.since = self._door.n_looks

    def look(self) -> None:
        """Close it where it is too slow; asked once a second."""
        bounds = self._bounds
        is_unread = self.flow.write_paused or self.transport.is_closing()
        self._n_unread = self._n_unread + 1 if is_unread else 0
        if self._n_unread > bounds.unread_s:
            count_closed("unread")
            self.transport.abort()
            return
        if self._deaf:
            return
        if self.flow.read_paused:
            self.since += 1  # it waits for us
            return
        seconds = self._door.n_looks - self.since
        if self._in_body:
            late = max(0, seconds - bounds.grace_s)
            if seconds > bounds.body_s or self._n_body < late * bounds.least_bytes_per_s:
                self._refuse(refusals.body_too_slow(bounds))
        elif self._n_head:
            if seconds > bounds.head_s:
                self._refuse(refusals.head_too_slow(bounds))
        elif self._resting is not None and seconds > (
            bounds.idle_s if self._resting is self._door.idle else bounds.head_s
        ):
            self._deaf = True
            count_closed("idle")
            self.transport.close()

    def _head_size(self) -> int:
        return len(self.url) + sum([len(name) + len(value) + 4 for name, value in self.headers])

    def _refuse(self, error: ApiError) -> None:
        """Read no more and close, behind what is still to be answered; say why, where nothing is."""
        self._deaf = True
        count_closed(error.code)
        last = self._answering
        if self._in_body and not self.pipeline:
            # The request that is being answered is the one whose body does not come.
            if last is not None and not last.response_started:
                self.transport.write(refusals.answer(error))
            self.transport.close()
            return
        if self._in_body:
            self.pipeline.popleft()  # never whole
        if self.pipeline:
            last = self.pipeline[0][0]
        if last is None or last.response_complete:
            self.transport.write(refusals.answer(error))
            self.transport.close()
            return
        self.flow.pause_reading()
        last.keep_alive = False

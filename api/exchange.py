"""Reading requests and writing responses on bare ASGI: what the hot paths need, and no more."""

from __future__ import annotations

import os
import zlib
from collections.abc import Iterable, Sequence

from starlette.types import Receive, Scope, Send

from api.errors import ApiError, as_api_error, body_of, headers_of, too_large
from personalization.errors import InvalidInput

Headers = Sequence[tuple[bytes, bytes]]

_JSON = (b"content-type", b"application/json")
_CORS = (b"access-control-allow-origin", b"*")
_EXPOSED = (b"access-control-expose-headers", b"x-request-id, retry-after")
READABLE = (_CORS, _EXPOSED)
"""What lets a page of any origin read an error."""

DRAIN_FACTOR = 4
"""A body up to so many times the limit is read to its end before it is refused, so that the client, still
sending, gets to see why."""


class Randomness:
    """Random bytes by the buffer: one system call for hundreds of ids."""

    def __init__(self, size: int) -> None:
        self._size = size
        self._buffer = b""
        self._at = 0

    def __call__(self) -> bytes:
        """The next ``size`` bytes."""
        at = self._at
        if at + self._size > len(self._buffer):
            self._buffer = os.urandom(self._size * 512)
            at = 0
        self._at = at + self._size
        return self._buffer[at : self._at]


_request_bytes = Randomness(8)


def new_request_id() -> str:
    """Sixteen hexadecimal digits."""
    return _request_bytes().hex()


def header(scope: Scope, name: bytes) -> bytes | None:
    """The first header of that (lower-case) name."""
    headers: Iterable[tuple[bytes, bytes]] = scope["headers"]
    for key, value in headers:
        if key == name:
            return value
    return None


async def read_body(scope: Scope, receive: Receive, limit_bytes: int) -> bytes:
    """The whole body, decompressed where it is gzip, whatever the headers call it.

    Raises
    ------
    ApiError
        413 where it is beyond the limit.
    InvalidInput
        Where the gzip is broken.
    """
    message = await receive()
    body: bytes = message.get("body", b"")
    if message.get("more_body"):
        chunks = [body]
        size = len(body)
        while message.get("more_body"):
            message = await receive()
            if message["type"] == "http.disconnect":
                raise ApiError(400, "disconnected", "the connection ended before the body did", "body")
            size += len(message.get("body", b""))
            if size <= limit_bytes:
                chunks.append(message.get("body", b""))
            elif size > DRAIN_FACTOR * limit_bytes:
                break
        if size > limit_bytes:
            raise too_large(limit_bytes)
        body = b"".join(chunks)
    if len(body) > limit_bytes:
        raise too_large(limit_bytes)
    return _unzipped(body, limit_bytes) if body[:2] == b"\x1f\x8b" else body


def _unzipped(body: bytes, limit_bytes: int) -> bytes:
    unzip = zlib.decompressobj(31)
    try:
        plain = unzip.decompress(body, limit_bytes + 1)
    except zlib.error as error:
        raise InvalidInput("body", f"broken gzip: {error}", "bad_encoding") from error
    if len(plain) > limit_bytes:
        raise too_large(limit_bytes)
    if not unzip.eof:
        raise InvalidInput("body", "the gzip ends too early", "bad_encoding")
    return plain


async def respond(send: Send, status: int, body: bytes, more: Iterable[tuple[bytes, bytes]] = ()) -> None:
    """Answer with JSON, readable from any origin."""
    headers = [_JSON, (b"content-length", str(len(body)).encode()), _CORS, *more]
    await send({"type": "http.response.start", "status": status, "headers": headers})
    await send({"type": "http.response.body", "body": body})


async def respond_empty(send: Send, more: Headers = ()) -> None:
    """204."""
    await send({"type": "http.response.start", "status": 204, "headers": [_CORS, *more]})
    await send({"type": "http.response.body", "body": b""})


async def respond_error(send: Send, error: BaseException, request_id: str) -> ApiError:
    """Answer with an error; gives what it became."""
    known = as_api_error(error)
    body = body_of(known, request_id)
    await respond(send, known.status, body, [(b"x-request-id", request_id.encode()), _EXPOSED, *headers_of(known)])
    return known

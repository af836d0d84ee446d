"""Reading requests and writing responses on bare ASGI: what the routes need, and no more."""

from __future__ import annotations

import asyncio
import zlib
from collections.abc import Callable, Iterable, Sequence

from starlette.types import Receive, Scope, Send

from api.access.origins import ANY
from api.errors import ApiError, expands_too_much, too_large
from api.limits.body_room import UNCOUNTED_BYTES
from api.process.randomness import Randomness
from personalization.errors import InvalidInput

Headers = Sequence[tuple[bytes, bytes]]

JSON = b"application/json"
NO_HEADERS: Headers = ()

_NO_SNIFFING = (b"x-content-type-options", b"nosniff")
_NO_STORE = (b"cache-control", b"no-store")
_BODILESS = frozenset({204, 304})

MAX_EXPANSION = 50
"""Bytes that one byte of gzip may become. Batches of 2,000 events become 6 to 26 times as large, also where all
have one context; gzip can do 1,032."""

_FREE_BYTES = 64 * 1024
"""What a body may become whatever the ratio."""

_SLICE_BYTES = 256 * 1024
"""Unpacked at once: half a millisecond."""

DRAIN_FACTOR = 4
"""A body up to so many times the limit is read to its end before it is refused, so that the client, still
sending, gets to see why."""


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


async def read_body(scope: Scope, receive: Receive, limit_bytes: int, hold: Callable[[int], None]) -> bytes:
    """The whole body, decompressed where it is gzip, whatever the headers call it.

    Parameters
    ----------
    hold
        Takes room for so many bytes, or raises.

    Raises
    ------
    ApiError
        413 where it is beyond the limit, or expands too much; what ``hold`` raises.
    InvalidInput
        Where the gzip is broken.
    """
    message = await receive()
    body: bytes = message.get("body", b"")
    if len(body) > UNCOUNTED_BYTES:
        hold(len(body))
    if message.get("more_body"):
        chunks = [body]
        size = len(body)
        while message.get("more_body"):
            message = await receive()
            if message["type"] == "http.disconnect":
                raise ApiError(400, "disconnected", "the connection ended before the body did", "body")
            chunk = message.get("body", b"")
            size += len(chunk)
            if size <= limit_bytes:
                hold(len(chunk))
                chunks.append(chunk)
            elif size > DRAIN_FACTOR * limit_bytes:
                break
        if size > limit_bytes:
            raise too_large(limit_bytes)
        body = b"".join(chunks)
    if len(body) > limit_bytes:
        raise too_large(limit_bytes)
    return await _unzipped(body, limit_bytes, hold) if body[:2] == b"\x1f\x8b" else body


async def _unzipped(body: bytes, limit_bytes: int, hold: Callable[[int], None]) -> bytes:
    """What the gzip holds, unpacked in slices: others have their turn between them."""
    unzip = zlib.decompressobj(31)
    left, slices, size = body, [], 0
    while not unzip.eof:
        try:
            plain = unzip.decompress(left, _SLICE_BYTES)
        except zlib.error as error:
            raise InvalidInput("body", f"broken gzip: {error}", "bad_encoding") from error
        left = unzip.unconsumed_tail
        size += len(plain)
        if size > limit_bytes:
            raise too_large(limit_bytes)
        if size > _FREE_BYTES and size > MAX_EXPANSION * len(body):
            raise expands_too_much(MAX_EXPANSION)
        if not plain and not left and not unzip.eof:
            raise InvalidInput("body", "the gzip ends too early", "bad_encoding")
        hold(len(plain))
        slices.append(plain)
        if len(plain) == _SLICE_BYTES:
            await asyncio.sleep(0)
    if unzip.unused_data.strip(b"\0"):
        message = "is gzip with something behind its end, as of several parts; send one, compressed as a whole"
        raise InvalidInput("body", message, "bad_encoding")
    return b"".join(slices)


async def respond(
    send: Send,
    status: int,
    body: bytes = b"",
    media_type: bytes = JSON,
    headers: Headers = NO_HEADERS,
    readable_by: Headers = ANY,
) -> None:
    """Answer; 204 and 304 have no body.

    Parameters
    ----------
    readable_by
        Which pages may read it (``api.access.origins``).
    """
    head = protected(headers, readable_by)
    if status not in _BODILESS:
        head += [(b"content-type", media_type), (b"content-length", b"%d" % len(body))]
    await send({"type": "http.response.start", "status": status, "headers": head})
    await send({"type": "http.response.body", "body": body})


def protected(headers: Headers, readable_by: Headers = ANY) -> list[tuple[bytes, bytes]]:
    """The headers, and those of every answer: nobody guesses its type, nobody keeps it unless it says so."""
    head = [*readable_by, _NO_SNIFFING, *headers]
    for name, _ in headers:
        if name == b"cache-control":
            return head
    head.append(_NO_STORE)
    return head

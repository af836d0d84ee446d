"""What a connection is told that is closed at a bound, in the shape of every error."""

from __future__ import annotations

from http import HTTPStatus

from api.errors import ApiError, body_of, headers_of
from api.http.door import Bounds
from api.http.exchange import new_request_id, protected


def answer(error: ApiError) -> bytes:
    """The whole answer of a connection that closes behind it."""
    body = body_of(error, new_request_id())
    lines = [f"HTTP/1.1 {error.status} {HTTPStatus(error.status).phrase}".encode()]
    lines += [name + b": " + value for name, value in protected(headers_of(error))]
    lines += [b"content-type: application/json", b"content-length: %d" % len(body), b"connection: close", b"", body]
    return b"\r\n".join(lines)


def no_room(full: str, bounds: Bounds) -> ApiError:
    """A connection too many; ``full`` says of what: ``address`` or ``process``."""
    if full == "process":
        return ApiError(
            503, "too_many_connections", "this process answers as many connections as it may; come back"
        )
    return ApiError(
        429,
        "too_many_connections",
        f"your address has {bounds.of_an_address} connections with requests under way; share them. A proxy that "
        "speaks for many is named in NEXTBEST_TRUSTED_PROXIES",
    )


def not_http() -> ApiError:
    """What the parser cannot read."""
    return ApiError(
        400, "bad_request", "is not HTTP/1.1; send a request line, headers and a body as RFC 9112 has them"
    )


def head_too_large(bounds: Bounds) -> ApiError:
    """A head beyond the bounds."""
    return ApiError(
        431,
        "head_too_large",
        f"the request line and headers have at most {bounds.head_bytes} bytes and {bounds.headers} headers; send "
        "fewer cookies, or send what is long in the body",
        "headers",
    )


def too_many_waiting(bounds: Bounds) -> ApiError:
    """A client that asks on and on, and reads no answer."""
    return ApiError(
        429,
        "too_many_waiting",
        f"at most {bounds.waiting} requests of one connection wait for an answer; read them before you send more",
    )


def head_too_slow(bounds: Bounds) -> ApiError:
    """A head that does not end."""
    return ApiError(
        408, "head_too_slow", f"the head of a request comes within {bounds.head_s} s; send it at once", "headers"
    )


def body_too_slow(bounds: Bounds) -> ApiError:
    """A body that does not end."""
    message = (
        f"a body comes within {bounds.body_s} s, and after {bounds.grace_s} s at {bounds.least_bytes_per_s} bytes "
        "a second or more; send less at once"
    )
    return ApiError(408, "body_too_slow", message, "body")

"""The key that a request shows: in a header, in its address, or in its body.

A page's key is public, so it may stand anywhere a page can put it: a beacon has no headers to choose. A server key
in an address ends up in the logs of every proxy on the way, so it is refused there.
"""

from __future__ import annotations

import base64
import binascii
from collections.abc import Iterable, Mapping, Sequence
from contextlib import suppress
from urllib.parse import parse_qs

import msgspec

from api.errors import ApiError
from api.limits.slices import Slices
from api.reading.json_parts import SMALL_BYTES, NotJson, outline
from personalization.errors import InvalidInput

IN_ADDRESS = ("key", "writeKey")
"""Parameters of an address that may hold a write key."""

IN_BODY = ("writeKey",)
"""Members of a body that may hold a key."""

MAX_KEYED_BODY_BYTES = 1024 * 1024
"""A body that has to be read before anybody knows whose it is; a browser's beacons hold 64 KiB."""

_MEMBERS = msgspec.json.Decoder(dict[str, msgspec.Raw])
_TEXT = msgspec.json.Decoder(str)


def key_in_headers(headers: Iterable[tuple[bytes, bytes]]) -> str | None:
    """The key in ``Authorization``, as ``Bearer`` or as the user's name of ``Basic``, or in ``X-API-Key``."""
    for name, value in headers:
        if name == b"authorization":
            scheme, _, rest = value.partition(b" ")
            match scheme.lower():
                case b"bearer":
                    return rest.strip().decode("latin-1")
                case b"basic":
                    return _user_in(rest)
        elif name == b"x-api-key":
            return value.decode("latin-1")
    return None


def _user_in(credentials: bytes) -> str | None:
    """The user's name in Basic credentials (RFC 7617); some clients leave the colon out.

    >>> _user_in(base64.b64encode(b"pk_dev:")), _user_in(b"no base64")
    ('pk_dev', None)
    """
    try:
        user, _, _ = base64.b64decode(credentials.strip(), validate=True).partition(b":")
    except (binascii.Error, ValueError):
        return None
    return user.decode("latin-1")


def key_in_address(query: bytes) -> str | None:
    """The key in the query of a request's address; of several the first."""
    if b"ey=" not in query:
        return None
    try:
        fields = parse_qs(query.decode("ascii"), max_num_fields=100)
    except (UnicodeDecodeError, ValueError):
        return None
    return next((fields[name][0] for name in IN_ADDRESS if name in fields), None)


async def key_in_body(body: bytes, names: Sequence[str], slices: Slices) -> str | None:
    """The key in a body that is a JSON object; of several the first. What else stands there is not looked at."""
    if not any(f'"{name}"'.encode() in body for name in names):
        return None
    if len(body) <= SMALL_BYTES:
        with suppress(msgspec.DecodeError, RecursionError, UnicodeDecodeError):
            return _first(_MEMBERS.decode(body), names)
    try:
        return _first(await outline(body, slices), names)
    except (NotJson, InvalidInput):
        return None


def _first(members: Mapping[str, bytes | msgspec.Raw], names: Sequence[str]) -> str | None:
    return next((key for name in names if (key := _text(members.get(name))) is not None), None)


def _text(value: bytes | msgspec.Raw | None) -> str | None:
    try:
        return None if value is None else _TEXT.decode(value)
    except (msgspec.DecodeError, UnicodeDecodeError):
        return None


def exposed_server_key() -> ApiError:
    """A server key where everybody on the way reads it."""
    return ApiError(
        401,
        "exposed_server_key",
        "a server key stands in an address, where proxies and logs keep it: send it as "
        "'Authorization: Bearer KEY', and replace this one (`nextbest keys rotate`)",
        "key",
    )

"""The one shape of an error, and which status every error becomes.

``{"code": …, "field": …, "message": …, "requestId": …}``; the message says what is wrong and what to do.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable
from datetime import UTC, datetime

import msgspec
from msgspec import UNSET, UnsetType

from api.process.outages import outage_of
from personalization.catalog.check import nearest
from personalization.catalog.permissions import GRANTED, Permission, Role
from personalization.errors import InvalidInput, NextbestError, Refused, Unavailable

RETRY_AFTER_S = 1


class ApiError(NextbestError):
    """An error with a status of its own."""

    def __init__(
        self, status: int, code: str, message: str, field: str | None = None, *, retry_after_s: int | None = None
    ) -> None:
        super().__init__(message)
        self.status = status
        self.code = code
        self.field = field
        self.message = message
        self.retry_after_s = RETRY_AFTER_S if status == 503 else retry_after_s


def unauthorized() -> ApiError:
    """No key, or one nobody knows."""
    return ApiError(
        401,
        "unauthorized",
        "send a key of yours as 'Authorization: Bearer KEY' or 'X-API-Key: KEY'",
        "authorization",
    )


def key_ended(name: str, ended_ms: int, *, is_revoked: bool) -> ApiError:
    """A key that was good once."""
    day = datetime.fromtimestamp(ended_ms / 1000, UTC).strftime("%Y-%m-%d %H:%M")
    code, what = ("key_revoked", "was revoked") if is_revoked else ("key_expired", "expired")
    message = (
        f"the key {name} {what} on {day} UTC: use the one that took its place, or make another with "
        "`nextbest keys create` (`nextbest keys rotate` lets both live for a while)"
    )
    return ApiError(401, code, message, "authorization")


def forbidden(role: Role, permission: Permission) -> ApiError:
    """A key that may do something else."""
    if role == "write":
        message = "this needs a server key (sk_…); write keys only collect and decide"
    else:
        may = ", ".join(each for each, allowed in GRANTED.items() if permission in allowed)
        message = f"this key of role {role} has no permission {str(permission)!r}; keys of role {may} may have it"
    return ApiError(403, "forbidden", message, "authorization")


def not_proven(doubt: str) -> ApiError:
    """Somebody who did not prove to be the user they name; ``doubt`` says why."""
    message = f"{doubt}; send userHash or userToken beside it, made by your server"
    return ApiError(403, "unverified_user", message, "userId")


def forbidden_origin(source: str, origin: str) -> ApiError:
    """A page of another origin than those of the source."""
    return ApiError(
        403,
        "forbidden_origin",
        f"{origin[:100]!r} is none of the origins of source {source!r}; add it there, or use the key of another",
        "origin",
    )


def money_forbidden(limit: float) -> ApiError:
    """A write key that rewards with money."""
    return ApiError(
        403,
        "forbidden",
        f"by a write key a reward lies between -{limit:g} and {limit:g}; larger ones, such as money, need a server "
        "key (sk_…)",
        "value",
    )


def too_large(limit_bytes: int) -> ApiError:
    """A body beyond the limit."""
    return ApiError(413, "too_large", f"at most {limit_bytes} bytes, decompressed; send several requests", "body")


def too_large_for_key(limit_bytes: int) -> ApiError:
    """A body that would have to be read before anybody knows whose it is."""
    message = (
        f"at most {limit_bytes} bytes, decompressed, where the key stands in the body; send it as "
        "'Authorization: Bearer KEY', or send several requests"
    )
    return ApiError(413, "too_large", message, "body")


def expands_too_much(factor: int) -> ApiError:
    """A compressed body that is nearly nothing, many times."""
    message = f"the gzip becomes more than {factor} times as large, as no events do; send it uncompressed"
    return ApiError(413, "expands_too_much", message, "body")


def no_room_for_bodies() -> ApiError:
    """More bodies at once than a process holds."""
    message = "this process holds as much of bodies as it may; send it again in a second, or in smaller parts"
    return ApiError(503, "busy", message, "body")


def rate_limited(source: str, limit: str, wait_s: int) -> ApiError:
    """More requests than the source's limits allow; ``limit`` is the one that is reached."""
    message = (
        f"this is more than {limit} of source {source!r} allows: nothing of it was taken, send the same again in "
        f"{wait_s} s; put events into batches, or raise sources.{source}.limits.{limit}"
    )
    return ApiError(429, "rate_limited", message, retry_after_s=wait_s)


def not_found(path: str) -> ApiError:
    """Nothing has that path; what a path names by an id and is not there is ``none_such``."""
    return ApiError(404, "not_found", f"there is nothing at {path[:200]}", "path")


def none_such(field: str, message: str) -> ApiError:
    """What the path names is not there; ``field`` is the part that names it, and the message says what to do."""
    return ApiError(404, "not_found", message, field)


def no_such_name(what: str, name: str, there: Collection[str], field: str = "name") -> ApiError:
    """A name in the path, or in the query, that the catalog does not have; it names one that is much like it.

    >>> str(no_such_name("placement", "hom.hero", ["home.hero", "cart"]))
    "there is no placement 'hom.hero'; did you mean 'home.hero'?"
    >>> str(no_such_name("placement", "footer", ["home.hero", "cart"]))
    "there is no placement 'footer'; there are: cart, home.hero"
    """
    known = f"there are: {', '.join(sorted(there)) or 'none'}"
    return none_such(field, f"there is no {what} {name[:64]!r}; {nearest(name[:64], there, known)}")


def nobody_known(visitor_id: str, kind: str | None) -> ApiError:
    """An id of which nothing is known; ``kind``: the one that was asked for, None: either.

    >>> str(nobody_known("user-7", "user"))
    "nobody known has the user id 'user-7': nothing of them was taken in so far, or they were erased"
    """
    which = "id" if kind is None else f"{kind} id"
    why = "nothing of them was taken in so far, or they were erased"
    return none_such("id", f"nobody known has the {which} {visitor_id[:64]!r}: {why}")


def method_not_allowed(methods: Iterable[str]) -> ApiError:
    """Another method than the path takes."""
    return ApiError(405, "method_not_allowed", f"this takes {', '.join(methods)}", "method")


def as_api_error(error: BaseException) -> ApiError:
    """The answer to any error: what is not ours is an internal error, and says nothing about itself."""
    if isinstance(error, ApiError):
        return error
    if isinstance(error, InvalidInput):
        return ApiError(400, error.code, error.message, error.field)
    if isinstance(error, Unavailable):
        outage = outage_of(error)
        return ApiError(503, outage.code, outage.message)
    if isinstance(error, Refused):
        return ApiError(503, "refused", "a person has to act first: the log of this process says what to do")
    return ApiError(500, "internal", "this is our mistake; it was logged under this requestId")


def headers_of(error: ApiError) -> list[tuple[bytes, bytes]]:
    """The headers that go with an error."""
    if error.retry_after_s is not None:
        return [(b"retry-after", str(error.retry_after_s).encode())]
    if error.status == 401:
        return [(b"www-authenticate", b"Bearer")]
    return []


class ErrorAnswer(msgspec.Struct, rename="camel", frozen=True, kw_only=True):
    """What went wrong, and what to do about it.

    Attributes
    ----------
    code
        A word that stays the same.
    request_id
        Under which it is logged, if it is.
    field
        What of the request was wrong.
    """

    code: str
    message: str
    request_id: str
    field: str | UnsetType = UNSET


def body_of(error: ApiError, request_id: str) -> bytes:
    """The body of an error."""
    field = UNSET if error.field is None else plain(error.field)
    answer = ErrorAnswer(code=error.code, message=plain(error.message), request_id=request_id, field=field)
    return msgspec.json.encode(answer)


def plain(text: str) -> str:
    """The text without what UTF-8 cannot say, such as halves of characters that a caller sent."""
    return text.encode("utf-8", "replace").decode()

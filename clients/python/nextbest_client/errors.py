"""What went wrong, in the words of the server where it said any."""

from __future__ import annotations

import asyncio
import concurrent.futures
import json
import socket
from typing import Any

_TOO_LATE = (
    TimeoutError,
    socket.timeout,
    concurrent.futures.TimeoutError,
    asyncio.TimeoutError,
)  # one from 3.11 on


class NextbestError(Exception):
    """Something was not answered, or not taken.

    Attributes
    ----------
    code
        The server's (``invalid_field``, ``rate_limited``, …), or one of ours: ``timeout``, ``unreachable``,
        ``bad_answer``, ``invalid_argument``, ``queue_full``, ``not_sent``, ``disk``, ``closed``.
    field
        Which field is wrong, as the server names it.
    message
        What is wrong, and what to do.
    request_id
        By which the server's log knows the request.
    status
        Of the HTTP answer; 0 where there was none.
    """

    def __init__(
        self, code: str, message: str, *, field: str | None = None, request_id: str | None = None, status: int = 0
    ) -> None:
        super().__init__(f"{code}: {field + ' ' if field else ''}{message}")
        self.code = code
        self.field = field
        self.message = message
        self.request_id = request_id
        self.status = status

    @property
    def may_pass(self) -> bool:
        """Whether the same request may be taken later."""
        return self.code in ("timeout", "unreachable") or self.status in (408, 429) or self.status >= 500

    @property
    def is_of_the_key(self) -> bool:
        """Whether it is about the key: everything else that is sent by it is refused likewise."""
        return self.status in (401, 403) and not self.is_of_others

    @property
    def is_of_others(self) -> bool:
        """Whether it is the answer of something that is not nextbest, such as a proxy."""
        return self.code.startswith("http_") or self.code == "bad_answer"


def refusal(status: int, body: bytes) -> NextbestError:
    """What an answer that is not 2xx says.

    >>> error = refusal(400, b'{"code": "missing_visitor", "field": "visitor", "message": "names nobody"}')
    >>> error.code, error.field, error.may_pass
    ('missing_visitor', 'visitor', False)
    """
    try:
        said: dict[str, Any] = json.loads(body)
        return NextbestError(
            said["code"],
            said["message"],
            field=said.get("field"),
            request_id=said.get("requestId"),
            status=status,
        )
    except (ValueError, KeyError, TypeError):
        where = "leads elsewhere" if 300 <= status < 400 else "is answered by something else"
        return NextbestError(f"http_{status}", f"the address {where}: pass that of nextbest itself", status=status)


def not_reached(error: Exception) -> NextbestError:
    """Why there is no answer; whatever it is (a certificate that ended, too), it may pass."""
    if isinstance(error, _TOO_LATE):
        return NextbestError("timeout", "no answer in time")
    return NextbestError("unreachable", f"{type(error).__name__}: {error}")


def is_taken(status: int, body: bytes) -> bool:
    """Whether an answer is nextbest's, and says that what was sent is done with.

    >>> is_taken(200, b'{"accepted": 1, "rejected": []}'), is_taken(200, b"<html>Log in to the network")
    (True, False)
    """
    if not 200 <= status < 300:
        return False
    try:
        return "accepted" in json.loads(body)
    except (ValueError, TypeError):
        return False


def rejections(status: int, body: bytes) -> list[NextbestError]:
    """What an answer says of events that were not taken, each by its index in ``field``."""
    try:
        said: dict[str, Any] = json.loads(body or b"{}")
        return [
            NextbestError(
                each["code"],
                each["message"],
                field=each.get("field"),
                request_id=said.get("requestId"),
                status=status,
            )
            for each in said.get("rejected", ())
        ]
    except (ValueError, KeyError, TypeError, AttributeError):
        return []


def as_nextbest_error(error: Exception) -> NextbestError:
    """Any failure of a call as one of ours."""
    if isinstance(error, NextbestError):
        return error
    if isinstance(error, (TypeError, ValueError)) and not isinstance(error, OSError):
        return NextbestError("invalid_argument", str(error))
    return not_reached(error)

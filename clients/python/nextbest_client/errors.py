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
        return NextbestError(f"http_{status}", "something else answered: look at the address", status=status)


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
        return [] if status != 200 else [refusal(status, b"")]


def as_nextbest_error(error: Exception) -> NextbestError:
    """Any failure of a call as one of ours."""
    if isinstance(error, NextbestError):
        return error
    if isinstance(error, _TOO_LATE):
        return NextbestError("timeout", "no answer in time")
    if isinstance(error, (TypeError, ValueError)):
        return NextbestError("invalid_argument", str(error))
    return NextbestError("unreachable", f"{type(error).__name__}: {error}")

"""Answers as callers get them: camelCase JSON, typed, so that the API's description is made of what is sent."""

from __future__ import annotations

import msgspec

from api.http.dialect import Reply
from api.http.exchange import NO_HEADERS, Headers


class Answer(msgspec.Struct, rename="camel", frozen=True, kw_only=True):
    """An object as callers get it."""


encode = msgspec.json.Encoder().encode


def reply(answer: object, status: int = 200, headers: Headers = NO_HEADERS) -> Reply:
    """The answer, encoded."""
    return Reply(status, encode(answer), headers)

"""The answer to several things sent at once: how many were taken, and what was wrong with each of the others."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import orjson

from api.collecting import Taken
from api.dialect import Call, Reply
from api.errors import ApiError, body_of, plain


def answer(taken: Taken, n_sent: int, call: Call, field_of: Callable[[int, str], str]) -> Reply:
    """200 once the log has the good ones, 400 where none is good.

    Parameters
    ----------
    field_of
        Where a field stands in the body, given the place of the thing it belongs to and its name.
    """
    rejected: list[dict[str, Any]] = [
        {
            "index": index,
            "field": plain(field_of(index, error.field)),
            "code": error.code,
            "message": plain(error.message),
        }
        for index, error in taken.rejected
    ]
    warnings = [
        notice._replace(field=field_of(index, notice.field)).shown(index) for index, notice in taken.warnings
    ]
    if len(rejected) == n_sent:
        first = rejected[0]
        refused = ApiError(400, first["code"], first["message"], first["field"])
        more = {"accepted": 0, "rejected": rejected, "warnings": warnings}
        return Reply(400, body_of(refused, call.request_id, more))
    return Reply(200, orjson.dumps({"accepted": taken.n_accepted, "rejected": rejected, "warnings": warnings}))

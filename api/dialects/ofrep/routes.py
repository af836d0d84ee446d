"""The routes of OFREP, and its one shape of errors."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import orjson

from api.access.permissions import Permission
from api.dialects.ofrep.context import MISSING_KEY
from api.dialects.ofrep.evaluate import evaluate, evaluate_all
from api.errors import ApiError, plain
from api.http.dialect import PAGE_HEADERS, Dialect, Route

_POST = ("POST",)
_CODES = {404: "FLAG_NOT_FOUND", 400: "PARSE_ERROR"}


def error_body(error: ApiError, request_id: str, params: Mapping[str, str]) -> bytes:
    """An error as OFREP has it: ``errorCode`` and ``errorDetails``, and ``key`` where one flag was asked for."""
    body: dict[str, Any] = {"key": plain(params["key"])} if "key" in params else {}
    where = "" if error.field is None else f"{error.field}: "
    details = {"errorCode": error_code(error, params), "errorDetails": plain(where + error.message)}
    return orjson.dumps({**body, **details, "requestId": request_id})


def error_code(error: ApiError, params: Mapping[str, str]) -> str:
    """Which of OFREP's error codes says it best; ``GENERAL`` where none does.

    >>> error_code(ApiError(400, "bad_number", "is no number", "context.price"), {})
    'INVALID_CONTEXT'
    >>> error_code(ApiError(404, "not_found", "nothing here"), {})
    'GENERAL'
    """
    if error.code == MISSING_KEY:
        return "TARGETING_KEY_MISSING"
    if error.status == 400 and error.field is not None and error.field.split(".")[0] == "context":
        return "INVALID_CONTEXT"
    if error.status == 404 and "key" not in params:
        return "GENERAL"  # no such path, rather than no such flag
    return _CODES.get(error.status, "GENERAL")


OFREP = Dialect(
    name="ofrep",
    prefix="/ofrep/",
    routes=(
        Route(_POST, "/ofrep/v1/evaluate/flags", "ofrep_bulk", Permission.DECIDE, evaluate_all),
        Route(_POST, "/ofrep/v1/evaluate/flags/{key:path}", "ofrep", Permission.DECIDE, evaluate),
    ),
    error_body=error_body,
    accepted_headers=(*PAGE_HEADERS, "if-none-match"),
    exposed_headers=("x-request-id", "retry-after", "etag"),
)

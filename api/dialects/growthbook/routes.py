"""The routes of GrowthBook, and its shape of errors."""

from __future__ import annotations

from collections.abc import Mapping

import orjson

from api.access.permissions import Permission
from api.dialects.growthbook.client_key import client_key
from api.dialects.growthbook.evaluate import evaluate, features
from api.errors import ApiError, plain
from api.http.dialect import Dialect, Route


def error_body(error: ApiError, request_id: str, _: Mapping[str, str]) -> bytes:
    """An error as GrowthBook's API has it: ``status`` and ``error``, in words; and the code of ours."""
    where = "" if error.field is None else f"{error.field}: "
    body = {"status": error.status, "error": plain(where + error.message), "code": error.code}
    return orjson.dumps({**body, "requestId": request_id})


GROWTHBOOK = Dialect(
    name="growthbook",
    prefix="/api/",
    routes=(
        Route(("POST",), "/api/eval/{client_key}", "growthbook_eval", Permission.DECIDE, evaluate),
        Route(("GET",), "/api/features/{client_key}", "growthbook_features", Permission.DECIDE, features),
    ),
    error_body=error_body,
    key_of=client_key,
)

"""The routes of PostHog, and its shape of errors."""

from __future__ import annotations

from collections.abc import Mapping

import orjson

from api.access.permissions import Permission
from api.dialects.posthog.capture import capture
from api.dialects.posthog.flags import flags
from api.dialects.posthog.not_here import decide, definitions
from api.errors import ApiError, plain
from api.http.dialect import Dialect, Route

_POST = ("POST",)
_DEFINITIONS = ("/flags/definitions", "/api/feature_flag/local_evaluation")
_CAPTURE = ("/batch", "/capture", "/i/v0/e", "/e")
_KEYED_BODY_BYTES = 4 * 1024 * 1024
"""SDKs have no other place for their key, and send up to 5 MiB at once."""

_TYPES = {401: "authentication_error", 403: "authentication_error", 429: "throttled_error", 400: "validation_error"}


def error_body(error: ApiError, request_id: str, _: Mapping[str, str]) -> bytes:
    """An error as PostHog has it: ``type``, ``code``, ``detail`` in words, and the field as ``attr``."""
    where = "" if error.field is None else f"{error.field}: "
    body = {
        "type": _TYPES.get(error.status, "server_error" if error.status >= 500 else "invalid_request"),
        "code": error.code,
        "detail": plain(where + error.message),
        "attr": None if error.field is None else plain(error.field),
    }
    return orjson.dumps({**body, "requestId": request_id})


POSTHOG = Dialect(
    name="posthog",
    prefix="/i/v0/",
    routes=(
        *(
            Route(_POST, path + slash, "posthog_capture", Permission.COLLECT, capture)
            for path in _CAPTURE
            for slash in ("/", "")
        ),
        Route(_POST, "/flags/", "posthog_flags", Permission.DECIDE, flags),
        Route(_POST, "/flags", "posthog_flags", Permission.DECIDE, flags),
        *(
            Route(("GET",), path + slash, "posthog_definitions", None, definitions)
            for path in _DEFINITIONS
            for slash in ("", "/")
        ),
        Route(_POST, "/decide/", "posthog_decide", None, decide),
        Route(_POST, "/decide", "posthog_decide", None, decide),
    ),
    error_body=error_body,
    body_keys=("api_key", "token"),
    keyed_body_bytes=_KEYED_BODY_BYTES,
)

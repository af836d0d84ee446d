"""The client key of GrowthBook's SDKs, which stands in the path."""

from __future__ import annotations

from collections.abc import Mapping

from starlette.types import Scope

from api.access.shown_key import exposed_server_key
from api.http.dialect import Call, shown_key


def client_key(scope: Scope) -> str | None:
    """The key of a request: in a header, which servers may choose, else in the path."""
    shown = shown_key(scope)
    if shown is not None:
        return shown
    params: Mapping[str, str] = scope.get("path_params", {})
    return params.get("client_key")


def check_not_exposed(call: Call) -> None:
    """Raise ``ApiError`` for a server key in the path, where proxies and logs keep it."""
    if call.caller.is_server and shown_key(call.scope) is None:
        raise exposed_server_key()

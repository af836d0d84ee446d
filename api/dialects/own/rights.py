"""``GET /v1/visitors/{id}/export``, ``DELETE /v1/visitors/{id}`` and ``GET /v1/erasures/{id}``, for server keys."""

from __future__ import annotations

import re
from typing import Any, cast

import msgspec
import orjson
from starlette.datastructures import QueryParams

from api.dialect import Call, Reply
from api.errors import not_found
from api.ids import check_id
from api.rights import Kind
from personalization.errors import InvalidInput
from personalization.visitor.visitor_key import is_registered, raw_id
from state.erasure_store import Erasure
from state.visitor_store import Stored

WAIT_S = 10.0
MAX_WAIT_S = 30.0
_WAIT = re.compile(rb"\bwait\s*=\s*([0-9]{1,4})\b")


async def export(call: Call) -> Reply:
    """Show all that is kept of a person."""
    visitor_id, person = await _person(call)
    services = call.core.services
    shown = {"visitorId": visitor_id, **await services.rights.export(person)}
    if not (shown["states"] or any(shown["log"].values())):
        raise not_found(call.scope["path"])
    return Reply(200, orjson.dumps(shown), _AS_FILE)


async def erase(call: Call) -> Reply:
    """Erase a person. What is done within the time that ``Prefer: wait`` gives is answered, else where to look."""
    _, person = await _person(call)
    services = call.core.services
    erasure = await services.rights.erase(person, _wait_s(call))
    for key in person:
        services.linker.forget(key)
        services.consent.forget(key)
        if not is_registered(key):
            services.proven_pairs.forget(raw_id(key))
    return _shown(erasure)


async def erasure(call: Call) -> Reply:
    """Show what became of an erasure."""
    found = await call.core.services.rights.erasure(call.params["erasure_id"])
    if found is None:
        raise not_found(call.scope["path"])
    return _shown(found)


_AS_FILE = ((b"content-disposition", b'attachment; filename="export.json"'),)


def _shown(erasure: Erasure) -> Reply:
    shown: dict[str, Any] = msgspec.to_builtins(erasure)
    for name in ("keys", "units", "erasedMs"):
        shown.pop(name, None)
    shown["status"] = "done" if erasure.done_ms else "pending"
    if erasure.done_ms:
        return Reply(200, orjson.dumps(shown))
    where = f"/v1/erasures/{erasure.erasure_id}".encode()
    return Reply(202, orjson.dumps(shown), ((b"location", where),))


async def _person(call: Call) -> tuple[str, dict[str, Stored]]:
    visitor_id = check_id(call.params["visitor_id"], "id")
    kind = QueryParams(call.scope["query_string"]).get("kind")
    if visitor_id is None or kind not in (None, "user", "anonymous"):
        raise InvalidInput("kind", "must be user or anonymous", "invalid_field")
    return visitor_id, await call.core.services.rights.person(visitor_id, cast("Kind | None", kind))


def _wait_s(call: Call) -> float:
    """How long the caller waits, by ``Prefer: wait=SECONDS`` (RFC 7240)."""
    for name, value in call.scope["headers"]:
        if name == b"prefer":
            if b"respond-async" in value:
                return 0.0
            if found := _WAIT.search(value):
                return min(MAX_WAIT_S, float(found[1]))
    return WAIT_S

"""``GET /v1/visitors/{id}/export``, ``DELETE /v1/visitors/{id}`` and ``GET /v1/erasures/{id}``, for server keys."""

from __future__ import annotations

import re
from typing import Any, Literal

import orjson
from msgspec import UNSET, UnsetType

from api.dialects.own.visitors import KIND_QUERY
from api.errors import nobody_known, none_such
from api.http.answer import Answer, reply
from api.http.dialect import Call, Reply
from api.reading.ids import check_id
from personalization.errors import InvalidInput
from personalization.visitor.visitor_key import is_registered, raw_id
from state.erasure_store import Erasure, Remaining
from state.visitor_store import Stored

WAIT_S = 10.0
MAX_WAIT_S = 30.0


class ExportedId(Answer, frozen=True, kw_only=True):
    """An id of theirs."""

    kind: Literal["user", "anonymous"]
    id: str


class ExportAnswer(Answer, frozen=True, kw_only=True):
    """All that is kept of a person, by the names of the fields it is kept in.

    Attributes
    ----------
    log
        What the topics hold of them, entry by entry.
    """

    visitor_id: str
    ids: list[ExportedId]
    exported_ms: int
    states: list[dict[str, Any]]
    log: dict[str, list[dict[str, Any]]]


class ErasureAnswer(Answer, frozen=True, kw_only=True):
    """What became of an erasure.

    Attributes
    ----------
    n_ids
        How many ids the person had.
    removed
        How much was removed, by kind.
    remains
        What is left, and until when; 0: for good.
    """

    erasure_id: str
    asked_ms: int
    done_ms: int | UnsetType = UNSET
    n_ids: int | UnsetType = UNSET
    removed: dict[str, int] | UnsetType = UNSET
    remains: tuple[Remaining, ...] | UnsetType = UNSET
    status: Literal["done", "pending"]


_WAIT = re.compile(rb"\bwait\s*=\s*([0-9]{1,4})\b")


async def export(call: Call) -> Reply:
    """Show all that is kept of a person."""
    visitor_id, person = await _person(call)
    services = call.core.services
    shown = {"visitorId": visitor_id, **await services.rights.export(person)}
    if not (shown["states"] or any(shown["log"].values())):
        raise nobody_known(visitor_id, KIND_QUERY.read(call.scope["query_string"]).kind)
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
        raise none_such(
            "erasureId", "no erasure has this id; send it as DELETE answered it: a report stays for 90 days"
        )
    return _shown(found)


_AS_FILE = ((b"content-disposition", b'attachment; filename="export.json"'),)


def _shown(erasure: Erasure) -> Reply:
    told = ErasureAnswer(
        erasure_id=erasure.erasure_id,
        asked_ms=erasure.asked_ms,
        done_ms=erasure.done_ms or UNSET,
        n_ids=erasure.n_ids or UNSET,
        removed=erasure.removed or UNSET,
        remains=erasure.remains or UNSET,
        status="done" if erasure.done_ms else "pending",
    )
    if erasure.done_ms:
        return reply(told)
    where = f"/v1/erasures/{erasure.erasure_id}".encode()
    return reply(told, 202, ((b"location", where),))


async def _person(call: Call) -> tuple[str, dict[str, Stored]]:
    visitor_id = check_id(call.params["visitor_id"], "id")
    kind = KIND_QUERY.read(call.scope["query_string"]).kind
    if visitor_id is None:
        raise InvalidInput("id", "is empty; write the visitor's into the path", "missing_field")
    return visitor_id, await call.core.services.rights.person(visitor_id, kind)


def _wait_s(call: Call) -> float:
    """How long the caller waits, by ``Prefer: wait=SECONDS`` (RFC 7240)."""
    for name, value in call.scope["headers"]:
        if name == b"prefer":
            if b"respond-async" in value:
                return 0.0
            if found := _WAIT.search(value):
                return min(MAX_WAIT_S, float(found[1]))
    return WAIT_S

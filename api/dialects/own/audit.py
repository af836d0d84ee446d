"""``GET /v1/audit``: who did what, for admin keys."""

from __future__ import annotations

import orjson
from msgspec import MsgspecError
from starlette.datastructures import QueryParams

from api.dialect import Call, Reply
from personalization.audit.chain import SignedRecord, decode, note_of
from personalization.audit.record import TRAILS
from personalization.errors import InvalidInput

DEFAULT_LIMIT, MAX_LIMIT = 100, 1_000


async def show(call: Call) -> Reply:
    """Records of one trail from a number on, in order; this very read is recorded before them.

    ``?trail=acts|reads&from=1&limit=100``.
    """
    query = QueryParams(call.scope["query_string"])
    trail = query.get("trail", "acts")
    if trail not in TRAILS:
        raise InvalidInput("trail", f"must be {' or '.join(TRAILS)}", "invalid_field")
    from_n = _whole(query, "from", 0, 2**53)
    limit = _whole(query, "limit", DEFAULT_LIMIT, MAX_LIMIT)
    log = call.core.services.audit
    entries = await log.read(trail, from_n, limit)
    head = await log.head(trail)
    body = {
        "trail": trail,
        "records": [_shown(entry) for entry in entries],
        "next": entries[-1].n + 1 if len(entries) == limit else None,
        "last": note_of(trail, head) if head.n else None,
    }
    return Reply(200, orjson.dumps(body))


def _shown(entry: SignedRecord) -> dict[str, object]:
    """A record; one that cannot be read is shown as that, for somebody has changed it."""
    try:
        record = decode(entry.body)
    except MsgspecError:
        return {"n": entry.n, "unreadable": True}
    return {
        "n": entry.n,
        "atMs": record.at_ms,
        "actor": record.actor,
        "act": record.act,
        "objects": list(record.objects),
        "outcome": record.outcome,
        "status": record.status or None,
        "network": record.network or None,
        "of": record.of or None,
        "times": record.times,
    }


def _whole(query: QueryParams, name: str, default: int, most: int) -> int:
    text = query.get(name)
    if text is None:
        return default
    if not (text.isascii() and text.isdecimal()) or len(text) > 16 or int(text) > most:
        raise InvalidInput(name, f"must be a whole number from 0 to {most}", "invalid_field")
    return int(text)

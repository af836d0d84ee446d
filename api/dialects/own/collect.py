"""``POST /v1/events``: one event, or a batch."""

from __future__ import annotations

import msgspec

from api.dialects.own.wire import BATCH, WireBatch
from api.http.dialect import Call, Reply
from api.limits.slices import Slices
from api.reading.events import MAX_EVENTS, read_event
from api.reading.json_parts import decoded, read_elements, read_members
from api.reading.times import WireTime
from api.services.collecting import Incoming, incoming_of
from api.taken import answer
from personalization.errors import InvalidInput


async def collect(call: Call) -> Reply:
    """Take events: 200 once the log has the good ones, 400 where none is."""
    core = call.core
    batch, single = await read_batch(await call.body(core.services.max_body_bytes), Slices(core.services.turnstile))
    call.weigh(len(batch.events))
    intake = call.intake()

    def read(index: int, raw: msgspec.Raw) -> Incoming:
        field = "" if single else f"events[{index}]"
        return incoming_of(read_event(raw, field, intake), field, batch.sent_at, intake, call.proof)

    taken = await core.collector.take(batch.events, read, intake)
    return answer(taken, len(batch.events), call, lambda _, field: field.lstrip(".") or "body")


async def read_batch(body: bytes, slices: Slices) -> tuple[WireBatch, bool]:
    """The events of a body, and whether it was a single one. What is in them is looked at one by one.

    Raises
    ------
    InvalidInput
        Where the body as a whole is no batch.
    """
    members = await read_members(body, slices, "events")
    if "events" not in members:
        if "type" not in members:
            raise InvalidInput("events", 'is missing; send one event, or {"events": […]}', "missing_field")
        return WireBatch(events=[msgspec.Raw(body)]), True
    events = await read_elements(members["events"], slices, "events", MAX_EVENTS)
    if not events:
        raise InvalidInput("events", "is empty; send at least one event", "missing_field")
    BATCH.n_unknown += bool(members.keys() - _KNOWN)
    sent_at = decoded(_TIME, members["sentAt"], "sentAt") if "sentAt" in members else None
    return WireBatch(events=events, sent_at=sent_at), False


_KNOWN = {"events", "sentAt"}
_TIME: msgspec.json.Decoder[WireTime] = msgspec.json.Decoder(WireTime)

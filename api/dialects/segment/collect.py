"""Events in batches and one by one: 200 ``{"success":true}`` once the log has the good ones.

A client sends again what was not answered by 200, and these protocols have no way to say which event of a batch was
bad. So bad events are answered by 200 too, counted and kept (``api.services.refused_events``), unless the caller
asks to be told by ``X-Strict-Mode: 1``. What is no JSON, or no batch, is refused in either mode.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import msgspec

from api.dialects.segment.event import Kind, event_in_batch, single_event
from api.dialects.segment.shared_context import SharedContext, read_shared_context
from api.http.dialect import Call, Handler, Reply
from api.http.exchange import header
from api.limits.slices import Slices
from api.reading.json_parts import decoded, read_elements, read_members
from api.reading.times import WireTime
from api.services.collecting import Incoming, Taken, incoming_of
from api.services.intake import Intake
from api.services.speaking import UNVERIFIED
from api.taken import refusal
from personalization.errors import InvalidInput

MAX_BATCH = 2_500
"""Events of one batch; Segment's limit too."""

MAX_BODY_BYTES = 4 * 1024 * 1024
"""RudderStack's clients send as much."""

SUCCESS = Reply(200, b'{"success":true}')

_STRICT = b"x-strict-mode"
_TIME: msgspec.json.Decoder[WireTime] = msgspec.json.Decoder(WireTime)


async def collect_batch(call: Call) -> Reply:
    """Take the events of a batch."""
    sent, sent_at, common = await read_batch(await _body(call), Slices(call.core.services.turnstile))
    call.weigh(len(sent))
    intake = call.intake()

    def read(index: int, raw: msgspec.Raw) -> Incoming:
        field = f"batch[{index}]"
        return incoming_of(event_in_batch(raw, field, common, intake), field, sent_at, intake, call.proof)

    return _answer(call, sent, await call.core.collector.take(sent, read, intake), intake)


def collect_single(kind: Kind) -> Handler:
    """What takes one event, of the type that its path names."""

    async def collect(call: Call) -> Reply:
        body = await _body(call)
        call.weigh(1)
        intake = call.intake()

        def read(_: int, raw: bytes) -> Incoming:
            return incoming_of(single_event(raw, kind, intake), "", None, intake, call.proof)

        taken = await call.core.collector.take((body,), read, intake)
        for _, error in taken.rejected:
            if error.field == "body" or error.code == "bad_json":
                raise error  # no event at all, whatever the mode
        return _answer(call, (body,), taken, intake)

    return collect


async def _body(call: Call) -> bytes:
    return await call.body(min(MAX_BODY_BYTES, call.core.services.max_body_bytes))


def _answer(call: Call, sent: Sequence[bytes | msgspec.Raw], taken: Taken, intake: Intake) -> Reply:
    services, source = call.core.services, intake.caller.access.source
    n_unverified = sum(notice.code == UNVERIFIED for _, notice in taken.warnings)
    if n_unverified:
        services.metrics.unverified_users.labels(source).inc(n_unverified)
    if not taken.rejected:
        return SUCCESS
    if header(call.scope, _STRICT) == b"1":
        return refusal(taken, call, lambda _, field: field.lstrip(".") or "body")
    for index, error in taken.rejected:
        services.refused_events.note(source, error, sent[index], intake.received_at_ms)
    return SUCCESS


class Batch(NamedTuple):
    """The events of a body, each to be read by itself, when they were sent, and what they have in common."""

    sent: list[msgspec.Raw]
    sent_at: WireTime
    common: SharedContext


async def read_batch(body: bytes, slices: Slices) -> Batch:
    """What a body holds.

    Raises
    ------
    InvalidInput
        Where the body as a whole is no batch.
    """
    members = await read_members(body, slices, "batch")
    if "batch" not in members:
        raise InvalidInput("batch", 'is missing; send {"batch": […]}', "missing_field")
    sent = await read_elements(members["batch"], slices, "batch", MAX_BATCH)
    sent_at = decoded(_TIME, members["sentAt"], "sentAt") if "sentAt" in members else None
    return Batch(sent, sent_at, read_shared_context(members.get("context"), len(sent)))

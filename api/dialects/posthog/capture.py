"""``POST /batch/``, ``/capture/``, ``/i/v0/e/`` and ``/e/``: events of one request."""

from __future__ import annotations

from typing import Any, NamedTuple

import msgspec
from msgspec import structs

from api.dialects.posthog.captured import CAPTURE, Part, parts_of
from api.errors import plain
from api.http.answer import reply
from api.http.dialect import Call, Reply
from api.limits.context_bounds import check_event, cut_lists
from api.limits.slices import Slices
from api.reading.events import MAX_EVENT_BYTES, MAX_EVENTS, client_event, event_time_ms
from api.reading.json_parts import decoded, read_elements, read_members
from api.reading.notice import Notice
from api.reading.times import WireTime
from api.services.collecting import Incoming, incoming
from api.services.intake import Intake
from api.services.speaking import Named, ProofSource, named
from personalization.errors import InvalidInput
from personalization.events.event import Identify


class Captured(NamedTuple):
    """The events of a request, yet to be read.

    Attributes
    ----------
    is_single
        It is one alone, whose fields stand at the top.
    sent_at
        When the batch was sent, by its sender's clock.
    """

    events: list[msgspec.Raw]
    is_single: bool = False
    sent_at: WireTime = None


async def capture(call: Call) -> Reply:
    """Take events: 200 once the log has the good ones, 400 where none is."""
    core = call.core
    slices = Slices(core.services.turnstile)
    captured = await read_captured(await call.body(core.services.max_body_bytes), slices)
    call.weigh(len(captured.events))
    intake = call.intake()
    parts: list[Part] = []
    rejected: list[tuple[int, InvalidInput]] = []
    for index, raw in enumerate(captured.events):
        if slices.is_over:
            await slices.pause()
        try:
            parts += _parts(raw, index, captured, call.proof, intake)
        except InvalidInput as error:
            rejected.append((index, error))

    def read(_: int, part: Part) -> Incoming:
        return _incoming(part, captured.sent_at, intake, call.proof)

    noticed = [(None, notice) for notice in intake.notices]
    intake.notices.clear()
    taken = await core.collector.take(parts, read, intake)
    rejected += [(parts[at].place, error) for at, error in taken.rejected]
    if rejected and not taken.n_accepted and len({index for index, _ in rejected}) == len(captured.events):
        first = min(rejected, key=lambda each: each[0])[1]
        raise InvalidInput(first.field, first.message, first.code)
    warnings: list[tuple[int | None, Notice]] = [
        *noticed,
        *(_warning(parts[at], one) for at, one in taken.warnings),
    ]
    body: dict[str, Any] = {"status": 1}
    if rejected:
        body["rejected"] = [_rejected(index, error) for index, error in sorted(rejected, key=lambda each: each[0])]
    if warnings:
        body["warnings"] = [notice.shown(index) for index, notice in warnings]
    return reply(body)


async def read_captured(body: bytes, slices: Slices) -> Captured:
    """The events of a body: an object with ``batch``, a list of them, or one.

    Raises
    ------
    InvalidInput
        Where the body as a whole is none of these.
    """
    if body.lstrip()[:1] == b"[":
        return Captured(await read_elements(msgspec.Raw(body.strip()), slices, "body", MAX_EVENTS))
    members = await read_members(body, slices, "batch")
    if "batch" not in members:
        if "event" not in members:
            raise InvalidInput("batch", 'is missing; send one event, or {"batch": […]}', "missing_field")
        return Captured([msgspec.Raw(body)], is_single=True)
    events = await read_elements(members["batch"], slices, "batch", MAX_EVENTS)
    sent_at = decoded(_TIME, members["sent_at"], "sent_at") if "sent_at" in members else None
    return Captured(events, sent_at=sent_at)


_TIME: msgspec.json.Decoder[WireTime] = msgspec.json.Decoder(WireTime)


def _parts(raw: msgspec.Raw, index: int, captured: Captured, others: ProofSource, intake: Intake) -> list[Part]:
    text = bytes(raw)
    name = "" if captured.is_single else f"batch[{index}]"
    if len(text) > MAX_EVENT_BYTES:
        message = f"is {len(text)} bytes; at most {MAX_EVENT_BYTES} are taken"
        raise InvalidInput(name or "body", message, "too_large")
    return list(parts_of(CAPTURE.read(text, name), index, f"{name}." if name else "", text, others, intake))


def _incoming(part: Part, sent_at: WireTime, intake: Intake, others: ProofSource) -> Incoming:
    try:
        intake.notices += cut_lists(part.event, part.text, part.field.rstrip("."))
        check_event(part.event, part.text, "")
        user_id, anonymous_id = part.person
        if user_id is None and anonymous_id is None:
            raise InvalidInput("distinctId", "is missing; send the id of who did it", "missing_visitor")
        who: Named = named(user_id, anonymous_id, part.proof, others, "distinctId", intake)
        event = client_event(part.event, "", intake, user_id, anonymous_id)
        if part.traits_once and isinstance(event, Identify):
            event = structs.replace(event, traits_once=part.traits_once)
        return incoming(event, event_time_ms(part.event, sent_at, "", intake), who, "", intake)
    except InvalidInput as error:
        raise InvalidInput(part.field + _as_sent(error.field), error.message, error.code) from error


_SENT = {
    "distinctId": "distinct_id",
    "userId": "distinct_id",
    "anonymousId": "distinct_id",
    "messageId": "uuid",
    "groupId": "properties.$group_key",
    "previousId": "properties.distinct_id",
    "traits": "$set",
    "sentAt": "sent_at",
}
"""Fields of our events, as PostHog has them."""


def _as_sent(field: str) -> str:
    """
    >>> _as_sent(".traits.plan"), _as_sent("properties.n")
    ('$set.plan', 'properties.n')
    """
    first, dot, rest = field.lstrip(".").partition(".")
    return _SENT.get(first, first) + dot + rest


def _warning(part: Part, notice: Notice) -> tuple[int, Notice]:
    """What is to be told of a part, by its place and the field as it was sent."""
    return part.place, notice._replace(field=part.field + _as_sent(notice.field.removeprefix(part.field)))


def _rejected(index: int, error: InvalidInput) -> dict[str, Any]:
    return {"index": index, "field": plain(error.field), "code": error.code, "message": plain(error.message)}

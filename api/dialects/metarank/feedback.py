"""``POST /feedback``: what items are, who visitors are, what was shown, and what came of it."""

from __future__ import annotations

import time
from typing import Any, Literal, NamedTuple

import msgspec
from msgspec import structs

from api.access.caller import authorise
from api.access.permissions import Permission
from api.dialects.metarank.fields import WireField, features_of, said_in
from api.dialects.metarank.rank import WireItem
from api.dialects.metarank.visitors import visitor_of
from api.errors import ApiError, as_api_error, plain
from api.http.answer import reply
from api.http.dialect import Call, Reply
from api.limits.context_bounds import check_event, cut_lists
from api.limits.slices import Slices
from api.reading.events import MAX_EVENT_BYTES, MAX_EVENTS, client_event
from api.reading.ids import WireId, check_id, is_given
from api.reading.json_parts import read_elements
from api.reading.notice import Notice
from api.reading.times import SECONDS_BELOW, WireTime, occurred_at_ms
from api.reading.wire import Reader, WireEvent, refusal
from api.services.auditing import TRAIL_OF
from api.services.collecting import Incoming, incoming
from api.services.intake import Intake
from api.services.speaking import named
from api.services.stocking import Stock
from personalization.catalog.item import MAX_ITEMS, Item, check_item
from personalization.catalog.sections.content import Content
from personalization.deciding.draw import decision_id_by_arm
from personalization.errors import InvalidInput
from personalization.visitor.visitor_key import visitor_key

MAX_BODY_BYTES = 1024 * 1024


class WireFeedback(msgspec.Struct, frozen=True, kw_only=True):
    """One event of any kind. What else a client sends is not looked at."""

    event: Literal["item", "user", "ranking", "interaction"]
    id: WireId = None
    timestamp: WireTime = None
    user: WireId = None
    session: WireId = None
    item: WireId = None
    items: list[WireItem] | None = None
    ranking: WireId = None
    type: str | None = None
    fields: list[WireField] | None = None


FEEDBACK: Reader[WireFeedback] = Reader(WireFeedback, WireFeedback)


class Told(msgspec.Struct, frozen=True):
    """An event of ours that one of Metarank's says.

    Attributes
    ----------
    place
        Of that one, in the request.
    arm
        The item it is about, in the ranking ``ranking_id``; empty: none is named.
    """

    place: int
    field: str
    text: bytes
    wire: WireFeedback
    event: WireEvent
    ranking_id: str = ""
    arm: str = ""


class Named(NamedTuple):
    """An item that is told of, with its place in the request and where that is."""

    place: int
    field: str
    item: Item


async def feedback(call: Call) -> Reply:
    """Take events: 200 once the good ones are kept, 400 where none is."""
    core = call.core
    slices = Slices(core.services.turnstile)
    events, is_single = await read_feedback(
        await call.body(min(MAX_BODY_BYTES, core.services.max_body_bytes)), slices
    )
    call.weigh(len(events))
    intake = call.intake()
    told: list[Told] = []
    items: dict[str, Named] = {}
    rejected: list[tuple[int, InvalidInput]] = []
    for index, raw in enumerate(events):
        if slices.is_over:
            await slices.pause()
        field = "" if is_single else f"events[{index}]."
        try:
            wire = _read(raw, field)
            if wire.event == "item":
                item_id, item = _item(wire, field, core.stock)
                if item_id in items:
                    item = _beside(item_id, items[item_id].item, item, field)
                items[item_id] = Named(index, field, item)
            else:
                told += _told(wire, bytes(raw), index, field, intake)
        except InvalidInput as error:
            rejected.append((index, error))
    if items:
        rejected += await _put(call, items)

    def read(_: int, one: Told) -> Incoming:
        return _incoming(one, call, intake)

    taken = await core.collector.take(told, read, intake)
    rejected += [(told[at].place, error) for at, error in taken.rejected]
    n_rejected = len({index for index, _ in rejected})
    if n_rejected == len(events):
        first = min(rejected, key=lambda each: each[0])[1]
        raise InvalidInput(first.field, first.message, first.code)
    warnings: list[tuple[int, Notice]] = [(told[at].place, notice) for at, notice in taken.warnings]
    body: dict[str, Any] = {
        "accepted": len(events) - n_rejected,
        "status": "ok",
        "tookMillis": int((time.perf_counter() - call.began) * 1000),
        "updated": 0,
    }
    if rejected:
        body["rejected"] = [_rejected(index, error) for index, error in sorted(rejected, key=lambda each: each[0])]
    if warnings:
        body["warnings"] = [notice.shown(index) for index, notice in warnings]
    return reply(body)


_ONE = msgspec.json.Decoder(msgspec.Raw)


async def read_feedback(body: bytes, slices: Slices) -> tuple[list[msgspec.Raw], bool]:
    """The events of a body, and whether it is a single one: an object, a list of them, or one on each line.

    Raises
    ------
    InvalidInput
        Where the body as a whole is none of these.
    """
    text = body.strip()
    if text[:1] == b"[":
        found = await read_elements(msgspec.Raw(text), slices, "events", MAX_EVENTS)
        if not found:
            raise InvalidInput("events", "are none; send at least one", "missing_field")
        return found, False
    try:
        lines = _ONE.decode_lines(text)
    except msgspec.DecodeError:
        lines = []
    if len(lines) > MAX_EVENTS:
        raise InvalidInput("events", f"are {len(lines)}; at most {MAX_EVENTS} at once", "too_many")
    if len(lines) > 1:
        return lines, False
    try:
        return [_ONE.decode(text)], True
    except msgspec.DecodeError as error:
        broken = [line for line in text.splitlines() if line.strip()]
        if len(broken) > MAX_EVENTS or not any(map(_is_object, broken)):
            raise refusal(error, text) from error
        return [msgspec.Raw(line) for line in broken], False  # the lines that are none are refused one by one


def _is_object(line: bytes) -> bool:
    try:
        return bytes(_ONE.decode(line)).lstrip()[:1] == b"{"
    except msgspec.DecodeError:
        return False


def _read(raw: msgspec.Raw, field: str) -> WireFeedback:
    text = bytes(raw)
    if len(text) > MAX_EVENT_BYTES:
        where = field.rstrip(".") or "body"
        raise InvalidInput(where, f"is {len(text)} bytes; at most {MAX_EVENT_BYTES} are taken", "too_large")
    return FEEDBACK.read(text, field.rstrip("."))


def _item(wire: WireFeedback, field: str, stock: Stock) -> tuple[str, Item]:
    item_id = _needed(wire.item, f"{field}item", "the item's id")
    item = Item(content=Content(features=features_of(wire.fields, f"{field}fields")))
    try:
        check_item(item_id, item)
        stock.check_id(item_id)
    except InvalidInput as error:
        raise _below(field, error) from error
    return item_id, item


def _below(field: str, error: InvalidInput) -> InvalidInput:
    where = {"id": "item", "features": "fields"}.get(error.field, error.field)
    return InvalidInput(field + where, error.message, error.code)


async def _put(call: Call, items: dict[str, Named]) -> list[tuple[int, InvalidInput]]:
    """Keep what was told of items, beside what is kept of them; gives those for which there is no room."""
    audited = call.audited_as(TRAIL_OF[Permission.ITEMS], "metarank_items")
    try:
        authorise(call.caller, Permission.ITEMS)
    except ApiError:
        await audited.refuse(call.began)
        raise
    await audited.begin(objects=[f"content_id:{item_id}" for item_id in items])
    left_out = []
    try:
        for item_id, (place, field, item) in items.items():
            try:
                await _keep(call, item_id, item, field)
            except InvalidInput as error:
                left_out.append((place, error))
    except Exception as error:
        await call.fail(as_api_error(error).status)
        raise
    return left_out


async def _keep(call: Call, item_id: str, item: Item, field: str) -> None:
    """Keep an item; raises ``InvalidInput`` below ``field`` where there is no room for it."""

    def beside(held: Item) -> Item:
        return _beside(item_id, held, item, field)

    if await call.core.stock.change(item_id, beside, call.caller) is not None:
        return
    done = await call.core.stock.put({item_id: item}, call.caller)
    if done[item_id] is None:
        raise InvalidInput(f"{field}item", f"there are {MAX_ITEMS:,} items already; take some out first", "no_room")


def _beside(item_id: str, held: Item, new: Item, field: str) -> Item:
    """What is told of an item beside what was; raises ``InvalidInput`` below ``field`` where that is too much."""
    features = {**held.content.features, **new.content.features}
    found = structs.replace(held, content=structs.replace(held.content, features=features))
    try:
        check_item(item_id, found)
    except InvalidInput as error:
        raise _below(field, error) from error
    return found


def _told(wire: WireFeedback, text: bytes, place: int, field: str, intake: Intake) -> list[Told]:
    values, context = said_in(wire.fields, f"{field}fields")
    if wire.event == "user":
        if not is_given(wire.user):
            raise InvalidInput(f"{field}user", "is missing; send the visitor's id", "missing_field")
        return [
            Told(
                place,
                field,
                text,
                wire,
                WireEvent(type="identify", traits=values, message_id=wire.id, context=context or None),
            )
        ]
    if wire.event == "ranking":
        return _shown(wire, text, place, field, intake, context)
    item_id = _needed(wire.item, f"{field}item", "the item's id")
    name = _needed(wire.type, f"{field}type", "what was done, such as click")
    properties = {**values, "itemId": item_id, "contentId": item_id}
    event = WireEvent(type="track", event=name, properties=properties, message_id=wire.id, context=context or None)
    ranking_id = check_id(wire.ranking, f"{field}ranking") or ""
    return [Told(place, field, text, wire, event, ranking_id, item_id)]


def _shown(
    wire: WireFeedback, text: bytes, place: int, field: str, intake: Intake, context: dict[str, Any]
) -> list[Told]:
    """An impression of each of the first items: of as many as are drawn."""
    ranking_id = _needed(wire.id, f"{field}id", "the id that the ranking was asked for by")
    if not wire.items:
        raise InvalidInput(f"{field}items", "are missing; send what was shown, in order", "missing_field")
    rankings = [each.spec.slots for each in intake.catalog.placements.values() if each.spec.arms == "caller"]
    found = []
    for index, item in enumerate(wire.items[: max(rankings, default=0)]):
        item_id = _needed(item.id, f"{field}items[{index}].id", "the item's id")
        told = {"contentId": item_id}
        event = WireEvent(type="track", event="Impression", properties=told, context=context or None)
        found.append(Told(place, field, text, wire, event, ranking_id, item_id))
    return found


def _incoming(one: Told, call: Call, intake: Intake) -> Incoming:
    wire, field = one.wire, one.field
    intake.notices += cut_lists(one.event, one.text, field.rstrip("."))
    check_event(one.event, one.text, field.rstrip("."))
    ranking: WireId = one.ranking_id or None
    proof = call.proof()
    user_id, anonymous_id = visitor_of(wire.user, wire.session, ranking, field, intake, proven=proof.is_shown)
    if user_id is None and anonymous_id is None:
        message = "is missing; send the user, the session, or the ranking that was asked for without them"
        raise InvalidInput(f"{field}user", message, "missing_visitor")
    who = named(user_id, anonymous_id, proof, call.proof, f"{field}user", intake)
    event, message_id = one.event, None
    if one.ranking_id:
        keys = call.core.services.decision_keys()
        key = visitor_key(user_id, anonymous_id)
        decision_id = decision_id_by_arm(keys, key=key, request_id=one.ranking_id, arm=one.arm)
        event = structs.replace(event, properties={**(event.properties or {}), "decisionId": decision_id})
        if wire.event == "ranking":
            message_id = f"shown:{decision_id}"
    made = client_event(event, field.rstrip("."), intake, user_id, anonymous_id, message_id)
    return incoming(made, _at_ms(wire.timestamp, field, intake), who, field.rstrip("."), intake)


_MAX_DIGITS = 16
"""Of a time: the year 9999 has fifteen."""


def _at_ms(sent: WireTime, field: str, intake: Intake) -> int:
    """When it happened; text of digits is a number, and small numbers are seconds."""
    if isinstance(sent, str) and len(sent) <= _MAX_DIGITS and sent.isascii() and sent.isdigit():
        sent = int(sent)
    if isinstance(sent, int | float) and 0 < sent < SECONDS_BELOW:
        sent = sent * 1000
    return occurred_at_ms(
        sent,
        None,
        intake.received_at_ms,
        intake.notices,
        field=f"{field}timestamp",
        sent_field="",
        imports=intake.caller.is_server,
    )


def _needed(value: WireId, field: str, what: str) -> str:
    checked = check_id(value, field)
    if checked is None:
        raise InvalidInput(field, f"is missing; send {what}", "missing_field")
    return checked


def _rejected(index: int, error: InvalidInput) -> dict[str, Any]:
    return {"index": index, "field": plain(error.field), "code": error.code, "message": plain(error.message)}

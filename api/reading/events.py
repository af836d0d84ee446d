"""From what a caller sent to entries of the visitor log: checked, timed, keyed, linked."""

from __future__ import annotations

import uuid
from collections.abc import Sequence
from typing import Any

import msgspec
from msgspec import structs

from api.access.proof import Proof
from api.limits.context_bounds import check_event, cut_lists
from api.reading.ids import WireId, check_id, is_given
from api.reading.times import WireTime, occurred_at_ms
from api.reading.wire import EVENT, Reader, WireEvent
from api.services.intake import Intake, storable
from api.services.linker import Linked
from api.services.speaking import Named, ProofSource, named, proof_in
from eventlog.port import Record
from personalization.audience.consent import stands_alone
from personalization.errors import InvalidInput
from personalization.events.event import Alias, ClientEvent, Group, Identify, Link, Page, Screen, Track
from personalization.free_json import check_free_json
from personalization.visitor.visitor_key import anonymous_key, visitor_key

MAX_EVENT_BYTES = 32 * 1024
"""Segment's limit too."""

MAX_EVENTS = 2_000
"""Of one batch: about 20 ms of one process."""


def read_event(
    raw: bytes | msgspec.Raw, field: str, intake: Intake, reader: Reader[WireEvent] = EVENT
) -> WireEvent:
    """One event as sent; lists that are too long are cut, and told of.

    Parameters
    ----------
    reader
        Knows the fields that events of the dialect have.

    Raises
    ------
    InvalidInput
        Names the field below ``field``.
    """
    data = bytes(raw)
    if len(data) > MAX_EVENT_BYTES:
        raise InvalidInput(field, f"is {len(data)} bytes; at most {MAX_EVENT_BYTES} are taken", "too_large")
    wire = reader.read(data, field)
    intake.notices += cut_lists(wire, data, field)
    check_event(wire, data, field)
    return wire


def ids_of(wire: WireEvent, field: str, intake: Intake) -> tuple[str | None, str | None]:
    """The user id and the anonymous id that an event names.

    Raises
    ------
    InvalidInput
        Where one cannot be an id.
    """
    return intake.id(wire.user_id, f"{field}.userId"), intake.id(wire.anonymous_id, f"{field}.anonymousId")


def whose(
    wire: WireEvent, user_id: str | None, anonymous_id: str | None, others: ProofSource, field: str, intake: Intake
) -> Named:
    """Whom the ids of an event stand for; ``others`` is asked where it shows no proof itself."""
    return named(user_id, anonymous_id, proof_of(wire), others, f"{field}.userId", intake)


def proof_of(wire: WireEvent) -> Proof:
    """What an event shows beside its user id, or in its context."""
    proof = Proof(wire.user_hash, wire.user_token)
    return proof if proof.is_shown else proof_in(wire.context)


def nobody(wire: WireEvent, field: str) -> InvalidInput:
    """The refusal of an event that names no visitor."""
    if not is_given(wire.user_id) and not is_given(wire.anonymous_id):
        return InvalidInput(
            f"{field}.anonymousId", "is missing; send an anonymousId or a userId", "missing_visitor"
        )
    name = "anonymousId" if is_given(wire.anonymous_id) else "userId"
    return InvalidInput(
        f"{field}.{name}",
        "is nobody's id, and the event names no other; mend what makes the id, or send one that is a visitor's",
        "degenerate_id",
    )


def client_event(
    wire: WireEvent,
    field: str,
    intake: Intake,
    user_id: str | None,
    anonymous_id: str | None,
    message_id: str | None = None,
) -> ClientEvent:
    """The event, checked.

    Parameters
    ----------
    user_id, anonymous_id
        Whose it is; at least one.
    message_id
        For an event that has none of its own.

    Raises
    ------
    InvalidInput
        Names the field below ``field``.
    """
    common: dict[str, Any] = {
        "message_id": intake.id(wire.message_id, f"{field}.messageId") or message_id or uuid.uuid4().hex,
        "anonymous_id": anonymous_id,
        "user_id": user_id,
        "context": storable(wire.context),
    }
    match wire.type:
        case "track":
            name = _needed(wire.event, f"{field}.event", "the name of what happened")
            return Track(event=name, properties=wire.properties or {}, **common)
        case "identify":
            return Identify(traits=wire.traits or {}, **common)
        case "page":
            return Page(name=wire.name, properties=wire.properties or {}, **common)
        case "screen":
            return Screen(name=wire.name, properties=wire.properties or {}, **common)
        case "group":
            return Group(
                group_id=_needed(wire.group_id, f"{field}.groupId", "the account's id"),
                traits=wire.traits or {},
                **common,
            )
        case "alias":
            previous = _needed(wire.previous_id, f"{field}.previousId", "the id the visitor had before")
            if intake.id(previous, f"{field}.previousId") is None:
                raise InvalidInput(
                    f"{field}.previousId",
                    "is nobody's id, and cannot have been this visitor's; mend what makes the id",
                    "degenerate_id",
                )
            return Alias(previous_id=previous, **common)


def _needed(value: WireId, field: str, what: str) -> str:
    checked = check_id(value, field)
    if checked is None:
        raise InvalidInput(field, f"is missing; send {what}", "missing_field")
    return checked


def event_time_ms(wire: WireEvent, batch_sent_at: WireTime, field: str, intake: Intake) -> int:
    """When the event happened, as far as its sender can be believed; an event that was moved is told of.

    Raises
    ------
    InvalidInput
        Where a time is none.
    """
    stamp = wire.timestamp if wire.timestamp is not None else wire.original_timestamp
    if stamp is None:
        return intake.received_at_ms
    own = wire.sent_at is not None
    return occurred_at_ms(
        stamp,
        wire.sent_at if own else batch_sent_at,
        intake.received_at_ms,
        intake.notices,
        field=f"{field}.timestamp" if wire.timestamp is not None else f"{field}.originalTimestamp",
        sent_field=f"{field}.sentAt" if own else "sentAt",
        imports=intake.caller.is_server,
    )


def own_record(
    key: str, event: ClientEvent, at_ms: int, field: str, intake: Intake, *, proven: bool = False
) -> Record:
    """The event's own record.

    Raises
    ------
    InvalidInput
        Names what below ``field`` cannot be stored.
    """
    try:
        return intake.record(key, event, at_ms, proven=proven)
    except InvalidInput:
        for name in _FREE:
            check_free_json(getattr(event, name, None), f"{field}.{name}" if field else name)
        raise


_FREE = ("properties", "traits", "context")
"""What of an event may hold anything."""


def event_records(
    event: ClientEvent,
    at_ms: int,
    links: Sequence[Linked],
    intake: Intake,
    own: Record | None = None,
    *,
    agreed: bool = False,
    proven: bool = False,
) -> list[Record]:
    """The records of one client event and the links it asks for; of mere words on purposes, one for each id.

    Parameters
    ----------
    own
        The event's own record, where it is made already.
    agreed
        See ``personalization.events.entry.Entry``.
    proven
        Whether its sender proved to be the user it names.

    Raises
    ------
    InvalidInput
        Where it holds what cannot be stored.
    """
    if own is None:
        key = visitor_key(event.user_id, event.anonymous_id)
        own = intake.record(key, event, at_ms, agreed=agreed, proven=proven)
    if event.user_id and event.anonymous_id and stands_alone(event):
        of_browser = structs.replace(event, user_id=None)
        return [own, intake.record(anonymous_key(event.anonymous_id), of_browser, at_ms)]
    return [own, *link_records(links, intake)]


def _link(linked: Linked) -> Link:
    return Link(canonical=linked.canonical, if_nobodys=linked.if_nobodys)


def link_records(links: Sequence[Linked], intake: Intake) -> list[Record]:
    """The records of links."""
    return [intake.record(link.losing, _link(link), proven=link.proven) for link in links]

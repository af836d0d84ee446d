"""What a call of the decider asks for, read and checked: who it is for, what they just did, which placements."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, NamedTuple

import msgspec

from api.access.proof import Proof
from api.dialects.own.wire import WireDecide, WirePlacement, WireVisitor
from api.reading.events import client_event, event_time_ms, ids_of, nobody, own_record, proof_of, read_event
from api.reading.ids import is_given
from api.reading.notice import Notice
from api.reading.wire import WireEvent
from api.services.deciding import Decider
from api.services.intake import Intake
from api.services.speaking import Named, ProofSource, beyond_doubt, named, proof_in
from personalization.deciding.request import DecideRequest, PlacementRequest, SentEvent
from personalization.errors import InvalidInput
from personalization.visitor.purposes import PERSONALISING, said, spoken

MAX_PLACEMENTS = 50
MAX_EVENTS = 100


def decide_request(
    wire: WireDecide,
    request_id: str,
    intake: Intake,
    decider: Decider,
    shown: ProofSource,
    *,
    may_be_nobody: bool = False,
) -> DecideRequest:
    """The request, checked. Where its only id is nobody's, or the visitor refused to have one, it is for nobody.

    Parameters
    ----------
    request_id
        For a request that has none of its own.
    decider
        Adds what is known of consent.
    shown
        What the request proves beside what stands in it.
    may_be_nobody
        Whether one that names nobody is for nobody, rather than refused.

    Raises
    ------
    InvalidInput
        Names the field.
    """
    named = intake.id(wire.request_id, "requestId")
    user_id = intake.id(wire.visitor.user_id, "visitor.userId")
    anonymous_id = intake.id(wire.visitor.anonymous_id, "visitor.anonymousId")
    proof = Proof(wire.visitor.user_hash, wire.visitor.user_token)
    visitor = _Visitor(
        user_id, anonymous_id, may_be_nobody or _is_tried(wire.visitor) or _refuses(wire.context), proof
    )
    read = _read(wire.events, visitor, intake) if wire.events else []
    if not wire.events and visitor.is_missing:
        remedy = "send an anonymousId, a userId or both; of who refused, context.consent.personalization: false"
        raise InvalidInput("visitor", f"names nobody; {remedy}", "missing_visitor")
    who = _who(visitor, wire.context, shown, intake)
    events = _sent_along(read, visitor, who, named, intake)
    if len(wire.placements) > MAX_PLACEMENTS:
        raise InvalidInput("placements", f"are {len(wire.placements)}; at most {MAX_PLACEMENTS}", "too_many")
    return decider.request(
        intake,
        named or request_id,
        tuple([_placement(asked) for asked in wire.placements]),
        user_id=who.user_id,
        anonymous_id=who.anonymous_id,
        context=wire.context,
        events=events,
        activate=wire.activate,
        repeatable=named is not None,
        proven=who.proven,
    )


def _placement(asked: str | WirePlacement) -> PlacementRequest:
    return PlacementRequest(asked) if isinstance(asked, str) else PlacementRequest(asked.placement, asked.slots)


def _is_tried(wire: WireVisitor | WireEvent) -> bool:
    return is_given(wire.user_id) or is_given(wire.anonymous_id)


def _refuses(context: dict[str, Any] | None) -> bool:
    """Whether it says that the visitor refused to be known: such a one needs no id."""
    return context is not None and spoken(said(context), PERSONALISING) is False


@dataclass(slots=True)
class _Visitor:
    """Who a request is for, as far as it was read.

    Attributes
    ----------
    tried
        It names somebody, if only by an id of nobody's.
    proof
        What is shown beside the ids.
    """

    user_id: str | None
    anonymous_id: str | None
    tried: bool
    proof: Proof

    @property
    def is_nobody(self) -> bool:
        return self.user_id is None and self.anonymous_id is None

    @property
    def is_missing(self) -> bool:
        return self.is_nobody and not self.tried


def _who(visitor: _Visitor, context: dict[str, Any] | None, shown: ProofSource, intake: Intake) -> Named:
    """Whom the ids stand for; without proof of the user, where it is asked for, they leave the anonymous one."""
    if visitor.user_id is None:
        return Named(None, visitor.anonymous_id)
    own = visitor.proof if visitor.proof.is_shown else proof_in(context)
    who = named(visitor.user_id, visitor.anonymous_id, own, shown, _USER, intake)
    return beyond_doubt(who, _USER, intake)


_USER = "visitor.userId"


class _Read(NamedTuple):
    """An event sent along, read; ids of its own or none."""

    field: str
    wire: WireEvent
    user_id: str | None
    anonymous_id: str | None


def _read(raws: list[msgspec.Raw], visitor: _Visitor, intake: Intake) -> list[_Read]:
    """The events sent along; what an event names and proves is the request's too."""
    if len(raws) > MAX_EVENTS:
        raise InvalidInput("events", f"are {len(raws)}; at most {MAX_EVENTS} go with a decision", "too_many")
    read = []
    for index, raw in enumerate(raws):
        field = f"events[{index}]"
        wire = read_event(raw, field, intake)
        user_id, anonymous_id = ids_of(wire, field, intake)
        visitor.user_id = _same(visitor.user_id, user_id, f"{field}.userId")
        visitor.anonymous_id = _same(visitor.anonymous_id, anonymous_id, f"{field}.anonymousId")
        visitor.tried = visitor.tried or _is_tried(wire)
        if not visitor.proof.is_shown:
            visitor.proof = proof_of(wire)
        read.append(_Read(field, wire, user_id, anonymous_id))
    return read


def _sent_along(
    read: list[_Read], visitor: _Visitor, who: Named, named: str | None, intake: Intake
) -> tuple[SentEvent, ...]:
    """The events to be applied and logged.

    One without an id is the request's visitor's. Where that is nobody it is left out, and its sender is told.
    """
    sent = []
    for index, (field, wire, user_id, anonymous_id) in enumerate(read):
        if visitor.is_missing:
            raise nobody(wire, field)
        if visitor.is_nobody:
            intake.notices.append(Notice(field, "missing_visitor", "was left out: the request names no visitor"))
            continue
        if who.user_id is None:
            user_id = None
        if user_id is None and anonymous_id is None:
            user_id, anonymous_id = who.user_id, who.anonymous_id
        # Sent again with the request it belongs to, it is the same event.
        message_id = f"request:{named}:{index}" if named else None
        event = intake.with_item(client_event(wire, field, intake, user_id, anonymous_id, message_id))
        at_ms = event_time_ms(wire, None, field, intake)
        own_record("-", event, at_ms, field, intake)  # refuses what could not be logged, before anything is decided
        sent.append(SentEvent(event, at_ms))
    return tuple(sent)


def _same(ours: str | None, theirs: str | None, field: str) -> str | None:
    if ours and theirs and ours != theirs:
        raise InvalidInput(field, "is another visitor's; send events of others to /v1/events", "other_visitor")
    return ours or theirs

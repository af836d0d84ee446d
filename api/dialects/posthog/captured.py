"""One event as PostHog's SDKs capture it, and the events of ours that it is."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any, NamedTuple

import msgspec

from api.access.proof import Proof
from api.dialects.posthog.decision_reason import decision_in
from api.dialects.posthog.persons import Person, person_of, sent_id
from api.dialects.posthog.properties import context_of, own_of, page_of
from api.reading.ids import WireId
from api.reading.times import WireTime
from api.reading.wire import Reader, WireEvent
from api.services.intake import Intake
from api.services.speaking import ProofSource, proof_in
from personalization.errors import InvalidInput
from personalization.free_json import check_free_json


class WireCapture(msgspec.Struct, frozen=True, kw_only=True):
    """An event as captured. What an SDK sends besides differs by its version, and is not looked at."""

    event: str
    distinct_id: WireId = None
    properties: dict[str, Any] | None = None
    set: dict[str, Any] | None = msgspec.field(name="$set", default=None)
    set_once: dict[str, Any] | None = msgspec.field(name="$set_once", default=None)
    uuid: WireId = None
    timestamp: WireTime = None
    offset: int | float | None = None
    sent_at: WireTime = None


CAPTURE: Reader[WireCapture] = Reader(WireCapture, WireCapture)


class Part(NamedTuple):
    """One event of ours, of one that was captured.

    Attributes
    ----------
    place
        Of what was captured, in the request.
    field
        Where that stands, for errors; empty, or ending in a dot.
    text
        What was captured, as sent.
    proof
        What it shows of the user that it names.
    traits_once
        Traits that count only where there are none of that name.
    """

    place: int
    field: str
    text: bytes
    event: WireEvent
    person: Person
    proof: Proof
    traits_once: dict[str, Any]


def parts_of(
    wire: WireCapture, place: int, field: str, text: bytes, others: ProofSource, intake: Intake
) -> Iterator[Part]:
    """The events of ours: what happened, and what it says of the person, each on its own.

    A group alone, which names nobody, is none: what is kept is kept of visitors.

    Parameters
    ----------
    others
        What the request as a whole proves, where the event proves nothing itself.

    Raises
    ------
    InvalidInput
        Names the field below ``field``.
    """
    properties = dict(wire.properties or {})
    own = proof_in(properties)
    proof = own if own.is_shown else others()
    person = _made_up(wire, properties) or person_of(*_ids(wire, properties), proof, field, intake)
    traits, once = _said_of_person(wire, properties, field)
    common: dict[str, Any] = {
        "context": context_of(properties),
        "timestamp": _time(wire, intake),
        "sent_at": wire.sent_at,
    }
    happened = _happened(wire, properties, person, field)
    if happened is not None:
        event, whose = WireEvent(**happened, **common, message_id=wire.uuid), person
        if event.type == "alias":
            whose = Person(intake.id(event.user_id, f"{field}properties.alias"), None)
        yield Part(place, field, text, event, whose, proof, {})
    if traits or once or wire.event == "$identify":
        message_id = wire.uuid if happened is None or wire.uuid is None else f"{wire.uuid}/set"
        told = WireEvent(type="identify", traits=traits, **common, message_id=message_id)
        yield Part(place, field, text, told, person, proof, once)


def _ids(wire: WireCapture, properties: dict[str, Any]) -> tuple[WireId, WireId]:
    """The ``distinct_id``, and the browser's id beside it if that is another visitor's."""
    own = wire.distinct_id if wire.distinct_id is not None else sent_id(properties, "distinct_id")
    if properties.get("$is_identified") is False:
        return own, None
    return own, sent_id(properties, "$anon_distinct_id", "$device_id")


def _made_up(wire: WireCapture, properties: dict[str, Any]) -> Person | None:
    """Who did something that nobody is named for: server SDKs make up an id for it, and say it is no person's."""
    given, is_person = wire.distinct_id, properties.get("$process_person_profile")
    if is_person is False and isinstance(given, str) and _UUID.fullmatch(given):
        return Person(None, given)
    return None


_UUID = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}", re.I)


def _said_of_person(
    wire: WireCapture, properties: dict[str, Any], field: str
) -> tuple[dict[str, Any], dict[str, Any]]:
    found = []
    for name, beside in (("$set", wire.set), ("$set_once", wire.set_once)):
        said = properties.get(name) if beside is None else beside
        if said is not None and not isinstance(said, dict):
            where = f"{field}properties.{name}"
            raise InvalidInput(where, "is no object; send the person's properties by name", "invalid_field")
        found.append(own_of(said or {}))
    check_free_json(found[1], f"{field}$set_once")
    return found[0], found[1]


def _time(wire: WireCapture, intake: Intake) -> WireTime:
    if wire.timestamp is None and wire.offset is not None:
        return intake.received_at_ms - wire.offset
    return wire.timestamp


def _happened(wire: WireCapture, properties: dict[str, Any], person: Person, field: str) -> dict[str, Any] | None:
    """What happened, as an event of ours; None where it only says something of somebody."""
    own = own_of(properties)
    match wire.event:
        case "$identify" | "$set" | "$set_once":
            return None
        case "$pageview":
            title = own.pop("title", None)
            name = title if isinstance(title, str) else None
            return {"type": "page", "name": name, "properties": {**page_of(properties), **own}}
        case "$screen":
            name = properties.get("$screen_name")
            return {"type": "screen", "name": name if isinstance(name, str) else None, "properties": own}
        case "$create_alias":
            previous, alias = sent_id(properties, "distinct_id"), sent_id(properties, "alias")
            if alias is None:
                raise InvalidInput(f"{field}properties.alias", "is missing; send the user's id", "missing_field")
            return {"type": "alias", "previous_id": previous or wire.distinct_id, "user_id": alias}
        case "$groupidentify":
            return _group(properties, person)
        case "$feature_flag_called":
            decision_id = decision_in(properties.get("$feature_flag_reason"))
            if decision_id is not None:
                shown = {"decisionId": decision_id, "placement": properties.get("$feature_flag")}
                return {"type": "track", "event": "Impression", "properties": shown}
    return {"type": "track", "event": wire.event, "properties": own}


def _group(properties: dict[str, Any], person: Person) -> dict[str, Any] | None:
    kind, key, about = (properties.get(name) for name in ("$group_type", "$group_key", "$group_set"))
    if f"${kind}_{key}" in person:
        return None  # an id that SDKs make up, where no person is named
    return {"type": "group", "group_id": key, "traits": own_of(about) if isinstance(about, dict) else {}}

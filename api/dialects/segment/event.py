"""An event as these clients send it, and what of it is another than in our own dialect."""

from __future__ import annotations

from typing import Any, Literal, TypeAlias

import msgspec
from msgspec import structs

from api.dialects.segment.shared_context import SharedContext
from api.reading.events import read_event
from api.reading.wire import Json, Reader, WireEvent
from api.services.intake import Intake

Kind: TypeAlias = Literal["track", "identify", "page", "screen", "group", "alias"]

_CONSENTS = {"allowedConsentIds": True, "deniedConsentIds": False}
"""Where RudderStack's clients have what the visitor answered a consent manager."""


class SegmentEvent(WireEvent, frozen=True, kw_only=True):
    """An event of a batch, with what clients add for their own service: nothing here looks at it."""

    write_key: Json = None
    channel: Json = None
    version: Json = None
    received_at: Json = None
    metadata: Json = msgspec.field(default=None, name="_metadata")


class _AnySegmentEvent(SegmentEvent, frozen=True, kw_only=True, forbid_unknown_fields=False):
    pass


class SingleEvent(SegmentEvent, frozen=True, kw_only=True):
    """An event on its own; the path says of which type it is."""

    type: Kind = "track"


class _AnySingleEvent(SingleEvent, frozen=True, kw_only=True, forbid_unknown_fields=False):
    pass


IN_BATCH: Reader[WireEvent] = Reader(SegmentEvent, _AnySegmentEvent)
SINGLE: Reader[WireEvent] = Reader(SingleEvent, _AnySingleEvent)


def event_in_batch(raw: msgspec.Raw, field: str, common: SharedContext, intake: Intake) -> WireEvent:
    """One event of a batch, whose context holds for it as far as its own does not say otherwise.

    Raises
    ------
    InvalidInput
        Names the field below ``field``.
    """
    wire = read_event(raw, field, intake, IN_BATCH)
    return _in_our_words(structs.replace(wire, context=common.beside(wire.context)) if common else wire)


def single_event(raw: bytes, kind: Kind, intake: Intake) -> WireEvent:
    """An event on its own.

    Raises
    ------
    InvalidInput
        Names the field.
    """
    wire = read_event(raw, "", intake, SINGLE)
    return _in_our_words(wire if wire.type == kind else structs.replace(wire, type=kind))


def _in_our_words(wire: WireEvent) -> WireEvent:
    context = wire.context
    if not context:
        return wire
    if "consentManagement" in context:
        _say_consents(context)
    if wire.type == "identify" and not wire.traits and isinstance(context.get("traits"), dict):
        return structs.replace(wire, traits=context.pop("traits"))
    return wire


def _say_consents(context: dict[str, Any]) -> None:
    """Put what a consent manager was answered beside other words on purposes; said twice, the refusal holds."""
    managed, said = context["consentManagement"], context.get("consent")
    if not isinstance(managed, dict):
        return
    words: dict[str, Any] = {**said} if isinstance(said, dict) else {}
    for member, granted in _CONSENTS.items():
        for purpose in _ids_in(managed.get(member)):
            words[purpose] = granted and words.get(purpose) is not False
    context["consent"] = words


def _ids_in(ids: Any) -> list[str]:
    """
    >>> _ids_in(["ads", 7]), _ids_in("ads"), _ids_in({"ads": "C0004"}), _ids_in(None)
    (['ads'], ['ads'], ['ads'], [])
    """
    found = [ids] if isinstance(ids, str) else ids if isinstance(ids, list | dict) else ()
    return [each for each in found if isinstance(each, str)]

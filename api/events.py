"""From what a caller sent to entries of the visitor log: checked, timed, keyed, linked."""

from __future__ import annotations

import uuid
from collections import OrderedDict
from datetime import UTC, datetime
from typing import Any

import msgspec

from api.wire import EVENT, WireEvent
from eventlog.port import Record
from eventlog.topics import VISITOR_LOG
from personalization.entry import Entry, encode_entry
from personalization.errors import InvalidInput
from personalization.event import Alias, ClientEvent, Event, Group, Identify, Link, Page, Screen, Track
from personalization.identity import canonical_of
from personalization.visitor_key import MAX_ID_BYTES, anonymous_key, user_key, visitor_key

MAX_EVENT_BYTES = 32 * 1024
"""Segment's limit too."""

MAX_EVENTS = 2_000
"""Of one batch: about 20 ms of one process."""

MAX_PAST_MS = 24 * 3_600_000
"""A client's clock is believed this far back; imports by server key may be older."""

MAX_PAIRS = 65_536
"""Pairs of ids remembered as linked already, by each process: 10 MB."""


def check_id(value: str | None, field: str) -> str | None:
    """A visitor id as sent; empty counts as none.

    Raises
    ------
    InvalidInput
        Where it is too long or holds what no key may hold.
    """
    if not value:
        return None
    if not value.isascii() or not value.isprintable():
        if "\x00" in value:
            raise InvalidInput(field, "holds a NUL character; remove it", "bad_text")
        if any("\ud800" <= letter <= "\udfff" for letter in value):
            raise InvalidInput(field, "holds a lone surrogate, which is no character", "bad_text")
        if len(value.encode()) <= MAX_ID_BYTES:
            return value
    elif len(value) <= MAX_ID_BYTES:
        return value
    raise InvalidInput(
        field, f"is longer than {MAX_ID_BYTES} bytes; send a shorter id, or a hash of it", "too_long"
    )


def read_event(raw: bytes | msgspec.Raw, field: str) -> WireEvent:
    """One event as sent.

    Raises
    ------
    InvalidInput
        Names the field below ``field``.
    """
    data = bytes(raw)
    if len(data) > MAX_EVENT_BYTES:
        raise InvalidInput(field, f"is {len(data)} bytes; at most {MAX_EVENT_BYTES} are taken", "too_large")
    return EVENT.read(data, field)


def client_event(
    wire: WireEvent, field: str, user_id: str | None = None, anonymous_id: str | None = None
) -> ClientEvent:
    """The event, checked.

    Parameters
    ----------
    user_id, anonymous_id
        The request's own visitor, for events that name none.

    Raises
    ------
    InvalidInput
        Names the field below ``field``.
    """
    user = check_id(wire.user_id, f"{field}.userId")
    anonymous = check_id(wire.anonymous_id, f"{field}.anonymousId")
    if user is None and anonymous is None:
        user, anonymous = user_id, anonymous_id
    if user is None and anonymous is None:
        raise InvalidInput(f"{field}.anonymousId", "is missing; send an anonymousId or a userId", "missing_visitor")
    common: dict[str, Any] = {
        "message_id": check_id(wire.message_id, f"{field}.messageId") or uuid.uuid4().hex,
        "anonymous_id": anonymous,
        "user_id": user,
        "context": wire.context or {},
    }
    match wire.type:
        case "track":
            name = _text(wire.event, f"{field}.event", "the name of what happened")
            return Track(event=name, properties=wire.properties or {}, **common)
        case "identify":
            return Identify(traits=wire.traits or {}, **common)
        case "page":
            return Page(name=wire.name, properties=wire.properties or {}, **common)
        case "screen":
            return Screen(name=wire.name, properties=wire.properties or {}, **common)
        case "group":
            return Group(
                group_id=_text(wire.group_id, f"{field}.groupId", "the account's id"),
                traits=wire.traits or {},
                **common,
            )
        case "alias":
            return Alias(
                previous_id=_text(wire.previous_id, f"{field}.previousId", "the id the visitor had before"),
                **common,
            )


def _text(value: str | None, field: str, what: str) -> str:
    checked = check_id(value, field)
    if checked is None:
        raise InvalidInput(field, f"is missing; send {what}", "missing_field")
    return checked


def occurred_at_ms(wire: WireEvent, batch_sent_at: Any, received_at_ms: int, field: str, *, imports: bool) -> int:
    """The client's time, corrected by how wrong its clock is (``sentAt``), within what is believable.

    Raises
    ------
    InvalidInput
        Where a time is none.
    """
    stamp = wire.timestamp if wire.timestamp is not None else wire.original_timestamp
    if stamp is None:
        return received_at_ms
    at_ms = _time_ms(stamp, f"{field}.timestamp")
    sent = wire.sent_at if wire.sent_at is not None else batch_sent_at
    if sent is not None and not imports:
        at_ms += received_at_ms - _time_ms(sent, f"{field}.sentAt" if wire.sent_at is not None else "sentAt")
    earliest = 0 if imports else received_at_ms - MAX_PAST_MS
    return max(earliest, min(received_at_ms, at_ms))


def _time_ms(value: str | int | float, field: str) -> int:
    """Milliseconds since 1970 of an ISO 8601 text or a number of them."""
    if isinstance(value, str):
        try:
            moment = datetime.fromisoformat(value)
            return int((moment if moment.tzinfo else moment.replace(tzinfo=UTC)).timestamp() * 1000)
        except (ValueError, OverflowError):
            pass
    elif abs(value) < 1e15:
        return int(value)
    raise InvalidInput(
        field, "is no time; send ISO 8601, e.g. 2026-01-31T12:00:00.000Z, or milliseconds since 1970", "bad_time"
    )


def carries_consent(event: ClientEvent) -> bool:
    """Whether the event says what the visitor agreed to: it is logged even where that is a refusal."""
    return "consent" in event.context or (isinstance(event, Track) and event.event == "Consent Updated")


class Linker:
    """Knows which pairs of ids were linked lately, so that not every event of a known visitor links them again."""

    def __init__(self, size: int = MAX_PAIRS) -> None:
        self._size = size
        self._seen: OrderedDict[tuple[str, str], None] = OrderedDict()

    def links(self, event: ClientEvent) -> list[tuple[str, str]]:
        """(losing key, canonical key) of the links this event asks for."""
        pairs = []
        if event.user_id and event.anonymous_id:
            pairs.append((user_key(event.user_id), anonymous_key(event.anonymous_id)))
        if isinstance(event, Alias):
            pairs.append((visitor_key(event.user_id, event.anonymous_id), anonymous_key(event.previous_id)))
        found = []
        for left, right in pairs:
            canonical = canonical_of(left, right)
            if canonical is None or left == right:
                continue
            link = (right if canonical == left else left, canonical)
            if link in self._seen and not isinstance(event, Identify | Alias):
                self._seen.move_to_end(link)
            else:
                found.append(link)
        return found

    def appended(self, links: list[tuple[str, str]]) -> None:
        """These are in the log."""
        for link in links:
            self._seen[link] = None
            self._seen.move_to_end(link)
        while len(self._seen) > self._size:
            self._seen.popitem(last=False)


def record_of(key: str, event: Event, received_at_ms: int, at_ms: int, catalog_version: int) -> Record:
    """The log record of one event.

    Raises
    ------
    InvalidInput
        Where it holds what cannot be stored.
    """
    entry = Entry(received_at_ms=received_at_ms, occurred_at_ms=at_ms, catalog_version=catalog_version, event=event)
    return Record(VISITOR_LOG, key, encode_entry(entry))


def event_records(
    event: ClientEvent, received_at_ms: int, at_ms: int, catalog_version: int, links: list[tuple[str, str]]
) -> list[Record]:
    """The records of one client event and the links it asks for."""
    key = visitor_key(event.user_id, event.anonymous_id)
    records = [record_of(key, event, received_at_ms, at_ms, catalog_version)]
    for losing, canonical in links:
        link = Link(canonical=canonical)
        records.append(record_of(losing, link, received_at_ms, received_at_ms, catalog_version))
    return records

"""Which entries of the log are about a person: what an export shows, and what an erasure deletes."""

from __future__ import annotations

from dataclasses import dataclass

import msgspec

from eventlog.dead_letters import decode_dead_letter
from eventlog.topics import DEAD_LETTERS, DECISIONS, OUTCOMES, VISITOR_LOG
from personalization.errors import InvalidInput
from personalization.events.entry import decode_entry
from personalization.events.event import CLIENT_EVENTS, Alias, Event, Link, Merged, Redirected, Unlinked
from personalization.events.example import Example, conversion_of, decode_example
from personalization.events.outcome import decode_outcome
from personalization.visitor.visitor_key import anonymous_key, raw_id, user_key


@dataclass(frozen=True, slots=True)
class Person:
    """Somebody, as the log knows them.

    Attributes
    ----------
    keys
        All keys of theirs.
    units
        8-byte hashes that stand for them in outcomes and examples (``VisitorState.unit``).
    """

    keys: frozenset[str]
    units: frozenset[bytes] = frozenset()

    def is_named_in(self, value: bytes) -> bool:
        """Whether any id of theirs stands in the bytes: a first look, before they are decoded."""
        return any(raw_id(key).encode("utf-8", "surrogatepass") in value for key in self.keys)


def is_about(person: Person, topic: str, key: str, value: bytes) -> bool:
    """Whether an entry of ``topic`` is about ``person``: stands under a key of theirs, or names one as its own.

    That somebody else's event mentions an id of theirs, as who referred them, makes it no entry about them.
    """
    if topic in (VISITOR_LOG, DECISIONS):
        return key in person.keys or (topic == VISITOR_LOG and person.is_named_in(value) and _names(person, value))
    if topic == OUTCOMES:
        return any(unit in value for unit in person.units) and _unit_of(key, value) in person.units
    return topic == DEAD_LETTERS and _is_letter_about(person, value)


def _names(person: Person, value: bytes) -> bool:
    try:
        event = decode_entry(value).event
    except InvalidInput:
        return True  # nobody can read it, and it holds their id
    return not person.keys.isdisjoint(_keys_of(event))


def _keys_of(event: Event) -> set[str]:
    """The keys that an event says are its visitor's."""
    if isinstance(event, Link | Unlinked):
        return {event.canonical}
    if isinstance(event, Merged):
        return {event.source}
    if isinstance(event, Redirected):
        return {event.to}
    found = set()
    if isinstance(event, CLIENT_EVENTS):
        if event.user_id is not None:
            found.add(user_key(event.user_id))
        if event.anonymous_id is not None:
            found.add(anonymous_key(event.anonymous_id))
        if isinstance(event, Alias):
            found |= {user_key(event.previous_id), anonymous_key(event.previous_id)}
    return found


def _unit_of(key: str, value: bytes) -> bytes:
    try:
        if conversion_of(key) is None:
            return decode_outcome(value).unit
        record = decode_example(value)
    except InvalidInput:
        return b""
    return record.unit if isinstance(record, Example) else b""


def _is_letter_about(person: Person, value: bytes) -> bool:
    try:
        letter = decode_dead_letter(value)
    except (msgspec.DecodeError, RecursionError):
        return person.is_named_in(value)
    key = letter.key.decode("utf-8", "replace")
    if key in person.keys or is_about(person, letter.topic, key, letter.value):
        return True
    return letter.topic == VISITOR_LOG and not _is_entry(letter.value) and person.is_named_in(letter.value)


def _is_entry(value: bytes) -> bool:
    try:
        decode_entry(value)
    except InvalidInput:
        return False
    return True

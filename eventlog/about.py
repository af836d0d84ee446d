"""Which entries of the log are a person's: what an export shows, and what an erasure deletes."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field

import msgspec

from eventlog.dead_letters import decode_dead_letter
from eventlog.port import LogEntry
from eventlog.topics import VISITOR_LOG
from personalization.errors import InvalidInput
from personalization.events.decision_record import decode_record
from personalization.events.entry import LOGGED_OUT, Entry, decode_entry
from personalization.events.event import DecisionMade, Link, Redirected, Unlinked
from personalization.events.example import Example
from personalization.events.outcome import Outcome
from personalization.events.outcome_records import decode_record_under
from personalization.visitor.visitor_key import is_registered, raw_id

_MAY_NAME = (b"\xa4link", b"\xa8unlinked", b"\xaaredirected")
"""How entries are tagged that say where a key leads: a first look, before they are decoded."""


@dataclass(frozen=True, slots=True)
class Person:
    """Somebody, as the log knows them.

    Attributes
    ----------
    keys
        All keys of theirs.
    home
        The one that the others lead to.
    """

    keys: frozenset[str]
    home: str


@dataclass(slots=True)
class _Browser:
    """What is known of a browser's key, as far as its entries were taken.

    Attributes
    ----------
    user
        Who logged in last; None: nobody, or it was undone.
    pending
        Entries whose owner the next log-in tells.
    """

    user: str | None = None
    pending: list[tuple[LogEntry, Entry]] = field(default_factory=list)


class Owned:
    """Tells which entries of the visitor log are a person's; takes those of each partition in order.

    What stands under a browser's key is not one person's: it is of whoever logs in next, or, where the source says
    that what follows a log-in is the same person's, of who did. What follows the last log-in nobody has claimed.
    That another's entry mentions an id of theirs, as who referred them, makes it no entry of theirs; where it says
    that a key was theirs, it is.

    Attributes
    ----------
    shared
        Keys of browsers that somebody else has logged in on.
    decisions, of_others
        Ids of decisions made for them under browsers' keys, and for others under the same.
    """

    def __init__(self, person: Person) -> None:
        self._person = person
        self._browsers: dict[str, _Browser] = {}
        self.shared: set[str] = set()
        self.decisions: set[str] = set()
        self.of_others: set[str] = set()

    def take(self, found: LogEntry) -> list[LogEntry]:
        """The next entry; gives those that are known to be theirs by now."""
        keys = self._person.keys
        if found.key not in keys:
            return [found] if _leads_to(self._person, found.value) else []
        if is_registered(found.key):
            return [found]
        try:
            entry = decode_entry(found.value)
        except InvalidInput:
            return [found]
        browser = self._browsers.setdefault(found.key, _Browser())
        event = entry.event
        if isinstance(event, Link):
            browser.user = event.canonical
            return [*self._claimed(browser, found.key), *self._of(found.key, event.canonical, found, entry)]
        if isinstance(event, Unlinked):
            user, browser.user = browser.user, None
            return [found] if user is None or user in keys else []
        stays = entry.sender is None or entry.sender.after_login != LOGGED_OUT
        if browser.user is not None and stays:
            return self._of(found.key, browser.user, found, entry)
        browser.pending.append((found, entry))
        return []

    def rest(self, *, unclaimed: bool) -> list[LogEntry]:
        """What is theirs of the entries that no log-in followed; call it once, at the end.

        Parameters
        ----------
        unclaimed
            Also what came from browsers of theirs after the last log-in.
        """
        found = []
        for key, browser in self._browsers.items():
            if unclaimed or key == self._person.home:
                for each, entry in browser.pending:
                    found += self._of(key, self._person.home, each, entry)
            browser.pending = []
        return found

    def _claimed(self, browser: _Browser, key: str) -> Iterator[LogEntry]:
        pending, browser.pending = browser.pending, []
        for each, entry in pending:
            yield from self._of(key, browser.user or "", each, entry)

    def _of(self, key: str, owner: str, found: LogEntry, entry: Entry) -> list[LogEntry]:
        is_theirs = owner in self._person.keys
        if not is_theirs:
            self.shared.add(key)
        if isinstance(entry.event, DecisionMade):
            (self.decisions if is_theirs else self.of_others).add(entry.event.message_id)
        return [found] if is_theirs else []


def is_decision_of(person: Person, owned: Owned, key: str, value: bytes, *, unclaimed: bool) -> bool:
    """Whether a record of ``decisions`` is a person's; all of the visitor log has to be taken before.

    ``unclaimed``: also one that the visitor log does not tell of, under a browser's key.
    """
    if key not in person.keys:
        return False
    if is_registered(key) or (key == person.home and key not in owned.shared):
        return True
    try:
        message_id = decode_record(value).message_id
    except InvalidInput:
        return unclaimed
    return message_id in owned.decisions or (unclaimed and message_id not in owned.of_others)


def unit_of(key: str, value: bytes) -> bytes:
    """The 8-byte hash of whose outcome or example a record of ``outcomes`` is; empty: nobody's."""
    try:
        record = decode_record_under(key, value)
    except InvalidInput:
        return b""
    return record.unit if isinstance(record, Outcome | Example) else b""


def is_letter_of(person: Person, value: bytes) -> bool:
    """Whether a dead letter is of an entry of theirs, or one that nobody can read, with an id of theirs in it."""
    try:
        letter = decode_dead_letter(value)
    except (msgspec.DecodeError, RecursionError):
        return _is_named_in(person, value)
    if letter.topic == VISITOR_LOG:
        key = letter.key.decode("utf-8", "replace")
        if key in person.keys or _leads_to(person, letter.value):
            return True
        try:
            decode_entry(letter.value)
        except InvalidInput:
            return _is_named_in(person, letter.value)
    return False


def _leads_to(person: Person, value: bytes) -> bool:
    """Whether an entry under somebody else's key says that this key leads, or led, to them."""
    if not any(tag in value for tag in _MAY_NAME):
        return False
    try:
        event = decode_entry(value).event
    except InvalidInput:
        return False
    if isinstance(event, Link | Unlinked):
        return event.canonical in person.keys
    return isinstance(event, Redirected) and event.to in person.keys


def _is_named_in(person: Person, value: bytes) -> bool:
    return any(raw_id(key).encode("utf-8", "surrogatepass") in value for key in person.keys)

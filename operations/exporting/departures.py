"""Who is not to be handed out any more: they were erased, or have refused since."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import NamedTuple

from eventlog.port import EventLog
from eventlog.topics import OUTCOMES
from personalization.errors import InvalidInput
from personalization.events.forgotten import decode_forgotten, is_forgotten
from personalization.visitor.purposes import PERSONALISING, may
from state.visitor_store import Stored, UnreadableState, VisitorStore

ERASED, REFUSED, UNKNOWN = "erased", "refused since", "of a visitor whose state cannot be read"

MAX_HOPS = 4
"""Redirects are straightened: longer chains are on their way to be."""


class Concerned(NamedTuple):
    """Of whom a record is, and of when.

    Attributes
    ----------
    key
        The visitor's; empty: not known.
    """

    key: str
    unit: bytes
    decided_at_ms: int


class Departures:
    """Tells who has gone, by their states and by what the log tells models to forget.

    Erasures are told to models by 8-byte hashes, which the log keeps as long as anything of them. On a log that
    deletes no single entry they are all there is to know by, of what stands under no key of theirs.
    """

    def __init__(self, visitors: VisitorStore, forgotten_ms: dict[bytes, int]) -> None:
        self._visitors = visitors
        self._forgotten_ms = forgotten_ms

    async def of(self, records: Sequence[Concerned]) -> list[str | None]:
        """Why each record has to be left out; None: it has not."""
        stored = await self._stored({record.key for record in records if record.key})
        why = {key: _gone(key, stored) for key in stored}
        return [self._why(record, *why.get(record.key, (0, None))) for record in records]

    def _why(self, record: Concerned, erased_ms: int, reason: str | None) -> str | None:
        if record.decided_at_ms <= max(erased_ms, self._forgotten_ms.get(record.unit, 0)):
            return ERASED
        return reason

    async def _stored(self, keys: Iterable[str]) -> dict[str, Stored]:
        """What is stored under these keys, and under those that they lead to."""
        found: dict[str, Stored] = {}
        wanted = list(keys)
        for _ in range(MAX_HOPS):
            if not wanted:
                break
            found |= (loaded := await self._visitors.load(wanted))
            leads_to = {_redirect(stored) for stored in loaded.values()} - {None}
            wanted = [key for key in leads_to if key is not None and key not in found]
        return found


def _gone(key: str, stored: dict[str, Stored]) -> tuple[int, str | None]:
    """When who is behind a key was erased last (0: never), and why else nothing of them is told."""
    erased_ms = 0
    seen: set[str] = set()
    while key in stored and key not in seen:
        seen.add(key)
        try:
            visitor = stored[key].visitor()
        except UnreadableState:
            return erased_ms, UNKNOWN
        if len(seen) == 1:  # an erasure is an entry under each key of the person
            erased_ms = visitor.folder.erased_ms
        if not may(visitor.state.consents, PERSONALISING, default=True):
            return erased_ms, REFUSED
        key = visitor.state.redirect or ""
    return erased_ms, None


def _redirect(stored: Stored) -> str | None:
    try:
        return stored.redirect
    except UnreadableState:
        return None


async def forgotten_in(log: EventLog) -> dict[bytes, int]:
    """Whom the log tells models to forget: hashes of persons, and when it was said."""
    found: dict[bytes, int] = {}
    for partition, start in enumerate(await log.earliest_offsets(OUTCOMES)):
        async for entry in log.read(OUTCOMES, partition, start):
            if is_forgotten(entry.value):
                try:
                    record = decode_forgotten(entry.value)
                except InvalidInput:
                    continue
                for unit in record.units:
                    found[unit] = max(found.get(unit, 0), record.at_ms)
    return found

"""A recount over all partitions: each in its order, and what came from another not before its cause."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from eventlog.port import EventLog, LogEntry
from eventlog.topics import VISITOR_LOG
from installation.opened import CatalogOf
from operations.replay.recount import Place, Recount
from personalization.errors import InvalidInput, Refused
from personalization.events.entry import Entry, decode_entry

CHUNK = 2_000
"""Entries of one partition read together. Kafka opens a connection for each: 50 µs an entry at worst."""


@dataclass(slots=True)
class _Reading:
    """One partition while it is read.

    Attributes
    ----------
    at_ms
        When what was taken last was received: partitions are read side by side by it.
    waits_for
        What has to be taken in another partition before ``waiting[0]``.
    """

    partition: int
    next_offset: int
    end: int
    at_ms: int = 0
    waiting: list[LogEntry] = field(default_factory=list)
    waits_for: Place | None = None


async def recount_all(
    log: EventLog,
    recount: Recount,
    catalog_of: CatalogOf,
    starts: Sequence[int],
    ends: Sequence[int],
    on_taken: Callable[[int], None] = lambda n: None,
) -> int:
    """Take every entry in [start, end) of each partition; how many.

    Parameters
    ----------
    on_taken
        Told how many were taken, now and then.

    Raises
    ------
    Refused
        If entries wait for one another: it is a damaged log.
    """
    readings = [_Reading(n, start, end) for n, (start, end) in enumerate(zip(starts, ends, strict=True))]
    n_taken = 0
    while True:
        unread = [each for each in readings if each.next_offset < each.end]
        if not unread:
            return n_taken
        ready = [each for each in unread if not _must_wait(each, readings)]
        if not ready:
            stuck = unread[0]
            raise Refused(
                f"the entry at offset {stuck.next_offset} of partition {stuck.partition} waits for itself"
            )
        n_taken += await _advance(log, recount, catalog_of, min(ready, key=lambda each: each.at_ms), readings)
        on_taken(n_taken)


def _must_wait(reading: _Reading, readings: Sequence[_Reading]) -> bool:
    place = reading.waits_for
    if place is None:
        return False
    other = readings[place.partition]
    return other.next_offset <= place.offset and other.next_offset < other.end


async def _advance(
    log: EventLog, recount: Recount, catalog_of: CatalogOf, reading: _Reading, readings: Sequence[_Reading]
) -> int:
    """Take entries of one partition, up to one that has to wait; how many."""
    if not reading.waiting:
        to = min(reading.end, reading.next_offset + CHUNK)
        reading.waiting = [each async for each in log.read(VISITOR_LOG, reading.partition, reading.next_offset, to)]
        reading.waiting.reverse()
        if not reading.waiting:
            reading.next_offset = to
    n_taken = 0
    while reading.waiting:
        found = reading.waiting[-1]
        entry = _entry(found)
        reading.waits_for = None if entry is None else recount.waits_for(entry)
        if _must_wait(reading, readings):
            break
        if entry is not None:
            catalog = await catalog_of(entry.catalog_version)
            recount.take(found.key, Place(reading.partition, found.offset), entry, catalog)
            reading.at_ms = max(reading.at_ms, entry.received_at_ms)
        reading.waiting.pop()
        reading.next_offset = found.offset + 1
        n_taken += 1
    return n_taken


def _entry(found: LogEntry) -> Entry | None:
    try:
        return decode_entry(found.value)
    except InvalidInput:
        return None  # a dead letter

"""How far back the visitor log reaches: since when everything that happened stands in it."""

from __future__ import annotations

import time
from typing import NamedTuple

from eventlog.port import EventLog, LogIdentity
from eventlog.topics import VISITOR_LOG
from personalization.errors import InvalidInput
from personalization.events.entry import decode_entry
from personalization.events.event import CLIENT_EVENTS, TimedOut

APPENDED_WITHIN_MS = 60_000
"""Of two entries of a partition the first was received at most so long after the second: an append gives up after
10 s, and collectors' clocks differ by seconds."""


class LogReach(NamedTuple):
    """How far back the log reaches.

    Attributes
    ----------
    since_ms
        What happened later is in the log, whatever key it went to; 0: the log holds everything there ever was.
    began_ms
        When the oldest retained event was received.
    """

    since_ms: int
    began_ms: int

    @property
    def least_ms(self) -> int:
        """Before this the log knows of nothing."""
        return self.since_ms or self.began_ms


async def reach_of(log: EventLog, identity: LogIdentity) -> LogReach:
    """Look where each partition begins now.

    A client says when something occurred, and never later than it was received: what lay before the oldest entry
    of a partition occurred before that was received.
    """
    now_ms = time.time_ns() // 1_000_000
    since_ms, began_ms = 0, now_ms
    for partition, offset in enumerate(await log.earliest_offsets(VISITOR_LOG)):
        first_ms = await _first_received_ms(log, partition, offset)
        began_ms = min(began_ms, now_ms if first_ms is None else first_ms)
        if offset or identity.epoch > 1:
            since_ms = max(since_ms, now_ms if first_ms is None else first_ms + APPENDED_WITHIN_MS)
    return LogReach(since_ms, began_ms)


async def _first_received_ms(log: EventLog, partition: int, offset: int) -> int | None:
    """When the oldest entry was received that was appended as soon as it was: others may have waited for that."""
    async for found in log.read(VISITOR_LOG, partition, offset):
        try:
            entry = decode_entry(found.value)
        except InvalidInput:
            continue
        if entry.provenance is None and isinstance(entry.event, (*CLIENT_EVENTS, TimedOut)):
            return entry.received_at_ms
    return None


def shown_ms(at_ms: int) -> str:
    """A moment for people.

    >>> shown_ms(1_700_000_000_000)
    '2023-11-14 22:13:20 UTC'
    """
    return time.strftime("%Y-%m-%d %H:%M:%S UTC", time.gmtime(at_ms / 1000))

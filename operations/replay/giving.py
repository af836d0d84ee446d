"""Appends to visitors' logs what a recount found missing, at a pace that the folder keeps."""

from __future__ import annotations

import asyncio
import itertools
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field

from eventlog.port import LogIdentity, Record
from eventlog.topics import VISITOR_LOG
from installation.opened import Installation
from installation.visitors import visitors_of
from operations.replay.folder_progress import POLL_S, until_folded
from operations.replay.passed_on import BACKFILL
from operations.replay.turn import Turn
from personalization.audience import windows
from personalization.errors import LogFull, Refused, StorageFull, Unavailable
from personalization.events.entry import Entry, Provenance, encode_entry
from personalization.events.event import Backfilled
from state.visitor_store import UnreadableState
from stream.lag import READY_LAG_ENTRIES

TOGETHER = 250
RATE_PER_S = 1_000
"""Visitors given something a second: a fifth of what one folder folds."""

WATCHED = 1_000
"""Visitors between two looks at how far behind the folder is: it stays ready."""

GIVE_UP_S = 30.0
"""How long the log may take nothing."""


@dataclass(slots=True)
class Giving:
    """What is given under one version of the catalog, and how much of it so far."""

    opened: Installation
    identity: LogIdentity
    turn: Turn
    version: int
    n_visitors: int = field(default=0, init=False)
    n_times: int = field(default=0, init=False)

    async def give(self, missing: Iterable[tuple[str, Backfilled]], say: Callable[[str], None]) -> None:
        """Append all of it.

        Raises
        ------
        Refused
            If the log takes nothing more, the folder folds nothing more, or another backfill has begun.
        """
        n_watched, began_s = 0, time.monotonic()
        for some in _batches(missing):
            await self._append(some)
            if self.n_visitors >= n_watched + WATCHED:
                n_watched = self.n_visitors
                log = self.opened.log
                await until_folded(log, await log.end_offsets(VISITOR_LOG), READY_LAG_ENTRIES)
                say(f"{self.n_visitors:,} visitors were given what was missing")
            await asyncio.sleep(max(0.0, self.n_visitors / RATE_PER_S - (time.monotonic() - began_s)))

    async def _append(self, some: Sequence[tuple[str, Backfilled]]) -> None:
        due = await self._still_theirs(some)
        now_ms = time.time_ns() // 1_000_000
        records = [Record(VISITOR_LOG, key, encode_entry(self._entry(each, now_ms))) for key, each in due]
        if records:
            await self._until_appended(records)
        self.n_visitors += len(due)
        self.n_times += sum(len(times) for _, each in due for times in each.times.values())

    async def _still_theirs(self, some: Sequence[tuple[str, Backfilled]]) -> list[tuple[str, Backfilled]]:
        """Those whose profile is still there, or has a redirect: of who was forgotten nothing is stored anew."""
        store = visitors_of(self.opened.settings, self.opened.redis, self.opened.keys, self.opened.cipher)
        stored = await store.load([key for key, _ in some])
        found = []
        for key, backfilled in some:
            try:
                state = stored[key].visitor().state
            except UnreadableState:
                continue  # the folder says so when it comes to it
            if state.redirect is not None or windows.belongs(backfilled, state):
                found.append((key, backfilled))
        return found

    def _entry(self, backfilled: Backfilled, now_ms: int) -> Entry:
        return Entry(
            received_at_ms=now_ms,
            occurred_at_ms=now_ms,
            catalog_version=self.version,
            event=backfilled,
            # An append that is tried again may leave two copies: the second is nothing.
            provenance=Provenance(BACKFILL, self.identity.epoch, self.turn.number, 0),
        )

    async def _until_appended(self, records: Sequence[Record]) -> None:
        began_s = time.monotonic()
        while True:
            self.turn.check()
            try:
                await self.opened.log.append(records, self.identity)
            except (LogFull, StorageFull, Unavailable) as error:
                if time.monotonic() - began_s > GIVE_UP_S:
                    raise Refused(
                        f"the log takes nothing more ({error}): run this again once it does; what was given counts "
                        "once"
                    ) from error
                await asyncio.sleep(POLL_S)
            else:
                return


def _batches(found: Iterable[tuple[str, Backfilled]]) -> Iterator[list[tuple[str, Backfilled]]]:
    iterator = iter(found)
    while batch := list(itertools.islice(iterator, TOGETHER)):
        yield batch

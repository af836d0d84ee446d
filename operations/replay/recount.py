"""What windows would have seen, had they been declared when the log began; beside it, what they did see.

The retained entries are folded once more by the very fold, under catalogs that keep nothing but times: of each
series those that the stamped version kept, and, under a key of its own, those that today's keeps. What the second
has and the first lacks is missing in the visitor's state: whatever was counted since, and whatever an earlier
backfill gave, stands in both.

A log that was trimmed does not hold how its visitors were when it begins. Where events and visitors went from a key
stands in the log all the same (``passed_on``); that a visitor had agreed follows from the event having been logged,
which the collector does for nobody else. What happened before the log begins is left out: nothing is claimed of it.
"""

from __future__ import annotations

import logging
from collections.abc import Generator, Sequence
from dataclasses import dataclass, replace

from msgspec import structs

from eventlog.partition import partition_of
from operations.replay.passed_on import PassedOn
from operations.replay.visitor_file import N_HELD, VisitorFile
from personalization.bounded import short_hash
from personalization.catalog.compiled_catalog import CompiledCatalog
from personalization.catalog.compiled_scores import CompiledScores
from personalization.catalog.compiled_series import CompiledSeries
from personalization.catalog.compiled_windows import FollowedSegments
from personalization.catalog.duration import MAX_DURATION_MS
from personalization.catalog.retention import Retention
from personalization.events.entry import Entry, Position
from personalization.events.event import CLIENT_EVENTS, Backfilled, Link, Merged, TimedOut
from personalization.folding.fold import fold
from personalization.visitor import times
from personalization.visitor.folder_state import FolderState
from personalization.visitor.purposes import PERSONALISING, Word
from personalization.visitor.visitor import Visitor
from personalization.visitor.visitor_key import anonymous_key
from personalization.visitor.visitor_state import VisitorState

logger = logging.getLogger(__name__)

_ENDLESS = Retention(
    one_event_ms=MAX_DURATION_MS,
    anonymous_ms=MAX_DURATION_MS,
    known_ms=MAX_DURATION_MS,
    records_ms=MAX_DURATION_MS,
)
"""Whom the folder forgot the log does not say; to who came back as somebody new nothing of before is given."""

_ELSEWHERE = anonymous_key("elsewhere")
"""Stands for wherever something went: an entry that is not applied at its key is folded as at a redirect."""


@dataclass(frozen=True, slots=True)
class Place:
    """A place in the log."""

    partition: int
    offset: int


class Recount:
    """Times by visitor, counted anew. Memory: ``n_held`` visitors, and who is on the way from one key to another.

    Parameters
    ----------
    wanted
        The series in force, as today's catalog keeps them.
    passed_on
        All of it noted.
    complete
        Whether the log holds everything that was ever folded: then visitors begin as nobody. Else whoever is heard
        of for the first time may have been known before.
    """

    def __init__(
        self,
        wanted: Sequence[CompiledSeries],
        epoch: int,
        n_partitions: int,
        passed_on: PassedOn,
        *,
        complete: bool,
        n_held: int = N_HELD,
    ) -> None:
        self._wanted = wanted
        self._epoch = epoch
        self._n_partitions = n_partitions
        self._passed_on = passed_on
        self._complete = complete
        self._visitors = VisitorFile(self._unheard_of, n_held)
        self._moving: dict[Place, VisitorState] = {}
        self._catalogs: dict[int, CompiledCatalog] = {}

    def close(self) -> None:
        """Let go of the file."""
        self._visitors.close()

    def waits_for(self, entry: Entry) -> Place | None:
        """The entry that has to be taken before this one; None: none."""
        cause = entry.provenance
        if cause is None or not isinstance(entry.event, Merged) or cause.epoch != self._epoch:
            return None
        return Place(partition_of(cause.source, self._n_partitions), cause.offset)

    def take(self, key: str, at: Place, entry: Entry, stamped: CompiledCatalog) -> None:
        """Count one entry; in each partition in order.

        Parameters
        ----------
        stamped
            The version of the catalog that the entry was folded under.
        """
        visitor = self._visitors.get(key)
        try:
            self._take(visitor, key, at, entry, self._counting(stamped))
        except Exception as error:  # the folder put it among the dead letters, and it counts for nothing
            logger.warning("entry_not_foldable", extra={"offset": at.offset, "reason": repr(error)})

    def _take(self, visitor: Visitor, key: str, at: Place, entry: Entry, catalog: CompiledCatalog) -> None:
        event, position = entry.event, Position(self._epoch, at.offset)
        applies = isinstance(event, (*CLIENT_EVENTS, Backfilled)) and not self._passed_on.is_forwarded(
            at.partition, at.offset
        )
        if isinstance(event, Link):
            if self._passed_on.is_moved(at.partition, at.offset):
                self._moving[at] = visitor.state
                visitor.state = VisitorState(epoch=self._epoch, offset=at.offset - 1, now_ms=visitor.state.now_ms)
            entry = structs.replace(entry, event=TimedOut(due_ms=0))
        elif isinstance(event, Merged):
            source = self.waits_for(entry)
            state = self._moving.pop(source, None) if source is not None else None
            if self._passed_on.is_moved(at.partition, at.offset):
                self._moving[at] = state or VisitorState()
            else:
                applies = True
                # What was said of consents is known, however much of the log is gone.
                state = structs.replace(state or VisitorState(), consents=event.state.consents)
                merged = Merged(source=event.source, state=state, folder=FolderState())
                entry = structs.replace(entry, event=merged)
        elif isinstance(event, Backfilled) and not self._complete:
            # It was counted from more than is left of the log.
            state = visitor.state
            state.first_ms = min(state.first_ms or event.first_ms, event.first_ms)
        visitor.state.redirect = None if applies else _ELSEWHERE
        try:
            fold(visitor, key, position, entry, catalog)
        finally:
            visitor.state.redirect = None

    def missing(self, since_ms: int, declared_ms: int) -> Generator[tuple[str, Backfilled]]:
        """What has to be given to whom, by key.

        Parameters
        ----------
        since_ms
            What happened up to then is left out; 0: nothing is.
        declared_ms
            Of visitors whose first event came before then, and after ``since_ms``, their states may not say when.
        """
        for key, visitor in self._visitors.items():
            state = visitor.state
            found = {}
            for series in self._wanted:
                seen = state.windows.get(_recounted(series.key))
                if seen is not None:
                    lacking = times.without(seen, state.windows.get(series.key), since_ms)
                    if lacking is not None:
                        found[series.key] = lacking
            born_ms = state.born_ms if state.first_ms > since_ms else 0
            if found or (since_ms and 0 < born_ms < declared_ms):
                yield key, Backfilled(times=found, first_ms=state.first_ms, born_ms=born_ms)

    def _unheard_of(self) -> Visitor:
        visitor = Visitor.new()
        if not self._complete:
            visitor.state.consents[PERSONALISING] = Word(granted=True, at_ms=0)
        return visitor

    def _counting(self, stamped: CompiledCatalog) -> CompiledCatalog:
        """The stamped version, if it kept nothing of visitors but times."""
        found = self._catalogs.get(stamped.version)
        if found is None:
            found = self._catalogs[stamped.version] = _counting(stamped, self._wanted)
        return found


def _recounted(key: bytes) -> bytes:
    """The key under which a series is counted as today's catalog keeps it."""
    return short_hash(f"recounted\x1f{key.hex()}")


def _counting(stamped: CompiledCatalog, wanted: Sequence[CompiledSeries]) -> CompiledCatalog:
    series: list[CompiledSeries] = []
    for each in wanted:
        kept = stamped.series.get(each.key)
        series += [*([] if kept is None else [kept]), replace(each, key=_recounted(each.key))]
    by_event: dict[str, list[CompiledSeries]] = {}
    for each in series:
        for event in each.events:
            by_event.setdefault(event, []).append(each)
    return replace(
        stamped,
        catalog=structs.replace(stamped.catalog, retention=_ENDLESS),
        rewards_by_event={},
        affinities_by_event={},
        conversions={},
        conversions_by_event={},
        scores=CompiledScores(),
        followed=FollowedSegments(),
        series={each.key: each for each in series},
        series_by_event=by_event,
    )

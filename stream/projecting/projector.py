"""The projector: what happened, added up, and noted where it stands. Nothing waits for it, and it holds nothing up.

It reads ``decisions``, ``outcomes`` and the keys of ``visitor-log`` in large batches, a look every half second.
What it adds up is written together with how far it has read, so that nothing counts twice, whatever crashed. An
entry that it cannot read is counted and passed over.
"""

from __future__ import annotations

import logging
from collections import OrderedDict
from collections.abc import Callable, Mapping, Sequence
from typing import Protocol

from eventlog.topics import DECISIONS, OUTCOMES, VISITOR_LOG
from personalization.errors import InvalidInput, Unavailable
from personalization.events.example import conversion_of
from personalization.events.forgotten import is_forgotten
from personalization.events.participant import Participant, decode_participant, is_experiment
from personalization.projecting.facts import decode_decision_fact, decode_outcome_fact, trace_to_find
from personalization.projecting.read_models import ReadModel
from personalization.projecting.record_rows import (
    NO_ROW,
    ROW_BYTES,
    SEGMENT_BYTES,
    SEGMENT_ROWS,
    Column,
    RowsOfBatch,
    row_of,
)
from personalization.projecting.sums import Sums, no_sums
from state.projection_store import Place, ProjectionStore, Step
from stream.metrics import ProjectorMetrics
from stream.patience import Patience
from stream.wall_clock import wall_clock_ms

logger = logging.getLogger(__name__)

COLUMNS: Mapping[str, tuple[Column, ...]] = {
    DECISIONS: (Column.DECISION, Column.VISITOR, Column.REQUEST, Column.ANSWERED, Column.TRACE),
    OUTCOMES: (Column.DECISION,),
    VISITOR_LOG: (Column.VISITOR,),
}
"""What the entries of each topic are found by."""

SELDOM = frozenset({Column.ANSWERED, Column.TRACE})
"""Columns that take up no room until a request goes by several names."""

REMEMBERED = 4_096
"""Latest entries of a partition among which copies are known: an append that is tried again follows at once."""


class Logged(Protocol):
    """An entry as it was read."""

    @property
    def offset(self) -> int:
        """Where it stands in its partition."""

    @property
    def key(self) -> bytes | None:
        """Its key."""

    @property
    def value(self) -> bytes | None:
        """Its value, perhaps sealed."""


class Projector:
    """Projects what is read of any number of partitions.

    Parameters
    ----------
    opened
        The value of an entry of a topic in the clear.
    row_key
        Rows are hashed under it.
    rows_bytes
        What all rows may take up; two segments of each column and partition are kept in any case.
    """

    def __init__(
        self,
        store: ProjectionStore,
        models: Sequence[ReadModel],
        opened: Callable[[str, Logged], bytes],
        row_key: bytes,
        n_partitions: int,
        rows_bytes: int,
        metrics: ProjectorMetrics,
    ) -> None:
        self._store = store
        self._models = models
        self._opened = opened
        self._row_key = row_key
        self._max_segments = rows_bytes // (n_partitions * SEGMENT_BYTES)
        self._seldom: set[Column] = set()
        self._metrics = metrics
        self._patiently = Patience(metrics.retries, metrics.waiting)
        self._stands: dict[Place, int | None] = {}
        self._known: dict[Place, OrderedDict[bytes, None]] = {}
        self._visitor_rows: dict[bytes, bytes] = {}

    @property
    def has_begun(self) -> bool:
        """Whether it knows where to go on."""
        return bool(self._stands)

    @property
    def reached(self) -> dict[Place, int]:
        """By partition held, the offset that is read next."""
        return {place: offset for place, offset in self._stands.items() if offset is not None}

    async def assigned(self, ends: Mapping[Place, int]) -> dict[Place, int]:
        """Where reading goes on in partitions that are ours now; one that was never read is absent.

        Parameters
        ----------
        ends
            Where each of them ends.
        """
        await self._patiently("positions", self._store.begin)
        await self._remember()
        positions = await self._patiently("positions", self._store.positions) or {}
        self._stands = {place: positions.get(place) for place in ends}
        self._known.clear()
        found: dict[Place, int] = {}
        for place, stands in self._stands.items():
            if stands is not None:
                if stands > ends[place]:
                    logger.error(
                        "log_ends_before_projection",
                        extra={"topic": place.topic, "partition": place.partition, "read_to": stands},
                    )
                found[place] = min(stands, ends[place])
        return found

    async def take(self, found: Mapping[Place, Sequence[Logged]]) -> dict[Place, int]:
        """Project entries that follow on what was read; the offsets that are read next."""
        sums = no_sums()
        steps = []
        for place, entries in found.items():
            if place not in self._known:
                await self._patiently("rows", self._begin, place, entries[0].offset)
            steps.append(self._step(place, entries, sums))
        stands = await self._patiently("projection", self._store.advance, steps, sums)
        for step, now in zip(steps, stands, strict=True):
            self._stands[step.place] = now
        if stands == [step.reached for step in steps]:
            return {step.place: step.reached for step in steps}
        logger.warning("projected_by_another", extra={"n_partitions": len(steps)})
        self._known.clear()  # nothing was added: what is read again is no copy
        await self._remember()
        return {
            step.place: found[step.place][0].offset if now is None else now
            for step, now in zip(steps, stands, strict=True)
        }

    async def tidy(self, earliest: Mapping[Place, int]) -> None:
        """Let rows go of what the log has let go, and the oldest beyond the room there is.

        Parameters
        ----------
        earliest
            The oldest entry that the log keeps, by partition.
        """
        n_segments = 0
        written = {topic: self._written(columns) for topic, columns in COLUMNS.items()}
        max_segments = max(2, self._max_segments // sum(written.values()))
        for place, reached in self.reached.items():
            last = max(0, reached - 1) // SEGMENT_ROWS
            first = max(earliest.get(place, 0) // SEGMENT_ROWS, last - max_segments + 1)
            await self._store.keep_rows_from(place, COLUMNS[place.topic], first)
            n_segments += (last - first + 1) * written[place.topic]
        self._metrics.rows_bytes.set(n_segments * SEGMENT_BYTES)

    # -- inside -----------------------------------------------------------------------------------------

    def _written(self, columns: Sequence[Column]) -> int:
        """How many of the columns take up room, as far as this process has seen."""
        return sum(column not in SELDOM or column in self._seldom for column in columns)

    async def _remember(self) -> None:
        """Tell the models what they have to know of the sums that are stored."""
        for model in self._models:
            names = model.begin(wall_clock_ms())
            sums = await self._patiently("sums", self._store.read_sums, names)
            model.remember(dict(zip(names, sums, strict=True)))

    async def _begin(self, place: Place, offset: int) -> None:
        """Read the latest rows of a partition: copies of what they are of are known by them."""
        known: OrderedDict[bytes, None] = OrderedDict()
        if Column.DECISION in COLUMNS[place.topic]:
            segments = [(place, offset // SEGMENT_ROWS - 1), (place, offset // SEGMENT_ROWS)]
            before, here = await self._store.rows(Column.DECISION, segments)
            read = (before.ljust(SEGMENT_BYTES, b"\0") + here)[: SEGMENT_BYTES + offset % SEGMENT_ROWS * ROW_BYTES]
            latest = read[-REMEMBERED * ROW_BYTES :]
            for at in range(0, len(latest), ROW_BYTES):
                known[latest[at : at + ROW_BYTES]] = None
            known.pop(NO_ROW, None)
        await self._store.begin_rows(place, offset // SEGMENT_ROWS)
        self._known[place] = known

    def _step(self, place: Place, entries: Sequence[Logged], sums: Sums) -> Step:
        first = entries[0].offset
        rows = {column: RowsOfBatch(first) for column in COLUMNS[place.topic]}
        step = Step(place, self._stands.get(place), entries[-1].offset + 1, rows)
        project = {DECISIONS: self._decided, OUTCOMES: self._closed, VISITOR_LOG: self._happened}[place.topic]
        results: dict[str, int] = {}
        for entry in entries:
            try:
                result = project(step, entry, sums)
            except Unavailable:
                raise  # the data key was not read yet
            except Exception as error:  # whatever an entry holds, the others are projected
                result = "unreadable"
                if not isinstance(error, InvalidInput):
                    logger.error("entry_not_projected", extra={"offset": entry.offset, "reason": repr(error)})
            results[result] = results.get(result, 0) + 1
        for result, n_entries in results.items():
            self._metrics.projected.labels(place.topic, result).inc(n_entries)
        return step

    def _decided(self, step: Step, entry: Logged, sums: Sums) -> str:
        fact = decode_decision_fact(self._opened(DECISIONS, entry))
        row = row_of(self._row_key, fact.choice.decision_id)
        step.rows[Column.DECISION].put(entry.offset, row)
        step.rows[Column.VISITOR].put(entry.offset, self._visitor_row(entry.key or b""))
        step.rows[Column.REQUEST].put(entry.offset, row_of(self._row_key, fact.request_id))
        self._put_seldom(step, Column.ANSWERED, entry.offset, fact.answered_as)
        self._put_seldom(step, Column.TRACE, entry.offset, trace_to_find(fact))
        if self._is_copy(step.place, row):
            return "duplicate"
        for model in self._models:
            model.decided(fact, sums)
        return "projected"

    def _put_seldom(self, step: Step, column: Column, offset: int, name: str) -> None:
        if name:
            step.rows[column].put(offset, row_of(self._row_key, name))
            self._seldom.add(column)

    def _closed(self, step: Step, entry: Logged, sums: Sums) -> str:
        value, key = self._opened(OUTCOMES, entry), _text(entry.key)
        if is_experiment(key):
            return self._participated(step, entry.offset, decode_participant(value), sums)
        if conversion_of(key) is not None or is_forgotten(value):
            return "projected"  # what is told of conversions and of the erased is no outcome
        fact = decode_outcome_fact(value)
        if self._note_is_copy(step, entry.offset, fact.choice.decision_id):
            return "duplicate"
        for model in self._models:
            model.closed(fact, sums)
        return "projected"

    def _participated(self, step: Step, offset: int, participant: Participant, sums: Sums) -> str:
        if self._note_is_copy(step, offset, participant.participant_id):
            return "duplicate"
        for model in self._models:
            model.participated(participant, sums)
        return "projected"

    def _note_is_copy(self, step: Step, offset: int, name: str) -> bool:
        row = row_of(self._row_key, name)
        step.rows[Column.DECISION].put(offset, row)
        return self._is_copy(step.place, row)

    def _happened(self, step: Step, entry: Logged, sums: Sums) -> str:
        step.rows[Column.VISITOR].put(entry.offset, self._visitor_row(entry.key or b""))
        return "projected"

    def _visitor_row(self, key: bytes) -> bytes:
        """The row of a visitor, who comes several times in a row."""
        row = self._visitor_rows.get(key)
        if row is None:
            if len(self._visitor_rows) >= REMEMBERED:
                self._visitor_rows.clear()
            row = self._visitor_rows[key] = row_of(self._row_key, _text(key))
        return row

    def _is_copy(self, place: Place, row: bytes) -> bool:
        known = self._known[place]
        if row in known:
            return True
        known[row] = None
        if len(known) > REMEMBERED:
            known.popitem(last=False)
        return False


def _text(key: bytes | None) -> str:
    return (key or b"").decode("utf-8", "surrogatepass")

"""Finds what was recorded of decisions, by rows that the projector has written of where records stand."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from itertools import product

from redis.asyncio import Redis
from redis.exceptions import RedisError

from eventlog.partition import partition_of
from eventlog.port import EventLog, LogEntry
from eventlog.topics import DECISIONS, OUTCOMES, VISITOR_LOG
from personalization.errors import InvalidInput, Unavailable
from personalization.events.decision_id import key_of
from personalization.events.decision_record import DecisionRecord, decode_record
from personalization.events.entry import decode_entry
from personalization.events.logged_entry import LoggedEntry
from personalization.events.outcome import Outcome, decode_outcome
from personalization.key_derivation import Secrets, accepted
from personalization.projecting.facts import TRACE_ID_BYTES
from personalization.projecting.record_rows import SEGMENT_ROWS, Column, places_of, row_of
from state.keys import Keys
from state.projection_store import Place, ProjectionStore

ROWS_PURPOSE = "record-rows"
"""What the key of rows is derived for."""

SEGMENTS_TOGETHER = 8
"""Segments looked through at once: half a megabyte of one partition's."""

READ_THROUGH = 16
"""Entries between two that are wanted are read too if they are no more: a read of one costs as much."""

_NAMES_OF_REQUEST = (Column.REQUEST, Column.ANSWERED, Column.TRACE)

NO_PROJECTOR = "no projector has noted where records stand: start `nextbest projector`"


class RecordFinder:
    """Finds records; each look-up reads some rows, and then single entries of the log."""

    def __init__(self, redis: Redis, keys: Keys, log: EventLog, secrets: Secrets) -> None:
        self._redis = redis
        self._keys = keys
        self._log = log
        self._ids = secrets.key("decision-ids")
        self._row_keys = accepted(secrets.key(ROWS_PURPOSE))

    async def decision(self, decision_id: str) -> DecisionRecord | None:
        """The record of a decision; of one that was written twice the first. None: none is kept.

        Raises
        ------
        Unavailable
            If log or Redis do not answer, or no projector has run.
        """
        try:
            visitor = key_of(self._ids, decision_id)
        except InvalidInput:
            return None
        async with self._look() as look:
            place = Place(DECISIONS, partition_of(visitor, look.n_partitions))
            async for offsets in look.places(Column.DECISION, decision_id, place, newest_first=False):
                for entry in await self._read(place, offsets):
                    record = _decoded_record(entry)
                    if record is not None and record.choice.decision_id == decision_id:
                        return record
        return None

    async def decisions_of(self, keys: Sequence[str], limit: int) -> list[DecisionRecord]:
        """The latest decisions under a visitor's keys, newest first; raises as ``decision``."""
        found: list[DecisionRecord] = []
        async with self._look() as look:
            for key in dict.fromkeys(keys):
                place = Place(DECISIONS, partition_of(key, look.n_partitions))
                entries = await self._latest(look, place, key, limit)
                found += [record for entry in entries if (record := _decoded_record(entry)) is not None]
        found.sort(key=lambda record: record.decided_at_ms, reverse=True)
        return found[:limit]

    async def decisions_of_request(self, request_id: str) -> list[DecisionRecord]:
        """What a request decided, in its order, by any of its names; raises as ``decision``."""
        found: list[DecisionRecord] = []
        async with self._look() as look:
            for partition, column in product(range(look.n_partitions), _NAMES_OF_REQUEST):
                place = Place(DECISIONS, partition)
                async for offsets in look.places(column, request_id, place, newest_first=True):
                    records = [_decoded_record(entry) for entry in await self._read(place, offsets)]
                    found += [each for each in records if each is not None and _is_called(each, request_id)]
        once = {record.message_id: record for record in reversed(found)}
        return sorted(once.values(), key=lambda record: (record.decided_at_ms, record.choice.slot))

    async def outcome(self, decision_id: str) -> Outcome | None:
        """What became of a decision; None while it is open, or if nothing is kept of it. Raises as ``decision``."""
        if not self._is_ours(decision_id):
            return None
        decided = await self.decision(decision_id)
        async with self._look() as look:
            partitions: Sequence[int] = range(look.n_partitions)
            if decided is not None:
                partitions = [partition_of(decided.choice.model, look.n_partitions)]
            for partition in partitions:
                place = Place(OUTCOMES, partition)
                async for offsets in look.places(Column.DECISION, decision_id, place, newest_first=False):
                    for entry in await self._read(place, offsets):
                        outcome = _decoded_outcome(entry)
                        if outcome is not None and outcome.choice.decision_id == decision_id:
                            return outcome
        return None

    async def entries_of(self, keys: Sequence[str], limit: int) -> list[LoggedEntry]:
        """The latest entries of the visitor log under a visitor's keys, newest first; raises as ``decision``."""
        found: list[LoggedEntry] = []
        async with self._look() as look:
            for key in dict.fromkeys(keys):
                place = Place(VISITOR_LOG, partition_of(key, look.n_partitions))
                for entry in await self._latest(look, place, key, limit):
                    try:
                        decoded = decode_entry(entry.value)
                    except InvalidInput:
                        continue
                    found.append(LoggedEntry(place.partition, entry.offset, key, decoded))
        found.sort(key=lambda each: (each.entry.received_at_ms, each.offset), reverse=True)
        return found[:limit]

    # -- inside -----------------------------------------------------------------------------------------

    def _is_ours(self, decision_id: str) -> bool:
        """Whether this installation made the id: the outcome of another would be looked for in all rows."""
        try:
            key_of(self._ids, decision_id)
        except InvalidInput:
            return False
        return True

    @asynccontextmanager
    async def _look(self) -> AsyncIterator[_Look]:
        """A look at the rows as they are now; errors of Redis in it are ``Unavailable``."""
        try:
            identity = await self._log.identity(anew=True)
            store = ProjectionStore(self._redis, self._keys, identity.epoch)
            positions = await store.positions()
            if positions is None:
                raise Unavailable(NO_PROJECTOR)
            yield _Look(store, positions, identity.n_partitions, self._row_keys)
        except (RedisError, OSError) as error:
            raise Unavailable(f"records cannot be looked up: {error}") from error

    async def _latest(self, look: _Look, place: Place, key: str, limit: int) -> list[LogEntry]:
        """The latest entries under ``key``, newest first."""
        found: list[LogEntry] = []
        async for offsets in look.places(Column.VISITOR, key, place, newest_first=True):
            for first in range(0, len(offsets), limit):
                entries = await self._read(place, offsets[first : first + limit])
                found += [entry for entry in reversed(entries) if entry.key == key]
                if len(found) >= limit:
                    return found[:limit]
        return found

    async def _read(self, place: Place, offsets: Sequence[int]) -> list[LogEntry]:
        """The entries at ``offsets``, in the log's order; without those that the log has let go."""
        found: list[LogEntry] = []
        wanted = sorted(offsets)
        while wanted:
            n_near = 1
            while n_near < len(wanted) and wanted[n_near] - wanted[n_near - 1] <= READ_THROUGH:
                n_near += 1
            near, wanted = set(wanted[:n_near]), wanted[n_near:]
            async for entry in self._log.read(*place, min(near), max(near) + 1):
                if entry.offset in near:
                    found.append(entry)
        return found


class _Look:
    """The rows as they stood when somebody began to look."""

    def __init__(
        self, store: ProjectionStore, positions: dict[Place, int], n_partitions: int, row_keys: tuple[bytes, ...]
    ) -> None:
        self._store = store
        self._positions = positions
        self.n_partitions = n_partitions
        self._row_keys = row_keys

    async def places(
        self, column: Column, text: str, place: Place, *, newest_first: bool
    ) -> AsyncIterator[list[int]]:
        """Offsets whose row is that of ``text``, of some segments at a time, newest or oldest first."""
        rows = [row_of(key, text) for key in self._row_keys]
        end = self._positions.get(place, 0)
        segments = range(await self._store.kept_from(place), -(-end // SEGMENT_ROWS))
        ordered = list(reversed(segments)) if newest_first else list(segments)
        for first in range(0, len(ordered), SEGMENTS_TOGETHER):
            some = ordered[first : first + SEGMENTS_TOGETHER]
            found = await self._store.rows(column, [(place, segment) for segment in some])
            offsets = [
                segment * SEGMENT_ROWS + at
                for segment, data in zip(some, found, strict=True)
                for row in rows
                for at in places_of(data, row)
            ]
            if offsets:
                yield sorted((each for each in offsets if each < end), reverse=newest_first)


def _is_called(record: DecisionRecord, name: str) -> bool:
    return name in (record.request_id, record.answered_as, record.trace[:TRACE_ID_BYTES].hex())


def _decoded_record(entry: LogEntry) -> DecisionRecord | None:
    try:
        return decode_record(entry.value)
    except InvalidInput:
        return None


def _decoded_outcome(entry: LogEntry) -> Outcome | None:
    try:
        return decode_outcome(entry.value)
    except InvalidInput:
        return None

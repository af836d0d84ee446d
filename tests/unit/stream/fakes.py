"""Parts of the house in memory, for the folder's and the learner's own logic."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence

from eventlog.partition import partition_of
from eventlog.port import Entry, Position, Record
from personalization.compiled import CompiledCatalog
from personalization.errors import LogFull
from personalization.folder_state import encode_folder
from state.timers import Timer
from state.visitor_store import ABSENT, Change, Stored, pack_visitor

N_PARTITIONS = 4


class MemoryVisitors:
    def __init__(self) -> None:
        self.stored: dict[str, Stored] = {}
        self.before_save: list[object] = []

    async def load(self, keys: Sequence[str]) -> dict[str, Stored]:
        return {key: self.stored.get(key, Stored(None, None)) for key in keys}

    async def save(self, changes: Sequence[Change]) -> list[str]:
        if self.before_save:
            self.before_save.pop(0)()
        losers = []
        for change in changes:
            held = self.stored.get(change.key)
            if (held.fence if held else ABSENT) != change.fence:
                losers.append(change.key)
            else:
                visitor = change.visitor
                self.stored[change.key] = Stored(pack_visitor(visitor.state), encode_folder(visitor.folder))
        return losers


class MemoryTimers:
    def __init__(self) -> None:
        self.timers: set[Timer] = set()

    async def add(self, timers: Iterable[Timer]) -> None:
        self.timers.update(timers)

    async def remove(self, timers: Iterable[Timer]) -> None:
        self.timers.difference_update(timers)

    async def due(self, partitions: Collection[int], n_partitions: int, now_ms: int, limit: int) -> list[Timer]:
        owned = (t for t in sorted(self.timers) if partition_of(t.key, n_partitions) in partitions)
        return [timer for timer in owned if timer.due_ms <= now_ms][:limit]


class MemoryLog:
    """The part of ``EventLog`` that workers call; ``failures`` are raised first, one per append."""

    def __init__(self) -> None:
        self.records: dict[str, list[list[Record]]] = {}
        self.failures: list[Exception] = []
        self.full: set[str] = set()
        self.fill = 0.0

    def of(self, topic: str) -> list[list[Record]]:
        return self.records.setdefault(topic, [[] for _ in range(N_PARTITIONS)])

    def all(self, topic: str) -> list[Record]:
        return [record for partition in self.of(topic) for record in partition]

    async def append(self, records: Sequence[Record]) -> list[Position]:
        if self.failures:
            raise self.failures.pop(0)
        if self.full & {record.topic for record in records}:
            raise LogFull("full")
        positions = []
        for record in records:
            partition = partition_of(record.key, N_PARTITIONS)
            self.of(record.topic)[partition].append(record)
            positions.append(Position(record.topic, partition, len(self.of(record.topic)[partition]) - 1))
        return positions

    async def end_offsets(self, topic: str) -> list[int]:
        return [len(partition) for partition in self.of(topic)]

    async def fill_share(self, topic: str) -> float:
        return self.fill

    async def committed_offsets(self, group: str, topic: str) -> list[int | None]:
        return [None] * N_PARTITIONS

    async def earliest_offsets(self, topic: str) -> list[int]:
        return [0] * N_PARTITIONS

    async def set_trim_floor(self, topic: str, partition: int, offset: int) -> None:
        self.floors = {**getattr(self, "floors", {}), partition: offset}

    async def read(self, topic: str, partition: int, from_offset: int, to_offset: int | None = None):
        for offset, record in enumerate(self.of(topic)[partition][:to_offset]):
            if offset >= from_offset:
                yield Entry(offset, record.key, record.value)


class FixedCatalog:
    def __init__(self, catalog: CompiledCatalog) -> None:
        self.current = catalog

    async def get(self, version: int) -> CompiledCatalog:
        assert version == self.current.version
        return self.current

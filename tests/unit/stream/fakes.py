"""Parts of the house in memory, for the folder's and the learner's own logic."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Iterable, Mapping, Sequence

import msgspec

from eventlog.partition import partition_of
from eventlog.port import LogEntry, LogPosition, Record
from personalization.catalog.compiled_catalog import CompiledCatalog
from personalization.errors import LogFull
from personalization.visitor.folder_state import encode_folder
from state.checkpoint_store import BlobName, CheckpointHeader, CheckpointStore, decode_header, encode_header
from state.timers import Look, Timer, bucket_of
from state.visitor_store import NEVER_SEEN, Change, Gone, Stored, pack_gone, pack_visitor

N_PARTITIONS = 4


class MemoryVisitors:
    def __init__(self, timers: MemoryTimers | None = None) -> None:
        self.timers = timers or MemoryTimers()
        self.stored: dict[str, Stored] = {}
        self.before_save: list[Callable[[], object]] = []

    async def load(self, keys: Sequence[str]) -> dict[str, Stored]:
        return {key: self.stored.get(key, NEVER_SEEN) for key in keys}

    async def save(self, changes: Sequence[Change]) -> list[str]:
        if self.before_save:
            self.before_save.pop(0)()
        losers = []
        for change in changes:
            held = self.stored.get(change.key)
            visitor = change.visitor
            if (held or NEVER_SEEN) != change.read:
                losers.append(change.key)
                continue
            self.timers.timers.update(Timer(due_ms, change.key) for due_ms in change.due_ms)
            self.timers.timers.difference_update(Timer(done_ms, change.key) for done_ms in change.done_ms)
            if visitor.is_known:
                self.stored[change.key] = Stored(pack_visitor(visitor.state), encode_folder(visitor.folder))
            else:
                self.stored[change.key] = Stored(None, None, Gone(change.key, pack_gone(visitor)))
        return losers


class MemoryTimers:
    def __init__(self) -> None:
        self.timers: set[Timer] = set()

    async def add(self, timers: Iterable[Timer]) -> None:
        self.timers.update(timers)

    async def remove(self, timers: Iterable[Timer]) -> None:
        self.timers.difference_update(timers)

    async def remove_all(self, keys: Iterable[str]) -> int:
        found = {timer for timer in self.timers if timer.key in set(keys)}
        self.timers -= found
        return len(found)

    async def look(self, buckets: Sequence[int], now_ms: int, limit: int) -> Look:
        there = [timer for timer in sorted(self.timers) if bucket_of(timer.key) in buckets]
        earliest = {bucket_of(timer.key): timer.due_ms for timer in reversed(there)}
        return Look([timer for timer in there if timer.due_ms <= now_ms][:limit], earliest)


class MemoryLog:
    """The part of ``EventLog`` that workers call; ``failures`` are raised first, one per append."""

    def __init__(self) -> None:
        self.records: dict[str, list[list[Record]]] = {}
        self.failures: list[Exception] = []
        self.full: set[str] = set()
        self.floors: dict[int, int] = {}
        self.earliest: dict[int, int] = {}
        self.fill = 0.0

    def of(self, topic: str) -> list[list[Record]]:
        return self.records.setdefault(topic, [[] for _ in range(N_PARTITIONS)])

    def all(self, topic: str) -> list[Record]:
        return [record for partition in self.of(topic) for record in partition]

    async def append(self, records: Sequence[Record], only_in: object = None) -> list[LogPosition]:
        if self.failures:
            raise self.failures.pop(0)
        if self.full & {record.topic for record in records}:
            raise LogFull("full")
        positions = []
        for record in records:
            partition = partition_of(record.key, N_PARTITIONS)
            self.of(record.topic)[partition].append(record)
            positions.append(LogPosition(record.topic, partition, len(self.of(record.topic)[partition]) - 1))
        return positions

    async def end_offsets(self, topic: str) -> list[int]:
        return [len(partition) for partition in self.of(topic)]

    async def committed_offsets(self, group: str, topic: str) -> list[int | None]:
        return [None] * N_PARTITIONS

    async def earliest_offsets(self, topic: str) -> list[int]:
        return [self.earliest.get(partition, 0) for partition in range(N_PARTITIONS)]

    async def set_trim_floor(self, topic: str, partition: int, offset: int) -> None:
        self.floors[partition] = max(offset, self.floors.get(partition, 0))

    async def fill_share(self, topic: str) -> float:
        return self.fill

    def trim(self) -> None:
        """Let go of all that may go."""
        self.earliest.update(self.floors)

    async def read(
        self, topic: str, partition: int, from_offset: int, to_offset: int | None = None
    ) -> AsyncIterator[LogEntry]:
        for offset, record in enumerate(self.of(topic)[partition][:to_offset]):
            if offset >= max(from_offset, self.earliest.get(partition, 0)):
                yield LogEntry(offset, record.key, record.value)


class FixedCatalog:
    def __init__(self, catalog: CompiledCatalog) -> None:
        self.current = catalog

    async def get(self, version: int) -> CompiledCatalog:
        assert version == self.current.version
        return self.current


class MemoryCheckpoints(CheckpointStore):
    """``CheckpointStore`` whose five calls to Redis are answered from memory; one suite holds both to the same."""

    def __init__(self) -> None:
        self.generation = 0
        self.generations: dict[int, int] = {}
        self.kept_headers: dict[int, list[bytes]] = {}
        self.stored: dict[tuple[int, str, int], bytes] = {}

    async def open(self, partition: int) -> int:
        self.generation += 1
        self.generations[partition] = self.generation
        return self.generation

    async def renew(self, partition: int, generation: int) -> int | None:
        return await self.open(partition) if self.generations[partition] == generation else None

    async def header(self, partition: int) -> CheckpointHeader | None:
        damage: msgspec.DecodeError | None = None
        for value in self.kept_headers.get(partition, ()):
            try:
                return decode_header(value)
            except msgspec.DecodeError as error:
                damage = error
        if damage is not None:
            raise damage
        return None

    async def blobs(self, partition: int, names: Iterable[BlobName]) -> dict[BlobName, bytes | None]:
        return {name: self.stored.get((partition, *name)) for name in names}

    async def save(
        self,
        partition: int,
        header: CheckpointHeader,
        blobs: Mapping[BlobName, bytes],
        before: CheckpointHeader | None = None,
    ) -> bool:
        if header.generation < self.generations.get(partition, -1):
            return False
        self.kept_headers[partition] = [encode_header(header)] * 2
        self.stored.update({(partition, *name): blob for name, blob in blobs.items()})
        if before is not None:
            for name in set(before.blob_names()) - set(header.blob_names()):
                self.stored.pop((partition, *name), None)
        return True

    def damage(self, partition: int, name: BlobName) -> None:
        """Flip one bit."""
        blob = bytearray(self.stored[partition, *name])
        blob[len(blob) // 2] ^= 1
        self.stored[partition, *name] = bytes(blob)

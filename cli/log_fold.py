"""A plain loop over the pure fold: what every visitor's state must be, by the log alone.

No workers, no batches, no failures, nothing emitted. What was emitted when the log was written stands in it.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field

from eventlog.port import EventLog
from eventlog.topics import VISITOR_LOG
from personalization.compiled import CompiledCatalog
from personalization.entry import Entry, Position, decode_entry
from personalization.errors import InvalidInput
from personalization.fold import Emission, Folded, Status, Visitor, fold

CatalogOf = Callable[[int], Awaitable[CompiledCatalog]]
"""The catalog of a version, compiled."""


@dataclass(slots=True)
class PartitionFold:
    """One partition of the visitor log, folded from ``next_offset`` on.

    Attributes
    ----------
    visitors
        By key: as they are after the last entry read.
    statuses
        How the entries counted.
    n_dead
        Entries that are none: the folder puts them among the dead letters.
    """

    partition: int
    epoch: int
    next_offset: int = 0
    visitors: dict[str, Visitor] = field(default_factory=dict)
    statuses: dict[Status, int] = field(default_factory=dict)
    emissions: list[Emission] = field(default_factory=list)
    n_dead: int = 0
    keep_emissions: bool = False

    async def advance(self, log: EventLog, catalog_of: CatalogOf, to_offset: int | None = None) -> int:
        """Fold what stands between ``next_offset`` and ``to_offset`` (the end as it is now); how many entries."""
        n = 0
        async for read in log.read(VISITOR_LOG, self.partition, self.next_offset, to_offset):
            n += 1
            self.next_offset = read.offset + 1
            try:
                entry = decode_entry(read.value)
            except InvalidInput:
                self.n_dead += 1
                continue
            self._apply(read.key, read.offset, entry, await catalog_of(entry.catalog_version))
        return n

    def _apply(self, key: str, offset: int, entry: Entry, catalog: CompiledCatalog) -> Folded:
        visitor = self.visitors.get(key)
        if visitor is None:
            visitor = self.visitors[key] = Visitor.new()
        folded = fold(visitor, key, Position(self.epoch, offset), entry, catalog)
        self.statuses[folded.status] = self.statuses.get(folded.status, 0) + 1
        if self.keep_emissions:
            self.emissions.extend(folded.emissions)
        return folded

"""A plain loop over the pure fold: what every visitor's state must be, by the log alone.

No workers, no batches, no failures, nothing emitted: what was emitted when the log was written stands in it.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from dataclasses import dataclass, field

from eventlog.port import EventLog
from eventlog.topics import VISITOR_LOG
from installation.opened import CatalogOf
from personalization.catalog.compiled_catalog import CompiledCatalog
from personalization.errors import InvalidInput
from personalization.events.entry import Entry, Position, decode_entry
from personalization.folding.fold import fold
from personalization.visitor.visitor import Visitor

logger = logging.getLogger(__name__)


@dataclass(slots=True)
class PartitionFold:
    """One partition of the visitor log, folded from ``first_offset`` on.

    Attributes
    ----------
    initial
        Makes the visitors as they were before ``first_offset``.
    visitors
        By key: as they are after the last entry read.
    n_entries, n_dead
        Entries read; those among them that are none, or cannot be folded: the folder puts them among the dead
        letters.
    """

    partition: int
    epoch: int
    first_offset: int = 0
    initial: Callable[[], dict[str, Visitor]] = dict
    next_offset: int = field(init=False)
    visitors: dict[str, Visitor] = field(init=False)
    n_entries: int = field(init=False)
    n_dead: int = field(init=False)
    _poisoned: set[int] = field(default_factory=set, init=False)
    _catalogs: dict[int, CompiledCatalog] = field(default_factory=dict, init=False)

    def __post_init__(self) -> None:
        self._restart()

    def _restart(self) -> None:
        self.next_offset = self.first_offset
        self.visitors = self.initial()
        self.n_entries = self.n_dead = 0

    async def advance(self, log: EventLog, catalog_of: CatalogOf, to_offset: int | None = None) -> None:
        """Fold what stands between ``next_offset`` and ``to_offset`` (the end as it is now)."""
        while True:
            try:
                await self._advance(log, catalog_of, to_offset)
                return
            except _NotFoldable as error:
                # Its visitor is half changed: everything anew without it, as the folder does with one visitor.
                logger.warning(
                    "entry_not_foldable", extra={"offset": error.offset, "reason": repr(error.__cause__)}
                )
                self._poisoned.add(error.offset)
                self._restart()

    async def _advance(self, log: EventLog, catalog_of: CatalogOf, to_offset: int | None) -> None:
        async for read in log.read(VISITOR_LOG, self.partition, self.next_offset, to_offset):
            self.next_offset = read.offset + 1
            self.n_entries += 1
            try:
                entry = decode_entry(read.value)
            except InvalidInput:
                self.n_dead += 1
                continue
            if read.offset in self._poisoned:
                self.n_dead += 1
                continue
            visitor = self.visitors.setdefault(read.key, Visitor.new())
            # Open decisions are judged by the rules they were made under.
            for version in {entry.catalog_version, *(made.choice.catalog_version for made in visitor.folder.open)}:
                if version not in self._catalogs:
                    self._catalogs[version] = await catalog_of(version)
            self._apply(visitor, read.key, read.offset, entry)

    def _apply(self, visitor: Visitor, key: str, offset: int, entry: Entry) -> None:
        try:
            catalog = self._catalogs[entry.catalog_version]
            fold(visitor, key, Position(self.epoch, offset), entry, catalog, self._catalogs)
        except Exception as error:
            raise _NotFoldable(offset) from error


class _NotFoldable(Exception):
    def __init__(self, offset: int) -> None:
        super().__init__(f"entry at offset {offset}")
        self.offset = offset

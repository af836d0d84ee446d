"""One entry while it is folded: what the parts of the fold look at, and where they say what it caused."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TypeAlias

from personalization.catalog.compiled_catalog import CompiledCatalog
from personalization.errors import MissingCatalog
from personalization.events.emission import DerivedEntry, Emission
from personalization.events.entry import Entry, Position, Provenance
from personalization.events.event import Told
from personalization.folding.closed_memory import LateReward
from personalization.visitor.visitor import Visitor

Note: TypeAlias = tuple[str, str, str]
"""(kind, placement, arm): something to be counted; placement and arm are empty if they are not known."""


class FoldContext:
    """One entry on its way into its visitor.

    Attributes
    ----------
    visitor, state, folder
        The visitor and both halves of what is kept of them, changed in place.
    key, position
        The visitor's key, and where the entry stands in the log.
    catalog
        The version stamped on the entry.
    emissions, notes, late
        What the entry caused so far: what goes to the log, what is counted, rewards that came too late.
    """

    __slots__ = (
        "_earlier",
        "catalog",
        "emissions",
        "entry",
        "folder",
        "key",
        "late",
        "notes",
        "position",
        "state",
        "visitor",
    )

    def __init__(
        self,
        visitor: Visitor,
        key: str,
        position: Position,
        entry: Entry,
        catalog: CompiledCatalog,
        earlier: Mapping[int, CompiledCatalog],
    ) -> None:
        self.visitor = visitor
        self.state = visitor.state
        self.folder = visitor.folder
        self.key = key
        self.position = position
        self.entry = entry
        self.catalog = catalog
        self._earlier = earlier
        self.emissions: list[Emission] = []
        self.notes: list[Note] = []
        self.late: list[LateReward] = []

    def catalog_of(self, version: int) -> CompiledCatalog:
        """Another version of the catalog.

        Raises
        ------
        MissingCatalog
            If it is not there: it has to be fetched, and the entry folded again.
        """
        found = self._earlier.get(version)
        if found is None:
            raise MissingCatalog(version)
        return found

    def tell(self, event: Told) -> None:
        """Put something that became of the visitor into their log."""
        at_ms = self.state.now_ms
        told = Entry(
            received_at_ms=at_ms,
            occurred_at_ms=at_ms,
            catalog_version=self.entry.catalog_version,
            event=event,
            provenance=Provenance(self.key, self.position.epoch, self.position.offset, len(self.emissions)),
        )
        self.emissions.append(DerivedEntry(self.key, told))

    def note_late(self, late: LateReward) -> None:
        """A reward came for a decision that is closed: it changes nothing and is told."""
        self.notes.append(("late", late.placement, late.arm))
        self.late.append(late)

"""The fold: one visitor's log into one visitor's state. Pure; everything else in the house stands on it.

``fold(visitor, key, position, entry, catalog)`` changes the visitor it is given (the caller owns it) and
returns what happened: how the entry counts, and what must reach the log *before* the state is written.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import StrEnum
from typing import TypeAlias

from personalization.compiled import CompiledCatalog
from personalization.entry import Entry, Position
from personalization.folder_state import FolderState
from personalization.outcome import Outcome
from personalization.visitor_state import VisitorState


class Status(StrEnum):
    """How an entry counts: received = applied + duplicate + dead-lettered + dropped(reason)."""

    APPLIED = "applied"
    DUPLICATE = "duplicate"
    """A message id or a derived event seen before."""
    FORWARDED = "forwarded"
    """Reached a redirect and was sent on; counted where it is applied."""
    REDELIVERED = "redelivered"
    """At or below the fence: applied before, touched nothing."""
    STALE_EPOCH = "stale_epoch"
    """Of an older epoch than the state: touched nothing."""


@dataclass(slots=True)
class Visitor:
    """All that is kept of one visitor: what the decider reads, and what only the folder needs."""

    state: VisitorState
    folder: FolderState

    @classmethod
    def new(cls) -> Visitor:
        """A visitor never seen."""
        return cls(VisitorState(), FolderState())


@dataclass(frozen=True, slots=True)
class DerivedEntry:
    """An entry to append to the visitor log under ``key``."""

    key: str
    entry: Entry


Emission: TypeAlias = DerivedEntry | Outcome


@dataclass(slots=True)
class Folded:
    """What folding one entry did.

    Attributes
    ----------
    emissions
        To be acknowledged by the log before the state is written; in order.
    due_ms
        A time-out to have ready before the state is written; None: nothing new.
    notes
        (kind, placement, arm) of what is counted: ``late``, ``orphan``, ``evicted``, ``rewarded``, …
    """

    status: Status
    emissions: list[Emission] = field(default_factory=list)
    due_ms: int | None = None
    notes: list[tuple[str, str, str]] = field(default_factory=list)


def fold(visitor: Visitor, key: str, position: Position, entry: Entry, catalog: CompiledCatalog) -> Folded:
    """Fold one entry into its visitor."""
    raise NotImplementedError

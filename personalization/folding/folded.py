"""What the fold says it did."""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import StrEnum

from personalization.events.emission import Emission
from personalization.folding.closed_memory import LateReward
from personalization.folding.context import Note


class Status(StrEnum):
    """How an entry counts: received = applied + duplicate + forwarded + dead-lettered + dropped(reason)."""

    APPLIED = "applied"
    DUPLICATE = "duplicate"
    """A message id or a derived event seen before."""
    FORWARDED = "forwarded"
    """Reached a redirect and was sent on; counted again where it is applied."""
    DROPPED = "dropped"
    """Means nothing here; ``Folded.reason`` says why."""
    REDELIVERED = "redelivered"
    """At or below the fence: applied before, touched nothing."""
    STALE_EPOCH = "stale_epoch"
    """The entry is of an older epoch than the state: it touched nothing."""


UNTOUCHED = frozenset({Status.REDELIVERED, Status.STALE_EPOCH})
"""Statuses that leave the visitor exactly as it was: nothing to write."""


@dataclass(slots=True)
class Folded:
    """What folding one entry did.

    Attributes
    ----------
    emissions
        To be acknowledged by the log before the state is written; in order.
    due_ms
        A time-out to have ready before the state is written; None: nothing new.
    look_ms
        Another time-out to have ready: whether the visitor is to be forgotten then. None: nothing new.
    notes
        (kind, placement, arm) of what is counted: ``exposed``, ``rewarded``, ``late``, ``orphan``,
        ``closed_evicted``, …; placement and arm are empty where they are not known.
    reason
        Why the entry was dropped.
    late
        Rewards that came after their decision was closed, each in ``notes`` too.
    """

    status: Status
    emissions: list[Emission] = field(default_factory=list)
    due_ms: int | None = None
    look_ms: int | None = None
    notes: list[Note] = field(default_factory=list)
    reason: str = ""
    late: list[LateReward] = field(default_factory=list)

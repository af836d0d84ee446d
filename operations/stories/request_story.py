"""What a request decided, and what became of that: the log, the fold, the outcome, the model."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any

import msgspec

from api.services.records import Records
from operations.stories.moments import SCALE
from operations.stories.untrained import why_untrained
from personalization.events.decision_record import DecisionRecord
from personalization.events.event import DecisionMade
from personalization.events.logged_entry import LoggedEntry
from personalization.events.outcome import Outcome
from tracing.trace_context import TRACE_ID_BYTES, of_carried

NEAR = 200
"""Entries of a visitor that a decision's own is looked for among."""

IsFolded = Callable[[LoggedEntry], Awaitable[bool]]
"""Whether an entry is folded into its visitor's state."""

IsLearned = Callable[[Outcome], Awaitable[bool | None]]
"""Whether a model's last checkpoint holds what it learned of an outcome; None: that cannot be told."""


class DecisionStory(msgspec.Struct, frozen=True, kw_only=True):
    """One decision of a request, and what became of it.

    Attributes
    ----------
    partition, offset
        Where it stands in the visitor log; None: it is not found there, or not any more.
    folded
        Whether the folder has written it into the visitor's state; None: it is not known.
    reward
        What it was worth when it was closed; None: it is open.
    learned
        Whether the model has learned from it, and that is safe; None: it cannot be told, or it is open.
    why_untrained
        Why no model learns from it; empty: one does, or it is open.
    """

    decision_id: str
    at_ms: int
    placement: str
    slot: int
    arm: str
    probability: float
    tier: str
    reason: str
    trace_id: str = ""
    partition: int | None = None
    offset: int | None = None
    folded: bool | None = None
    reward: float | None = None
    closed: str = ""
    closed_at_ms: int | None = None
    trains: bool | None = None
    learned: bool | None = None
    why_untrained: str = ""


async def decisions_of(records: Records, name: str) -> list[DecisionRecord]:
    """What the request of that id, or that trace, decided; or the decision of that id. Raises ``Unavailable``.

    A request that shows what the visit keeps decides nothing: its answer has the id of the decision that is kept.
    """
    found = await records.decisions_of_request(name)
    if not found and len(name) == 2 * TRACE_ID_BYTES:
        # A trace that began here ends in its request's id, and has no row of its own.
        of_tail = await records.decisions_of_request(name[TRACE_ID_BYTES:])
        found = [record for record in of_tail if record.trace.hex().startswith(name)]
    if not found and (decided := await records.decision(name)) is not None:
        found = [decided]
    return found


async def story(
    records: Records, record: DecisionRecord, is_folded: IsFolded, is_learned: IsLearned
) -> DecisionStory:
    """What became of a decision; raises ``Unavailable``."""
    choice = record.choice
    place = of_carried(record.trace)
    entry = await _entry_of(records, record)
    outcome = await records.outcome(choice.decision_id)
    told: dict[str, Any] = {}
    if outcome is not None:
        told = {
            "reward": outcome.reward,
            "closed": outcome.reason.value,
            "closed_at_ms": outcome.closed_at_ms,
            "trains": outcome.trains,
            "learned": await is_learned(outcome) if outcome.trains else False,
            "why_untrained": why_untrained(outcome, record),
        }
    return DecisionStory(
        decision_id=choice.decision_id,
        at_ms=record.decided_at_ms,
        placement=choice.placement,
        slot=choice.slot,
        arm=choice.arm,
        probability=choice.weight / SCALE,
        tier=record.tier,
        reason=record.reason,
        trace_id="" if place is None else place.trace_id.hex(),
        partition=None if entry is None else entry.partition,
        offset=None if entry is None else entry.offset,
        folded=None if entry is None else await is_folded(entry),
        **told,
    )


async def _entry_of(records: Records, record: DecisionRecord) -> LoggedEntry | None:
    """The entry of the visitor log that says the same."""
    for each in await records.entries_of([record.key], NEAR):
        event = each.entry.event
        if isinstance(event, DecisionMade) and event.message_id == record.message_id:
            return each
    return None

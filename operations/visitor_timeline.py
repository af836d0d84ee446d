"""What happened to a visitor, in order: from the records that the projector finds, never by a walk over the log."""

from __future__ import annotations

from collections.abc import Sequence

from api.services.records import Records
from operations.moments import Moment, moment_of, moment_of_outcome
from personalization.events.event import DecisionMade


async def timeline(records: Records, keys: Sequence[str], limit: int) -> list[Moment]:
    """The latest moments under a visitor's keys, oldest first; of outcomes those of decisions among them.

    Costs some look-ups, and one for each decision.

    Raises
    ------
    Unavailable
        If the records cannot be asked.
    """
    entries = await records.entries_of(keys, limit)
    decided = {record.choice.decision_id: record for record in await records.decisions_of(keys, limit)}
    moments = [moment_of(each, decided) for each in entries]
    closed: set[str] = set()
    for each in entries:
        event = each.entry.event
        if not isinstance(event, DecisionMade) or event.choice.decision_id in closed:
            continue
        closed.add(event.choice.decision_id)
        outcome = await records.outcome(event.choice.decision_id)
        if outcome is not None:
            moments.append(moment_of_outcome(outcome, each.key))
    order = sorted(moments, key=lambda moment: (moment.at_ms, moment.kind == "outcome", moment.offset or 0))
    return order[-limit:]

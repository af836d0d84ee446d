"""What happened to a visitor, in order: from the records that the projector finds, never by a walk over the log."""

from __future__ import annotations

from collections.abc import Container, Sequence

from api.services.records import Records
from operations.stories.moments import Moment, moment_of, moment_of_outcome
from operations.stories.time_outs import with_causes


async def timeline(
    records: Records, keys: Sequence[str], limit: int, told: Container[str] = frozenset()
) -> list[Moment]:
    """The latest moments under a visitor's keys, oldest first; of outcomes those of the latest ``limit`` decisions.

    Costs some look-ups, and two for each decision.

    Parameters
    ----------
    told
        Ids of decisions whose outcome is known already, and not looked up again.

    Raises
    ------
    Unavailable
        If the records cannot be asked.
    """
    entries = await records.entries_of(keys, limit)
    decided = {record.choice.decision_id: record for record in await records.decisions_of(keys, limit)}
    moments = [moment_of(each, decided) for each in entries]
    wanted = {each.decision_id: each.key for each in moments if each.kind == "decision"}
    wanted |= {decision_id: record.key for decision_id, record in decided.items()}
    outcomes = []
    for decision_id, key in wanted.items():
        if decision_id in told or (outcome := await records.outcome(decision_id)) is None:
            continue
        outcomes.append(outcome)
        record = decided.get(decision_id)
        if record is None and not outcome.trains:
            record = await records.decision(decision_id)
        moments.append(moment_of_outcome(outcome, key, record))
    order = sorted(moments, key=lambda moment: (moment.at_ms, moment.kind == "outcome", moment.offset or 0))
    return with_causes(order[-limit:], reversed(entries), outcomes)

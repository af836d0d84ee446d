"""The decisions of a placement that were drawn, shown and closed, each with its record: read from the log.

What counts is what a policy could have decided otherwise, and what came of it: it was drawn with a probability that
was written down (by a model, or of an apprentice certainly); it was shown; and its window has closed with all that
it earned. Whoever was held out, what rules or the default answered, and crawlers are left out.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from typing import NamedTuple

import msgspec

from eventlog.port import EventLog
from eventlog.topics import DECISIONS, OUTCOMES
from operations.evaluating.known import Known, Lesson
from personalization.deciding.decision import Tier
from personalization.errors import InvalidInput
from personalization.events.decision_id import trial_of
from personalization.events.decision_record import DecisionRecord, decode_record
from personalization.events.forgotten import is_forgotten
from personalization.events.outcome import EARNED, ClosingReason, Outcome, decode_outcome

NO_RECORD = "no record"
"""The log has let go of it, or it was made without consent."""

HELD_OUT = "held out"
NOT_DRAWN = "not drawn"
NOT_SHOWN = "not shown"
NOT_COMPLETE = "not complete"
CRAWLER = "crawler"
OTHER_TIME = "other time"
OTHER_SEGMENT = "other segment"


class LoggedDecision(msgspec.Struct, frozen=True, gc=False):
    """One decision and what came of it.

    Attributes
    ----------
    reward_range
        What rewards were clipped to.
    stands_for
        How many decisions it stands for (``Outcome.sample_weight``).
    unit
        Of the person.
    """

    record: DecisionRecord
    reward: float
    reward_range: tuple[float, float]
    stands_for: float
    unit: bytes


class _Closed(NamedTuple):
    """What is kept of an outcome until its record is met."""

    decided_at_ms: int
    reward: float
    reward_range: tuple[float, float]
    stands_for: float
    unit: bytes
    trains: bool


@dataclass(slots=True)
class LoggedDecisions:
    """What a placement's log holds.

    Attributes
    ----------
    rows
        In order of time.
    left_out
        Outcomes that do not count, by why.
    known
        By a model's key, what it had learned when.
    """

    rows: list[LoggedDecision] = field(default_factory=list)
    left_out: Counter[str] = field(default_factory=Counter)
    known: dict[str, Known] = field(default_factory=dict)


async def read_logged(
    log: EventLog,
    placement: str,
    reward_range: tuple[float, float],
    since_ms: int = 0,
    segment: str = "",
) -> LoggedDecisions:
    """Read outcomes, then the records of those that count.

    Parameters
    ----------
    reward_range
        As the placement has it now: of outcomes that were stored without.
    since_ms
        Decisions before are left out; what models learned from them is not.
    segment
        Only decisions whose model was told that the visitor is in this segment.
    """
    found = LoggedDecisions()
    wanted = await _outcomes(log, placement, reward_range, found)
    for trial in [trial for trial, closed in wanted.items() if closed.decided_at_ms < since_ms]:
        del wanted[trial]
        found.left_out[OTHER_TIME] += 1
    async for record in _records(log, placement):
        closed = wanted.pop(trial_of(record.choice.decision_id), None)
        if closed is None:
            continue
        why = _why_not(record, closed) or (OTHER_SEGMENT if segment and not _is_in(record, segment) else "")
        if why:
            found.left_out[why] += 1
        else:
            unit = closed.unit or record.unit
            found.rows.append(LoggedDecision(record, closed.reward, closed.reward_range, closed.stands_for, unit))
    if wanted:
        found.left_out[NO_RECORD] += len(wanted)
    found.rows.sort(key=lambda row: (row.record.decided_at_ms, row.record.choice.decision_id))
    return found


async def _outcomes(
    log: EventLog,
    placement: str,
    reward_range: tuple[float, float],
    found: LoggedDecisions,
) -> dict[str, _Closed]:
    """The outcomes that may count, by trial; notes the others, and what models learned."""
    wanted: dict[str, _Closed] = {}
    seen: set[str] = set()
    lessons: dict[str, list[Lesson]] = {}
    for partition, start in enumerate(await log.earliest_offsets(OUTCOMES)):
        async for entry in log.read(OUTCOMES, partition, start):
            if entry.key.partition("@")[0] != placement.partition("@")[0] or is_forgotten(entry.value):
                continue
            try:
                outcome = decode_outcome(entry.value)
            except InvalidInput:
                continue
            trial = trial_of(outcome.choice.decision_id)
            if outcome.choice.placement != placement or trial in seen:
                continue
            seen.add(trial)
            low, high = reward_range if outcome.predicted is None else outcome.reward_range
            if outcome.trains:
                scaled = min(1.0, max(0.0, (outcome.reward - low) / (high - low)))
                lesson = Lesson(outcome.choice.arm, scaled, outcome.closed_at_ms)
                lessons.setdefault(entry.key, []).append(lesson)
            why = _why_not_closed(outcome)
            if why:
                found.left_out[why] += 1
            else:
                wanted[trial] = _Closed(
                    outcome.decided_at_ms,
                    outcome.reward,
                    (low, high),
                    outcome.sample_weight,
                    outcome.unit,
                    outcome.trains,
                )
    found.known = {key: Known(learned) for key, learned in lessons.items()}
    return wanted


def _why_not_closed(outcome: Outcome) -> str:
    if outcome.choice.holdout:
        return HELD_OUT
    if outcome.reason is ClosingReason.UNEXPOSED or outcome.exposed_at_ms is None or outcome.shown_by_reward:
        return NOT_SHOWN
    return "" if outcome.reason in EARNED else NOT_COMPLETE


def _why_not(record: DecisionRecord, closed: _Closed) -> str:
    if record.crawler:
        return CRAWLER
    if record.ticket is None or not record.arms or record.tier in (Tier.RULES, Tier.DEFAULT):
        return NOT_DRAWN
    # It would have trained, but its rewards were nobody's for a while, or its visitor had said no.
    return NOT_COMPLETE if record.trains and not closed.trains else ""


def _is_in(record: DecisionRecord, segment: str) -> bool:
    return f"segments.{segment}" in record.features


async def _records(log: EventLog, placement: str) -> AsyncIterator[DecisionRecord]:
    for partition, start in enumerate(await log.earliest_offsets(DECISIONS)):
        async for entry in log.read(DECISIONS, partition, start):
            try:
                record = decode_record(entry.value)
            except InvalidInput:
                continue
            if record.choice.placement == placement:
                yield record

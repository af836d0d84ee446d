"""What folds emit goes to the log, and is there before anything they changed is written."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Sequence

from msgspec import structs

from eventlog.port import EventLog, LogIdentity, LogPosition, Record
from eventlog.topics import OUTCOMES, VISITOR_LOG
from personalization.errors import InvalidInput, LogFull
from personalization.events.entry import encode_entry
from personalization.events.example import Example, encode_example, example_key
from personalization.events.outcome import Outcome, encode_outcome
from personalization.folding.fold import DerivedEntry, Emission
from stream.clock import wall_clock_ms
from stream.dead_letters import DeadLetter, dead_letter_record
from stream.metrics import FolderMetrics
from stream.patience import Patience
from stream.sampling import Share

logger = logging.getLogger(__name__)


class Emitter:
    """Appends what folds emit.

    Parameters
    ----------
    patiently
        Tries again what a part of the house could not do for now.
    share
        Which outcomes are kept for the learner.
    only_in
        The log that is folded: what it gives belongs into no other (``EventLog.append``).
    """

    def __init__(
        self, log: EventLog, metrics: FolderMetrics, patiently: Patience, share: Share, only_in: LogIdentity | None
    ) -> None:
        self._log = log
        self._metrics = metrics
        self._patiently = patiently
        self._share = share
        self._only_in = only_in

    async def emit(self, emissions: Sequence[Emission], dead_letters: Sequence[Record]) -> None:
        """All of it, acknowledged by the log."""
        records = [_record(each) for each in emissions if isinstance(each, DerivedEntry)]
        for_learner = [each for each in emissions if not isinstance(each, DerivedEntry)]
        # Apart from each other: a log that is full of outcomes must take the rest all the same.
        await asyncio.gather(self._append([*records, *dead_letters]), self._append_for_learner(for_learner))
        for emission in emissions:
            self._metrics.emitted.labels(_KINDS.get(type(emission), "derived")).inc()

    async def _append_for_learner(self, emissions: Sequence[Outcome | Example]) -> None:
        """What is kept of outcomes and examples; a log that has no room for them is thinned, never waited for."""
        while emissions:
            kept = [each for each in emissions if self._share.keeps(_id_of(each))]
            self._metrics.thinned.inc(len(emissions) - len(kept))
            if await self._append([_record_for_learner(each, self._share.value) for each in kept], waits=False):
                return
            if not self._share.halve():
                self._metrics.thinned.inc(len(kept))
                logger.error("outcomes_lost_log_full", extra={"n_outcomes": len(kept)})
                return
            emissions = kept

    async def _append(self, records: Sequence[Record], *, waits: bool = True) -> bool:
        """Append, in order; unless it ``waits`` for room, False where the log has none."""
        if not records:
            return True
        attempt = self._append_now if waits else self._append_if_room
        try:
            return await self._patiently("log", attempt, records) is not None
        except InvalidInput as error:
            if len(records) == 1:
                await self._refused_by_log(records[0], error)
                return True
        # One of them the log can never take: it alone becomes a dead letter.
        return all([await self._append([record], waits=waits) for record in records])

    async def _append_now(self, records: Sequence[Record]) -> list[LogPosition]:
        return await self._log.append(records, self._only_in)

    async def _append_if_room(self, records: Sequence[Record]) -> list[LogPosition] | None:
        try:
            return await self._append_now(records)
        except LogFull:
            return None

    async def _refused_by_log(self, record: Record, error: InvalidInput) -> None:
        logger.error("emission_refused_by_log", extra={"topic": record.topic, "reason": str(error)})
        self._metrics.entries.labels("dead_letter", "emission_refused").inc()
        letter = DeadLetter(
            record.topic, -1, -1, record.key.encode(), b"", "emission_refused", str(error), wall_clock_ms()
        )
        await self._patiently("log", self._append_now, [dead_letter_record(letter)])


_KINDS: dict[type, str] = {Outcome: "outcome", Example: "example"}


def _record(derived: DerivedEntry) -> Record:
    return Record(VISITOR_LOG, derived.key, encode_entry(derived.entry))


def _id_of(emission: Outcome | Example) -> str:
    return emission.decision_id if isinstance(emission, Outcome) else emission.example_id


def _record_for_learner(emission: Outcome | Example, share: float) -> Record:
    if isinstance(emission, Example):
        return Record(OUTCOMES, example_key(emission.conversion), encode_example(emission))
    if share < 1.0:
        emission = structs.replace(emission, sample_weight=emission.sample_weight / share)
    return Record(OUTCOMES, emission.placement, encode_outcome(emission))

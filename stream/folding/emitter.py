"""What folds emit goes to the log, and is there before anything they changed is written."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Sequence

from eventlog.dead_letters import DeadLetter, dead_letter_record
from eventlog.port import EventLog, LogIdentity, LogPosition, Record
from eventlog.topics import OUTCOMES, VISITOR_LOG
from personalization.errors import InvalidInput, LogFull
from personalization.events.emission import ADDRESSES, Emission, Stream
from stream.folding.sampling import Share
from stream.metrics import FolderMetrics
from stream.patience import Patience
from stream.wall_clock import wall_clock_ms

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
        records, for_learner = [], []
        for each in emissions:
            if ADDRESSES[type(each)].stream is Stream.LEARNER:
                for_learner.append(each)
            else:
                records.append(_record(each))
        # Apart from each other: a log that is full of outcomes must take the rest all the same.
        await asyncio.gather(self._append([*records, *dead_letters]), self._append_for_learner(for_learner))
        for emission in emissions:
            self._metrics.emitted.labels(ADDRESSES[type(emission)].kind).inc()

    async def _append_for_learner(self, emissions: Sequence[Emission]) -> None:
        """What is kept of outcomes and examples; a log that has no room for them is thinned, never waited for."""
        while emissions:
            kept = [each for each in emissions if self._share.keeps(ADDRESSES[type(each)].sample_id(each))]
            self._metrics.thinned.inc(len(emissions) - len(kept))
            if await self._append([_record(self._weighed(each)) for each in kept], waits=False):
                return
            if not self._share.halve():
                self._metrics.thinned.inc(len(kept))
                logger.error("outcomes_lost_log_full", extra={"n_outcomes": len(kept)})
                return
            emissions = kept

    def _weighed(self, emission: Emission) -> Emission:
        weighed: Emission = ADDRESSES[type(emission)].weighed(emission, self._share.value)
        return weighed

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


def _record(emission: Emission) -> Record:
    address = ADDRESSES[type(emission)]
    return Record(_TOPICS[address.stream], address.key(emission), address.encode(emission))


_TOPICS = {Stream.VISITORS: VISITOR_LOG, Stream.LEARNER: OUTCOMES}

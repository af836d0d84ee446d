"""Models that are behind their partition catch up from the log, beside the learning of all others.

A model is behind after it was put aside, if its newest copy was refused, and if the catalog named another one. It
is loaded, learns what the log holds between its own position and the partition's, in slices, and is live once the
two are the same.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Awaitable, Callable, Mapping, Sequence
from contextlib import suppress

from eventlog.port import EventLog, LogEntry
from eventlog.topics import OUTCOMES
from personalization.errors import InvalidInput
from personalization.events.forgotten import is_forgotten
from stream.learning.held_model import HeldModel, Stage
from stream.learning.held_partition import HeldPartition
from stream.learning.partitions import Partitions
from stream.learning.set_aside import MAX_RAISES
from stream.learning.training import Trainings
from stream.metrics import LearnerMetrics

logger = logging.getLogger(__name__)

SLICE_ENTRIES = 500

SLICE_S = 0.02
"""Others learn again after this long: so much later is what they learn meanwhile."""

GiveUp = Callable[[int, int, bytes, bytes, str, str], Awaitable[None]]
"""(partition, offset, key, value, code, reason): a record becomes a dead letter."""


class CatchUp:
    """Brings models up to their partition.

    Parameters
    ----------
    held
        The partitions held, by number; looked at anew under the lock.
    lock
        The learner's: whoever has it may change books.
    """

    def __init__(
        self,
        log: EventLog,
        partitions: Partitions,
        trainings: Trainings,
        metrics: LearnerMetrics,
        held: Mapping[int, HeldPartition],
        lock: asyncio.Lock,
        give_up: GiveUp,
    ) -> None:
        self._log = log
        self._partitions = partitions
        self._trainings = trainings
        self._metrics = metrics
        self._held = held
        self._lock = lock
        self._give_up = give_up

    async def run_once(self) -> None:
        """Load what is due, and let everything that is behind learn what the log holds by now."""
        for number in list(self._held):
            await self._catch_up(number)

    async def _catch_up(self, number: int) -> None:
        async with self._lock:
            held = self._held.get(number)
            if held is None:
                return
            for model in list(held.models.values()):
                if self._partitions.aside.is_due(model):
                    await self._partitions.restore(held, model)
            behind = [model for model in held.models.values() if model.book is not None and not model.live]
            if not behind:
                return
            start, end = min(model.position for model in behind) + 1, held.position + 1
        entries: list[LogEntry] = []
        async for entry in self._log.read(OUTCOMES, number, start, end):
            entries.append(entry)
            if len(entries) == SLICE_ENTRIES:
                await self._learn(held, behind, entries, entry.offset)
                entries = []
        await self._learn(held, behind, entries, end - 1)

    async def _learn(
        self, held: HeldPartition, behind: Sequence[HeldModel], entries: Sequence[LogEntry], through: int
    ) -> None:
        """Take a slice; afterwards everything up to the offset ``through`` is in the models."""
        by_key = {model.key: model for model in behind}
        n_done = 0
        while True:
            async with self._lock:
                if self._held.get(held.number) is not held:
                    return
                until_s = time.perf_counter() + SLICE_S
                while n_done < len(entries) and time.perf_counter() < until_s:
                    entry = entries[n_done]
                    n_done += 1
                    model = by_key.get(entry.key)
                    if model is not None and _learns(held, model) and entry.offset > model.position:
                        await self._learn_one(held, model, entry)
                if n_done == len(entries):
                    for model in behind:
                        if _learns(held, model):
                            self._reach(held, model, through)
                    return
            await asyncio.sleep(0)

    async def _learn_one(self, held: HeldPartition, model: HeldModel, entry: LogEntry) -> None:
        training = self._trainings.of(entry.key)
        place = (held.number, entry.offset, entry.key.encode(), entry.value)
        try:
            if entry.offset in model.unlearnable:
                pass
            elif entry.offset < model.anew_below:
                with suppress(InvalidInput):
                    training.relearn(model.book, entry.value)
                    model.moved = True
            else:
                learned = await training.learn(model.book, entry.value)
                self._metrics.outcomes.labels(entry.key, learned.result).inc()
                model.moved = True
                model.n_learned += 1
            if is_forgotten(entry.value):
                model.forgot.append(entry.value)
        except InvalidInput as error:
            await self._give_up(*place, error.code, str(error))
        except Exception as error:
            self._partitions.aside.put(held, model, Stage.LEARN, error, entry.offset)
            if model.raises[entry.offset] >= MAX_RAISES:
                await self._give_up(*place, "not_learnable", f"the model raised {type(error).__name__}: {error}")
                model.unlearnable.add(entry.offset)
                self._partitions.aside.try_now(model)
            return
        model.n_passed += 1
        model.position = entry.offset

    def _reach(self, held: HeldPartition, model: HeldModel, through: int) -> None:
        model.position = max(model.position, through)
        if not held.is_caught_up(model):
            return
        self._partitions.go_live(held, model)
        self._trainings.of(model.key).forget(model.key)
        logger.info("model_caught_up", extra={"key": model.key, "position": model.position})


def _learns(held: HeldPartition, model: HeldModel) -> bool:
    """Whether it still is the model of its key, and still is behind."""
    return held.models.get(model.key) is model and model.book is not None and not model.live

"""The learner: one writer per placement and conversion, from outcomes to weights deciders have within a second.

It owns partitions of ``outcomes``. On assignment it takes a new generation and goes on at the checkpoint; every
outcome at or below the position a partition has reached is skipped, every outcome id a model knows is dropped. A
successor's snapshots and checkpoints win by generation, so a learner that was paused past its lease can
neither publish nor save, and nothing it learned meanwhile counts.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Awaitable, Callable, Collection, Sequence
from typing import NamedTuple

from background.cancelling import pause
from eventlog.port import EventLog
from eventlog.topics import OUTCOMES
from personalization.errors import InvalidInput
from state.model_store import Published
from stream.clock import CurrentCatalog, wall_clock_ms
from stream.dead_letters import DeadLetter, dead_letter_record
from stream.failpoints import Failpoint, Failpoints
from stream.held_partition import NOTHING, HeldPartition, Partitions
from stream.metrics import LearnerMetrics
from stream.patience import Patience
from stream.training import Book, Trainings

logger = logging.getLogger(__name__)

YIELD_AFTER_S = 0.02
"""Learning gives the loop a turn after this long: heartbeats must not wait for a large batch."""


class LearnedMessage(NamedTuple):
    """One outcome as it came from the log; ``assignment`` is the one under which it was fetched."""

    partition: int
    offset: int
    key: bytes | None
    value: bytes | None
    assignment: int


class Learner:
    """Learns, publishes, checkpoints.

    Parameters
    ----------
    commit
        Commits {partition: next offset} for the group; what it says is for people and lag, not for us.
    """

    def __init__(
        self,
        log: EventLog,
        partitions: Partitions,
        trainings: Trainings,
        catalog: CurrentCatalog,
        metrics: LearnerMetrics,
        commit: Callable[[dict[int, int]], Awaitable[object]],
        failpoints: Failpoints | None = None,
    ) -> None:
        self._log = log
        self._taking = partitions
        self._trainings = trainings
        self._catalog = catalog
        self._metrics = metrics
        self._commit = commit
        self._failpoints = failpoints or Failpoints()
        self._patiently = Patience(metrics.retries)
        self._lock = asyncio.Lock()
        self._held: dict[int, HeldPartition] = {}
        self._assignment = 0
        self._lost: set[int] = set()
        self._catalog_version = 0

    @property
    def reached(self) -> dict[int, int]:
        """Per partition held, the offset up to which it is learned."""
        return {number: held.position for number, held in self._held.items()}

    def book(self, key: str) -> Book | None:
        """What is learned under a key of a partition held here."""
        return next((held.books[key] for held in self._held.values() if key in held.books), None)

    async def assigned(self, partitions: Collection[int], assignment: int) -> dict[int, int]:
        """Where reading goes on: asked after every assignment, and whenever the flow paused.

        A new assignment (another number) starts over from the checkpoints: another learner may have been at
        work in between. Within one, reading goes on behind what is learned.
        """
        async with self._lock:
            if assignment != self._assignment:
                self._held.clear()
                self._lost.clear()
                self._assignment = assignment
            for number in sorted(set(partitions) - set(self._held) - self._lost):
                self._held[number] = await self._taking.take_over(number)
            for number in set(self._held) - set(partitions):
                del self._held[number]
            return {number: held.position + 1 for number, held in self._held.items()}

    # -- learning ----------------------------------------------------------------------------------------

    async def process(self, messages: Sequence[LearnedMessage]) -> None:
        """Learn one batch. It is safe with the next checkpoint, not before: acknowledging commits nothing."""
        started_s = turn_s = time.perf_counter()
        async with self._lock:
            n_learned = 0
            for message in messages:
                held = self._held.get(message.partition)
                if held is None or message.assignment != self._assignment:
                    continue  # fetched under an assignment that is over: its owner reads it again
                if message.offset <= held.position:
                    self._metrics.outcomes.labels("", "redelivered").inc()
                    continue
                await self._learn(held, message)
                n_learned += 1
                if time.perf_counter() - turn_s > YIELD_AFTER_S:
                    await asyncio.sleep(0)
                    turn_s = time.perf_counter()
            if n_learned:
                self._failpoints.hit(
                    Failpoint.TRAINED,
                    entries=n_learned,
                    unsaved=sum(held.n_unsaved for held in self._held.values()),
                )
        self._metrics.learn_seconds.observe(time.perf_counter() - started_s)

    async def _learn(self, held: HeldPartition, message: LearnedMessage) -> None:
        key = (message.key or b"").decode(errors="replace")
        training = self._trainings.of(key)
        try:
            book = held.books.get(key) or training.new(key, self._catalog.current)
            learned = await training.learn(book, message.value or b"")
        except InvalidInput as error:
            await self._give_up(message, error)
        else:
            held.books[key] = book
            held.unsaved.add(key)
            self._metrics.outcomes.labels(key, learned.result).inc()
            if learned.changed:
                held.unpublished.add(key)
            if learned.closed_at_ms is not None:
                held.waiting_since_ms.setdefault(key, []).append(learned.closed_at_ms)
        held.position = message.offset
        held.n_unsaved += 1

    async def _give_up(self, message: LearnedMessage, error: InvalidInput) -> None:
        letter = DeadLetter(
            OUTCOMES,
            message.partition,
            message.offset,
            message.key or b"",
            message.value or b"",
            error.code,
            str(error),
            wall_clock_ms(),
        )
        await self._patiently("log", self._log.append, [dead_letter_record(letter)])
        self._metrics.outcomes.labels("", "dead_letter").inc()

    async def given_up(self, message: LearnedMessage) -> None:
        """An outcome has become a dead letter because it ended the learner; it is passed over."""
        self._metrics.outcomes.labels("", "dead_letter").inc()

    # -- publishing --------------------------------------------------------------------------------------

    async def publish(self) -> int:
        """Publish every model that learned something since, or is another one by now; how many."""
        n_published = 0
        async with self._lock:
            await self._follow_catalog()
            for number, held in list(self._held.items()):
                for key in sorted(held.unpublished):
                    if not self._trainings.of(key).due(key):
                        continue
                    if not await self._publish(held, key):
                        self._lose(number)
                        break
                    n_published += 1
        return n_published

    async def _follow_catalog(self) -> None:
        """Where a new version of the catalog names another model, that one takes over at once."""
        version = self._catalog.current.version
        if version == self._catalog_version:
            return
        for number, held in self._held.items():
            await self._taking.follow_catalog(number, held)
        self._catalog_version = version

    async def _publish(self, held: HeldPartition, key: str) -> bool:
        book = held.books[key]
        at_ms = wall_clock_ms()
        publish = self._trainings.of(key).publish
        result, n_bytes = await self._patiently("publish", publish, book, held.generation, at_ms)
        if result is Published.FENCED:
            return False
        held.unpublished.discard(key)
        self._metrics.published_bytes.labels(key).observe(n_bytes)
        self._metrics.published_ms.labels(key).set(at_ms / 1000)
        self._metrics.version.labels(key).set(book.n_learned)
        for kind, n in book.adaptations.items():
            self._metrics.adaptations.labels(key, kind).set(n)
        for closed_at_ms in held.waiting_since_ms.pop(key, ()):
            self._metrics.reward_to_weights.observe(max(0, at_ms - closed_at_ms) / 1000)
        return True

    async def run_publishing(self, publish_ms: int) -> None:
        """Publish at most every ``publish_ms`` until cancelled."""
        while True:
            await self.publish()
            await pause(publish_ms / 1000)

    # -- checkpoints -------------------------------------------------------------------------------------

    async def save(self) -> int:
        """Write a checkpoint of every partition that moved; how many."""
        n_saved = 0
        async with self._lock:
            for number, held in list(self._held.items()):
                if held.position == held.saved_position and not held.unsaved:
                    continue
                if await self._save(number, held):
                    n_saved += 1
                else:
                    self._lose(number)
        return n_saved

    async def _save(self, number: int, held: HeldPartition) -> bool:
        floor = held.saved_position
        if not await self._taking.save(number, held):
            return False
        self._failpoints.hit(Failpoint.CHECKPOINTED, partition=number, position=held.position)
        await self._patiently("commit", self._commit, {number: held.position + 1})
        if floor > NOTHING:
            # Below the checkpoint before this one: should this one turn out damaged, that one goes on from there.
            await self._patiently("log", self._log.set_trim_floor, OUTCOMES, number, floor + 1)
        return True

    async def run_saving(self, checkpoint_ms: int, checkpoint_outcomes: int) -> None:
        """Save every ``checkpoint_ms``, and once ``checkpoint_outcomes`` were learned since, until cancelled."""
        loop = asyncio.get_running_loop()
        next_s = loop.time() + checkpoint_ms / 1000
        while True:
            await pause(min(0.1, checkpoint_ms / 1000))
            n_unsaved = sum(held.n_unsaved for held in self._held.values())
            if loop.time() >= next_s or n_unsaved >= checkpoint_outcomes:
                await self.save()
                next_s = loop.time() + checkpoint_ms / 1000

    def _lose(self, number: int) -> None:
        """Somebody newer has the partition: drop what is held, wait for an assignment."""
        logger.warning("partition_lost", extra={"partition": number})
        self._held.pop(number, None)
        self._lost.add(number)  # taking it over again under the same assignment would fence off its owner

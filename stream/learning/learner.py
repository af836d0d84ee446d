"""The learner: one writer per placement and conversion, from outcomes to weights deciders have within a second.

It owns partitions of ``outcomes``. On assignment it takes a new generation and goes on at the checkpoint; every
outcome at or below the position a partition has reached is skipped, every outcome id a model knows is dropped. A
successor's snapshots and checkpoints win by generation, so a learner that was paused past its lease can
neither publish nor save, and nothing it learned meanwhile counts.

A model that raises is put aside alone: the partition's position goes on, and the model catches up from the log.
Any other error leaves the learner as it is, behind the last outcome that was learned.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Awaitable, Callable, Collection, Sequence
from typing import NamedTuple

from background.cancelling import pause
from eventlog.dead_letters import DeadLetter, dead_letter_record
from eventlog.port import EventLog
from eventlog.topics import OUTCOMES
from personalization.errors import InvalidInput
from personalization.events.forgotten import is_forgotten
from personalization.events.participant import is_experiment
from state.model_store import Published
from state.transient import is_transient
from stream.current_catalog import CurrentCatalog
from stream.failpoints import Failpoint, Failpoints
from stream.learning.catch_up import CatchUp
from stream.learning.checkpoint_writer import Saved
from stream.learning.complaints import warnings_of, why_not_ready
from stream.learning.held_model import HeldModel, Stage
from stream.learning.held_partition import HeldPartition
from stream.learning.partitions import Partitions
from stream.learning.training import Book, Trainings
from stream.learning.trim_floor import TrimFloor
from stream.metrics import LearnerMetrics
from stream.patience import Patience
from stream.wall_clock import wall_clock_ms

logger = logging.getLogger(__name__)

YIELD_AFTER_S = 0.02
"""Learning gives the loop a turn after this long: heartbeats must not wait for a large batch."""

ROOM_POLL_S = 1.0
"""Between two looks at how full the log is: so long it may stand still for want of a checkpoint."""

CATCH_UP_POLL_S = 0.1


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
        self._partitions = partitions
        self._trainings = trainings
        self._catalog = catalog
        self._metrics = metrics
        self._commit = commit
        self._failpoints = failpoints or Failpoints()
        self._patiently = Patience(metrics.retries, metrics.waiting)
        self._lock = asyncio.Lock()
        self._held: dict[int, HeldPartition] = {}
        self._assignment = 0
        self._lost: set[int] = set()
        self._catalog_version = 0
        self._floor = TrimFloor(log, metrics)
        self._full: list[int] = []
        self._catch_up = CatchUp(log, partitions, trainings, metrics, self._held, self._lock, self._give_up)

    @property
    def reached(self) -> dict[int, int]:
        """Per partition held, the offset up to which it is learned."""
        return {number: held.position for number, held in self._held.items()}

    def book(self, key: str) -> Book | None:
        """What is learned under a key of a partition held here; None while its model is put aside."""
        model = self._model(key)
        return None if model is None else model.book

    def _model(self, key: str) -> HeldModel | None:
        return next((held.models[key] for held in self._held.values() if key in held.models), None)

    async def assigned(self, partitions: Collection[int], assignment: int) -> dict[int, int]:
        """Where reading goes on: asked after every assignment, perhaps twice.

        A new assignment (another number) starts over from the checkpoints: another learner may have been at
        work in between. Within one, reading goes on behind what is learned.
        """
        async with self._lock:
            if assignment != self._assignment:
                for number in list(self._held):
                    self._drop(number)
                self._lost.clear()
                self._assignment = assignment
            for number in sorted(set(partitions) - set(self._held) - self._lost):
                self._held[number] = await self._partitions.take_over(number)
            for number in set(self._held) - set(partitions):
                self._drop(number)
            return {number: held.position + 1 for number, held in self._held.items()}

    # -- learning ----------------------------------------------------------------------------------------

    async def process(self, messages: Sequence[LearnedMessage]) -> None:
        """Learn one batch. It is safe with the next checkpoint, not before: acknowledging commits nothing.

        Raises
        ------
        Exception
            What is not about one model. Nothing behind the last record that was learned is: read on from there.
        """
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
                if message.offset > held.position + 1:
                    n_learned += await self._fill_gap(held, message.offset)
                await self._learn(held, message.offset, message.key or b"", message.value or b"")
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

    async def _fill_gap(self, held: HeldPartition, offset: int) -> int:
        """Learn what the log holds before ``offset`` and did not hand over: mostly nothing, it was trimmed."""
        n_learned = 0
        async for entry in self._log.read(OUTCOMES, held.number, held.position + 1, offset):
            await self._learn(held, entry.offset, entry.key.encode(), entry.value)
            n_learned += 1
        return n_learned

    async def _learn(self, held: HeldPartition, offset: int, key_bytes: bytes, value: bytes) -> None:
        key = key_bytes.decode(errors="replace")
        if is_experiment(key):  # the projector's: no model learns from it
            held.position = offset
            held.n_unsaved += 1
            return
        model = held.models.get(key) or HeldModel(key, origin=offset - 1, position=offset - 1, live=True)
        if not model.live:
            self._metrics.outcomes.labels(key, "behind").inc()
        else:
            try:
                await self._learn_live(held, model, value)
            except InvalidInput as error:
                await self._give_up(held.number, offset, key_bytes, value, error.code, str(error))
            except Exception as error:
                held.models[key] = model
                self._partitions.aside.put(held, model, Stage.LEARN, error, offset)
        model.n_records += 1
        held.position = offset
        held.n_unsaved += 1

    async def _learn_live(self, held: HeldPartition, model: HeldModel, value: bytes) -> None:
        key, training = model.key, self._trainings.of(model.key)
        if model.book is None:
            model.take(self._first_book(key))
        learned = await training.learn(model.book, value)
        held.models[key] = model
        model.moved = True
        if is_forgotten(value):
            model.forgot.append(value)
        model.n_learned += 1
        self._metrics.outcomes.labels(key, learned.result).inc()
        if learned.changed:
            held.unpublished.add(key)
        if learned.closed_at_ms is not None:
            held.waiting_since_ms.setdefault(key, []).append(learned.closed_at_ms)

    def _first_book(self, key: str) -> Book:
        try:
            book: Book = self._trainings.of(key).new(key, self._catalog.current)
        except InvalidInput as error:  # the catalog's fault, not the record's
            raise ValueError(f"the model cannot be made: {error}") from error
        return book

    async def _give_up(self, partition: int, offset: int, key: bytes, value: bytes, code: str, reason: str) -> None:
        letter = DeadLetter(OUTCOMES, partition, offset, key, value, code, reason, wall_clock_ms())
        await self._patiently("log", self._log.append, [dead_letter_record(letter)])
        self._metrics.outcomes.labels("", "dead_letter").inc()

    async def given_up(self, message: LearnedMessage) -> None:
        """An outcome has become a dead letter because it ended the learner; it is passed over."""
        self._metrics.outcomes.labels("", "dead_letter").inc()

    # -- catching up -------------------------------------------------------------------------------------

    async def catch_up(self) -> None:
        """Let models that are behind learn what the log holds by now; the others learn on meanwhile."""
        await self._catch_up.run_once()

    async def run_catching_up(self) -> None:
        """Catch up whenever a model is behind, until cancelled."""
        while True:
            try:
                await self.catch_up()
            except Exception as error:
                if not is_transient(error):
                    raise
                self._metrics.retries.labels("catch_up").inc()
                logger.warning("retrying", extra={"part": "catch_up", "reason": repr(error)})
                await pause(1.0)
            await pause(CATCH_UP_POLL_S)

    # -- publishing --------------------------------------------------------------------------------------

    async def publish(self, *, at_once: bool = False) -> int:
        """Publish every model that learned something since, or is another one by now; how many.

        ``at_once``: also what was published a moment ago, and would wait for its turn.
        """
        n_published = 0
        async with self._lock:
            await self._follow_catalog()
            for number, held in list(self._held.items()):
                for key in sorted(held.unpublished):
                    if not at_once and not self._trainings.of(key).due(key):
                        continue
                    result = await self._publish(held, held.models[key])
                    if result is Published.FENCED:
                        self._lose(number)
                        break
                    n_published += result is Published.DONE
        return n_published

    async def _follow_catalog(self) -> None:
        """Where a new version of the catalog names another model, that one takes over at once."""
        version = self._catalog.current.version
        if version == self._catalog_version:
            return
        for number, held in list(self._held.items()):
            if not await self._partitions.follow_catalog(held):
                self._lose(number)
        self._catalog_version = version

    async def _publish(self, held: HeldPartition, model: HeldModel) -> Published | None:
        """How it went; None if the model raised, and was put aside."""
        key, book, at_ms = model.key, model.book, wall_clock_ms()
        assert book is not None
        publish = self._trainings.of(key).publish
        try:
            result, n_bytes = await self._patiently("publish", publish, book, held.generation, at_ms)
        except Exception as error:
            self._partitions.aside.put(held, model, Stage.PUBLISH, error)
            return None
        if result is Published.FENCED:
            return result
        held.unpublished.discard(key)
        self._partitions.aside.published(model)
        self._metrics.published_bytes.labels(key).observe(n_bytes)
        self._metrics.published_ms.labels(key).set(at_ms / 1000)
        self._metrics.version.labels(key).set(book.n_learned)
        for kind, n in book.adaptations.items():
            self._metrics.adaptations.labels(key, kind).set(n)
        for closed_at_ms in held.waiting_since_ms.pop(key, ()):
            self._metrics.reward_to_weights.observe(max(0, at_ms - closed_at_ms) / 1000)
        return Published.DONE

    async def run_publishing(self, publish_ms: int) -> None:
        """Publish at most every ``publish_ms`` until cancelled."""
        while True:
            await self.publish()
            await pause(publish_ms / 1000)

    # -- checkpoints -------------------------------------------------------------------------------------

    async def save(self) -> int:
        """Write a checkpoint of every partition that changed; how many."""
        async with self._lock:
            return sum([await self._save(held) for held in list(self._held.values())])

    async def _save(self, held: HeldPartition, *, twice: bool = False) -> bool:
        if not await self._publish_forgetful(held):
            return False
        saved = await self._partitions.save(held, twice=twice)
        if saved is Saved.FENCED:
            self._lose(held.number)
            return False
        if saved is Saved.DONE:
            self._failpoints.hit(Failpoint.CHECKPOINTED, partition=held.number, position=held.position)
            await self._patiently("commit", self._commit, {held.number: held.position + 1})
        await self._floor.follow(held)
        return saved is Saved.DONE

    async def _publish_forgetful(self, held: HeldPartition) -> bool:
        """Publish what forgot somebody: whoever sees it committed relies on that. False: the partition is lost."""
        forgetful = [held.models[key] for key in sorted(held.unpublished) if held.models[key].forgot]
        for model in forgetful:
            if await self._publish(held, model) is Published.FENCED:
                self._lose(held.number)
                return False
        return True

    async def make_room(self) -> None:
        """Where the log stands at its bound and may let go of nothing, save, so that it may.

        Nobody can append until it does, so nothing will be learned that would cause a checkpoint. If models that
        were put aside are all that is in the way, the log goes on without them.
        """
        async with self._lock:
            full = await self._floor.blocking(self._held.values())
            for number in full:
                held = self._held[number]
                await self._save(held, twice=True)
                if number in self._held and await self._floor.blocking([held]):
                    await self._floor.pass_aside(held)
            self._full = await self._floor.blocking(self._held.values()) if full else []

    async def run_saving(self, checkpoint_ms: int, checkpoint_outcomes: int) -> None:
        """Save every ``checkpoint_ms``, once ``checkpoint_outcomes`` were learned since, and while the log is full.

        And as soon as a model forgot somebody. Until cancelled.
        """
        loop = asyncio.get_running_loop()
        next_s = loop.time() + checkpoint_ms / 1000
        next_look_s = loop.time()
        while True:
            await pause(min(0.1, checkpoint_ms / 1000))
            n_unsaved = sum(held.n_unsaved for held in self._held.values())
            forgot = any(model.forgot for held in self._held.values() for model in held.models.values())
            if loop.time() >= next_s or n_unsaved >= checkpoint_outcomes or forgot:
                await self.save()
                next_s = loop.time() + checkpoint_ms / 1000
            if loop.time() >= next_look_s:
                await self._look_for_room()
                next_look_s = loop.time() + ROOM_POLL_S

    async def _look_for_room(self) -> None:
        try:
            await self.make_room()
        except Exception as error:
            if not is_transient(error):
                raise
            self._metrics.retries.labels("room").inc()

    # -- what is wrong -----------------------------------------------------------------------------------

    def not_ready(self) -> str | None:
        """What keeps the learner from its work as a whole; None if nothing does."""
        return why_not_ready(self._lost, self._full)

    def warnings(self) -> list[str]:
        """What is served older than it should be, or taught by too few, a sentence each."""
        return warnings_of(self._held.values(), self._trainings)

    def _lose(self, number: int) -> None:
        """Somebody newer has the partition: drop what is held, wait for an assignment."""
        logger.warning("partition_lost", extra={"partition": number})
        self._drop(number)
        self._lost.add(number)  # taking it over again under the same assignment would fence off its owner

    def _drop(self, number: int) -> None:
        held = self._held.pop(number, None)
        self._floor.forget(number)
        if held is not None:
            for key, model in held.models.items():
                self._trainings.of(key).let_go(key)
                if model.is_aside:
                    self._metrics.set_aside.remove(key)

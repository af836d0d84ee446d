"""The learner: one writer per placement, from outcomes to weights that deciders have within a second.

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
from dataclasses import dataclass, field
from functools import partial
from typing import NamedTuple, ParamSpec, TypeVar

import msgspec

from eventlog.port import EventLog
from eventlog.topics import OUTCOMES
from online_models import checkpoint
from online_models.placement_model import PlacementModel
from personalization.catalog import Placement
from personalization.errors import InvalidInput, Refused
from personalization.outcome import Outcome, decode_outcome
from personalization.policy_spec import ModelSpec
from state.checkpoint_store import CheckpointHeader, CheckpointStore, StoredCheckpoint
from state.model_store import ModelPublisher, Published
from state.worker_client import until_done
from stream.clock import CurrentCatalog, wall_clock_ms
from stream.dead_letters import DeadLetter, dead_letter_record
from stream.failpoints import Failpoint, Failpoints
from stream.metrics import LearnerMetrics

logger = logging.getLogger(__name__)

_T = TypeVar("_T")
_P = ParamSpec("_P")

NOTHING = -1
"""Position of a partition of which nothing is learned."""

YIELD_AFTER_S = 0.02
"""Learning gives the loop a turn after this long: heartbeats must not wait for a large batch."""


class LearnedMessage(NamedTuple):
    """One outcome as it came from the log; ``assignment`` is the one under which it was fetched."""

    partition: int
    offset: int
    key: bytes | None
    value: bytes | None
    assignment: int


@dataclass(slots=True)
class _Partition:
    """What is held of one partition."""

    generation: int
    position: int
    models: dict[str, PlacementModel]
    through: dict[str, int]
    """Placement → offset its model was already trained through when it was loaded from an older checkpoint."""
    current: CheckpointHeader | None
    obsolete: tuple[CheckpointHeader, ...]
    number: int
    saved_position: int
    unsaved: set[str] = field(default_factory=set)
    unpublished: set[str] = field(default_factory=set)
    waiting_since_ms: dict[str, list[int]] = field(default_factory=dict)
    n_unsaved: int = 0


class Learner:
    """Learns, publishes, checkpoints.

    Parameters
    ----------
    epoch
        The log's.
    commit
        Commits {partition: next offset} for the group; what it says is for people and lag, not for us.
    """

    def __init__(
        self,
        log: EventLog,
        checkpoints: CheckpointStore,
        publisher: ModelPublisher,
        catalog: CurrentCatalog,
        secret: bytes,
        epoch: int,
        metrics: LearnerMetrics,
        commit: Callable[[dict[int, int]], Awaitable[object]],
        failpoints: Failpoints | None = None,
    ) -> None:
        self._log = log
        self._checkpoints = checkpoints
        self._publisher = publisher
        self._catalog = catalog
        self._secret = secret
        self._epoch = epoch
        self._metrics = metrics
        self._commit = commit
        self._failpoints = failpoints or Failpoints()
        self._lock = asyncio.Lock()
        self._partitions: dict[int, _Partition] = {}
        self._assignment = 0
        self._lost: set[int] = set()
        self._catalog_version = 0

    @property
    def reached(self) -> dict[int, int]:
        """Per partition held, the offset up to which it is learned."""
        return {number: held.position for number, held in self._partitions.items()}

    def model(self, placement: str) -> PlacementModel | None:
        """The model of a placement held here."""
        for held in self._partitions.values():
            if placement in held.models:
                return held.models[placement]
        return None

    # -- assignment --------------------------------------------------------------------------------------

    async def assigned(self, partitions: Collection[int], assignment: int) -> dict[int, int]:
        """Where reading goes on: asked after every assignment, and whenever the flow paused.

        A new assignment (another number) starts over from the checkpoints: another learner may have been at
        work in between. Within one, reading goes on behind what is learned.
        """
        async with self._lock:
            if assignment != self._assignment:
                self._partitions.clear()
                self._lost.clear()
                self._assignment = assignment
            for number in sorted(set(partitions) - set(self._partitions) - self._lost):
                self._partitions[number] = await self._take_over(number)
            for number in set(self._partitions) - set(partitions):
                del self._partitions[number]
            return {number: held.position + 1 for number, held in self._partitions.items()}

    async def _take_over(self, number: int) -> _Partition:
        generation = await self._patiently("checkpoint", self._checkpoints.open, number)
        current = await self._read_header(number, "current")
        previous = await self._read_header(number, "previous")
        held = _Partition(
            generation=generation,
            position=NOTHING,
            models={},
            through={},
            current=None,
            obsolete=(),
            number=max((found.header.number for found in (current, previous) if found), default=0),
            saved_position=NOTHING,
        )
        for found in (current, previous):
            if found is None or (found is previous and held.current is not None):
                continue
            if self._adopt(held, found):
                held.current = found.header
        held.obsolete = tuple(
            found.header for found in (current, previous) if found and found.header != held.current
        )
        if held.current is not None and held.current.epoch == self._epoch:
            held.position = held.saved_position = held.current.position
        await self._relearn(number, held)
        held.unpublished.update(held.models)
        for placement in held.models:
            self._publisher.forget(placement)
        logger.info(
            "partition_taken_over",
            extra={"partition": number, "generation": generation, "position": held.position},
        )
        return held

    async def _read_header(self, number: int, which: str) -> StoredCheckpoint | None:
        try:
            return await self._patiently("checkpoint", self._checkpoints.load, number, which)
        except msgspec.DecodeError as error:
            self._metrics.checkpoints.labels("refused").inc()
            logger.error("checkpoint_refused", extra={"partition": number, "which": which, "reason": str(error)})
            return None

    def _adopt(self, held: _Partition, found: StoredCheckpoint) -> bool:
        """Load a checkpoint's models; False where one of them is damaged, so that the one before is used."""
        models = {}
        for placement, blob in found.blobs.items():
            try:
                if blob is None:
                    raise Refused("the checkpoint is missing: keep the last good one")
                models[placement] = checkpoint.load(blob, self._secret, placement=placement).model
            except (Refused, msgspec.DecodeError) as error:
                self._metrics.checkpoints.labels("refused").inc()
                logger.error("checkpoint_refused", extra={"placement": placement, "reason": str(error)})
                return False
        held.models = models
        return True

    async def _relearn(self, number: int, held: _Partition) -> None:
        """A placement that has another model by now learns what the log still holds, from the beginning."""
        stale = {name for name, model in held.models.items() if model.schema() != self._new_model(name).schema()}
        if not stale:
            return
        logger.warning("models_changed", extra={"placements": sorted(stale), "partition": number})
        for name in stale:
            held.models[name] = self._new_model(name)
            held.unsaved.add(name)
            held.unpublished.add(name)
        earliest = (await self._patiently("log", self._log.earliest_offsets, OUTCOMES))[number]
        async for entry in self._log.read(OUTCOMES, number, earliest, held.position + 1):
            if entry.key in stale:
                try:
                    outcome = decode_outcome(entry.value)
                except InvalidInput:
                    continue
                held.models[entry.key].learn(outcome)

    def _new_model(self, placement: str) -> PlacementModel:
        compiled = self._catalog.current.placements.get(placement)
        if compiled is None:  # taken out of the catalog while its last decisions were open
            return PlacementModel(placement)
        return PlacementModel(placement, model_spec(compiled.spec), compiled.spec.reward_range)

    # -- learning ----------------------------------------------------------------------------------------

    async def process(self, messages: Sequence[LearnedMessage]) -> None:
        """Learn one batch. It is safe with the next checkpoint, not before: acknowledging commits nothing."""
        started_s = turn_s = time.perf_counter()
        async with self._lock:
            n_learned = 0
            for message in messages:
                held = self._partitions.get(message.partition)
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
                    unsaved=sum(held.n_unsaved for held in self._partitions.values()),
                )
        self._metrics.learn_seconds.observe(time.perf_counter() - started_s)

    async def _learn(self, held: _Partition, message: LearnedMessage) -> None:
        try:
            outcome = decode_outcome(message.value or b"")
        except InvalidInput as error:
            await self._give_up(message, error)
        else:
            self._learn_outcome(held, outcome)
        held.position = message.offset
        held.n_unsaved += 1

    def _learn_outcome(self, held: _Partition, outcome: Outcome) -> None:
        name = outcome.placement
        model = held.models.get(name)
        if model is None:
            model = held.models[name] = self._new_model(name)
        before = dict(model.counts)
        model.learn(outcome)
        result = next(kind for kind, n in model.counts.items() if n != before.get(kind, 0))
        self._metrics.outcomes.labels(name, result).inc()
        held.unsaved.add(name)
        if result == "learned":
            held.unpublished.add(name)
            held.waiting_since_ms.setdefault(name, []).append(outcome.closed_at_ms)

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

    # -- publishing --------------------------------------------------------------------------------------

    async def publish(self) -> int:
        """Publish every model that learned something since, or is another one by now; how many."""
        n_published = 0
        async with self._lock:
            await self._follow_catalog()
            for number, held in list(self._partitions.items()):
                for placement in sorted(held.unpublished):
                    if not await self._publish(held, placement):
                        self._lose(number)
                        break
                    n_published += 1
        return n_published

    async def _follow_catalog(self) -> None:
        """Where a new version of the catalog names another model, that one takes over at once."""
        version = self._catalog.current.version
        if version == self._catalog_version:
            return
        for number, held in self._partitions.items():
            await self._relearn(number, held)
        self._catalog_version = version

    async def _publish(self, held: _Partition, placement: str) -> bool:
        model = held.models[placement]
        snapshot = model.snapshot(held.generation)
        at_ms = wall_clock_ms()
        result, n_bytes = await self._patiently("publish", self._publisher.publish, placement, snapshot, at_ms)
        if result is Published.FENCED:
            return False
        held.unpublished.discard(placement)
        self._metrics.published_bytes.labels(placement).observe(n_bytes)
        self._metrics.published_ms.labels(placement).set(at_ms / 1000)
        self._metrics.version.labels(placement).set(model.n_learned)
        for kind, n in model.adaptations.items():
            self._metrics.adaptations.labels(placement, kind).set(n)
        for closed_at_ms in held.waiting_since_ms.pop(placement, ()):
            self._metrics.reward_to_weights.observe(max(0, at_ms - closed_at_ms) / 1000)
        return True

    async def run_publishing(self, publish_ms: int) -> None:
        """Publish at most every ``publish_ms`` until cancelled."""
        while True:
            await self.publish()
            await asyncio.sleep(publish_ms / 1000)

    # -- checkpoints -------------------------------------------------------------------------------------

    async def save(self) -> int:
        """Write a checkpoint of every partition that moved; how many."""
        n_saved = 0
        async with self._lock:
            for number, held in list(self._partitions.items()):
                if held.position == held.saved_position and not held.unsaved:
                    continue
                if await self._save(number, held):
                    n_saved += 1
                else:
                    self._metrics.checkpoints.labels("fenced").inc()
                    self._lose(number)
        return n_saved

    async def _save(self, number: int, held: _Partition) -> bool:
        held.number += 1
        blobs = {}
        for placement in sorted(held.unsaved):
            blobs[placement] = checkpoint.dump(
                held.models[placement],
                {number: held.position + 1},
                self._secret,
                generation=held.generation,
                epoch=str(self._epoch),
            )
            self._metrics.checkpoint_bytes.labels(placement).set(len(blobs[placement]))
        kept = held.current.models if held.current else {}
        header = CheckpointHeader(
            epoch=self._epoch,
            position=held.position,
            generation=held.generation,
            number=held.number,
            models={**kept, **dict.fromkeys(blobs, held.number)},
        )
        saved = await self._patiently(
            "checkpoint", self._checkpoints.save, number, header, blobs, held.current, held.obsolete
        )
        if not saved:
            return False
        self._failpoints.hit(Failpoint.CHECKPOINTED, partition=number, position=held.position)
        floor = held.saved_position
        held.obsolete = (held.current,) if held.current else ()
        held.current, held.saved_position = header, held.position
        held.unsaved.clear()
        held.n_unsaved = 0
        self._metrics.checkpoints.labels("saved").inc()
        self._metrics.checkpointed.set(wall_clock_ms() / 1000)
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
            await asyncio.sleep(min(0.1, checkpoint_ms / 1000))
            n_unsaved = sum(held.n_unsaved for held in self._partitions.values())
            if loop.time() >= next_s or n_unsaved >= checkpoint_outcomes:
                await self.save()
                next_s = loop.time() + checkpoint_ms / 1000

    def _lose(self, number: int) -> None:
        """Somebody newer has the partition: drop what is held, wait for an assignment."""
        logger.warning("partition_lost", extra={"partition": number})
        self._partitions.pop(number, None)
        self._lost.add(number)  # taking it over again under the same assignment would fence off its owner

    async def _patiently(
        self, part: str, attempt: Callable[_P, Awaitable[_T]], *args: _P.args, **kwargs: _P.kwargs
    ) -> _T:
        def failed(error: BaseException) -> None:
            self._metrics.retries.labels(part).inc()
            logger.warning("retrying", extra={"part": part, "reason": repr(error)})

        return await until_done(partial(attempt, *args, **kwargs), failed)


def model_spec(placement: Placement) -> ModelSpec:
    """Which reward model a placement asks for."""
    return ModelSpec(placement.model, placement.model_parameters)

"""One partition of ``outcomes`` as a learner holds it: taken over from its checkpoints, saved into the next."""

from __future__ import annotations

import logging
from contextlib import suppress
from dataclasses import dataclass, field

import msgspec

from eventlog.port import EventLog
from eventlog.topics import OUTCOMES
from personalization.errors import InvalidInput, Refused
from state.checkpoint_store import CheckpointHeader, CheckpointStore, StoredCheckpoint
from stream.clock import CurrentCatalog, wall_clock_ms
from stream.metrics import LearnerMetrics
from stream.patience import Patience
from stream.training import Book, Place, Trainings

logger = logging.getLogger(__name__)

NOTHING = -1
"""Position of a partition of which nothing is learned."""


@dataclass(slots=True)
class HeldPartition:
    """What is held of one partition.

    Attributes
    ----------
    position
        Everything up to this offset is in the books.
    books
        By key.
    number
        Of the last checkpoint written.
    unsaved, unpublished
        Keys whose books changed since.
    waiting_since_ms
        Key → when what is learned and not published yet was over.
    """

    generation: int
    number: int
    position: int = NOTHING
    saved_position: int = NOTHING
    books: dict[str, Book] = field(default_factory=dict)
    current: CheckpointHeader | None = None
    obsolete: tuple[CheckpointHeader, ...] = ()
    unsaved: set[str] = field(default_factory=set)
    unpublished: set[str] = field(default_factory=set)
    waiting_since_ms: dict[str, list[int]] = field(default_factory=dict)
    n_unsaved: int = 0


class Partitions:
    """Takes partitions over and saves them.

    Parameters
    ----------
    epoch
        The log's: a checkpoint of an older one brings its books, not its position.
    """

    def __init__(
        self,
        log: EventLog,
        checkpoints: CheckpointStore,
        trainings: Trainings,
        catalog: CurrentCatalog,
        epoch: int,
        metrics: LearnerMetrics,
    ) -> None:
        self._log = log
        self._checkpoints = checkpoints
        self._trainings = trainings
        self._catalog = catalog
        self._epoch = epoch
        self._metrics = metrics
        self._patiently = Patience(metrics.retries)

    async def take_over(self, number: int) -> HeldPartition:
        """A new generation of the partition, at its newest good checkpoint."""
        generation = await self._patiently("checkpoint", self._checkpoints.open, number)
        found = [await self._read(number, "current"), await self._read(number, "previous")]
        stored = [each for each in found if each is not None]
        held = HeldPartition(generation, max((each.header.number for each in stored), default=0))
        for each in stored:
            if self._adopt(held, each):
                break
        held.obsolete = tuple(each.header for each in stored if each.header != held.current)
        if held.current is not None and held.current.epoch == self._epoch:
            held.position = held.saved_position = held.current.position
        await self.follow_catalog(number, held)
        held.unpublished.update(held.books)
        for key in held.books:
            self._trainings.of(key).forget(key)
        logger.info(
            "partition_taken_over",
            extra={"partition": number, "generation": generation, "position": held.position},
        )
        return held

    async def follow_catalog(self, number: int, held: HeldPartition) -> None:
        """A key that has another model by now learns what the log still holds, from the beginning."""
        fresh = {key: self._trainings.of(key).new(key, self._catalog.current) for key in held.books}
        stale = {key for key, book in held.books.items() if book.schema() != fresh[key].schema()}
        if not stale:
            return
        logger.warning("models_changed", extra={"keys": sorted(stale), "partition": number})
        held.books.update({key: fresh[key] for key in stale})
        held.unsaved |= stale
        held.unpublished |= stale
        earliest = (await self._patiently("log", self._log.earliest_offsets, OUTCOMES))[number]
        async for entry in self._log.read(OUTCOMES, number, earliest, held.position + 1):
            if entry.key in stale:
                with suppress(InvalidInput):
                    self._trainings.of(entry.key).relearn(held.books[entry.key], entry.value)

    async def save(self, number: int, held: HeldPartition) -> bool:
        """Write the next checkpoint; False where a newer generation has taken over."""
        held.number += 1
        place = Place(number, held.position + 1, held.generation, self._epoch)
        blobs = {}
        for key in sorted(held.unsaved):
            blobs[key] = await self._trainings.of(key).dump(held.books[key], place)
            self._metrics.checkpoint_bytes.labels(key).set(len(blobs[key]))
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
            self._metrics.checkpoints.labels("fenced").inc()
            return False
        held.obsolete = (held.current,) if held.current else ()
        held.current, held.saved_position = header, held.position
        held.unsaved.clear()
        held.n_unsaved = 0
        self._metrics.checkpoints.labels("saved").inc()
        self._metrics.checkpointed.set(wall_clock_ms() / 1000)
        return True

    async def _read(self, number: int, which: str) -> StoredCheckpoint | None:
        try:
            return await self._patiently("checkpoint", self._checkpoints.load, number, which)
        except msgspec.DecodeError as error:
            self._metrics.checkpoints.labels("refused").inc()
            logger.error("checkpoint_refused", extra={"partition": number, "which": which, "reason": str(error)})
            return None

    def _adopt(self, held: HeldPartition, found: StoredCheckpoint) -> bool:
        """Load a checkpoint's books; False where one of them is damaged, so that the one before is used."""
        books: dict[str, Book] = {}
        for key, blob in found.blobs.items():
            try:
                if blob is None:
                    raise Refused("the checkpoint is missing: keep the last good one")
                books[key] = self._trainings.of(key).load(key, blob)
            except (Refused, msgspec.DecodeError) as error:
                self._metrics.checkpoints.labels("refused").inc()
                logger.error("checkpoint_refused", extra={"key": key, "reason": str(error)})
                return False
        held.books, held.current = books, found.header
        return True

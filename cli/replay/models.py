"""Every model learned anew from what ``outcomes`` holds, saved and published: placements' and conversions' alike.

The new checkpoints are of a new generation, so what a learner that was cut off still publishes is refused; the next
learner goes on behind the last record learned here. All records are learned, also those that a learner under too
much load had left out.
"""

from __future__ import annotations

from dataclasses import dataclass, field

from cli.replay.base import Base
from cli.replay.parts import Parts, published
from cli.replay.states import starts_of
from config.settings import DEVELOPMENT_SECRET
from eventlog.topics import OUTCOMES
from personalization.compiled import CompiledCatalog
from personalization.errors import InvalidInput, Refused
from state.checkpoint_store import CheckpointHeader, CheckpointStore, StoredCheckpoint
from state.conversion_store import ConversionPublisher
from state.model_store import ModelPublisher, Published
from stream.clock import wall_clock_ms
from stream.conversion_training import ConversionTraining
from stream.metrics import LearnerMetrics
from stream.placement_training import PlacementTraining
from stream.training import Book, Place, Trainings

CUT_OFF = "a learner has taken over meanwhile: stop every learner, and run this again"


@dataclass(slots=True)
class RebuiltModels:
    """What was done; ``learned`` counts per key of ``outcomes`` (a placement, or ``conversion:NAME``)."""

    n_outcomes: int = 0
    n_dead: int = 0
    learned: dict[str, int] = field(default_factory=dict)


async def rebuild_models(parts: Parts, base: Base | None, *, retained: bool = False) -> RebuiltModels:
    """Learn all records from the log's beginning, from a base, or (``retained``) whatever is still there.

    Raises
    ------
    Refused
        Where the log no longer holds what is needed, or the secret is not the installation's.
    """
    identity = await parts.log.identity()
    numbers = range(identity.n_partitions)
    found = [base.checkpoint(number) if base is not None and not retained else None for number in numbers]
    if retained:
        starts = await parts.log.earliest_offsets(OUTCOMES)
    else:
        behind_base = [each.header.position + 1 if each is not None else 0 for each in found]
        remedy = "give a base (--base), or learn what is still there (--retained); --states leaves models alone"
        starts = await starts_of(parts, OUTCOMES, None if base is None else behind_base, remedy)
    rebuilding = _Rebuilding(parts, await _current_catalog(parts), identity.epoch)
    await rebuilding.check_secret(numbers)
    for number in numbers:
        await rebuilding.rebuild(number, found[number], starts[number])
    return rebuilding.rebuilt


class _Rebuilding:
    """One partition after the other, by the learner's own trainings."""

    def __init__(self, parts: Parts, catalog: CompiledCatalog, epoch: int) -> None:
        secret = parts.settings.secret.encode()
        self._parts = parts
        self._catalog = catalog
        self._epoch = epoch
        self._trainings = Trainings(
            PlacementTraining(ModelPublisher(parts.redis, parts.keys, secret), secret),
            ConversionTraining(ConversionPublisher(parts.redis, parts.keys), secret, LearnerMetrics()),
        )
        self._checkpoints = CheckpointStore(parts.redis, parts.keys)
        self.rebuilt = RebuiltModels()

    async def rebuild(self, number: int, base: StoredCheckpoint | None, start: int) -> None:
        """Learn, save and publish one partition."""
        books = self._books_of(base)
        end = await self._learn(number, books, start)
        old = [await self._checkpoints.load(number, which) for which in ("current", "previous")]
        headers = [each.header for each in old if each is not None]
        if not books and not headers:
            return
        generation = await self._checkpoints.open(number)
        save_number = 1 + max((header.number for header in headers), default=0)
        place = Place(number, end, generation, self._epoch)
        blobs = {key: await self._trainings.of(key).dump(book, place) for key, book in sorted(books.items())}
        header = CheckpointHeader(self._epoch, end - 1, generation, save_number, dict.fromkeys(blobs, save_number))
        # Both the current and the one before: what the old ones hold is what was to be replaced.
        if not await self._checkpoints.save(number, header, blobs, header, headers):
            raise Refused(CUT_OFF)
        for key, book in books.items():
            result, _ = await self._trainings.of(key).publish(book, generation, wall_clock_ms())
            if result is Published.FENCED:
                raise Refused(CUT_OFF)
            self.rebuilt.learned[key] = book.n_learned

    async def _learn(self, number: int, books: dict[str, Book], start: int) -> int:
        """Learn a partition from ``start``; the offset behind it."""
        end = start
        async for read in self._parts.log.read(OUTCOMES, number, start):
            end = read.offset + 1
            self.rebuilt.n_outcomes += 1
            training = self._trainings.of(read.key)
            book = books.get(read.key) or training.new(read.key, self._catalog)
            try:
                await training.learn(book, read.value)
            except InvalidInput:
                self.rebuilt.n_dead += 1
            else:
                books[read.key] = book
        return end

    def _books_of(self, saved: StoredCheckpoint | None) -> dict[str, Book]:
        blobs = saved.blobs if saved is not None else {}
        return {key: self._trainings.of(key).load(key, blob) for key, blob in blobs.items() if blob is not None}

    async def check_secret(self, numbers: range) -> None:
        """Models signed with the wrong secret are refused by every learner and decider: do not write such."""
        if self._parts.settings.secret != DEVELOPMENT_SECRET:
            return
        n_refused = 0
        for number in numbers:
            saved = await self._checkpoints.load(number)
            for key, blob in (saved.blobs if saved is not None else {}).items():
                try:
                    self._trainings.of(key).load(key, blob or b"")
                except Refused:
                    n_refused += 1
                else:
                    return
        if n_refused:
            raise Refused(
                "the stored models are signed with another secret: set NEXTBEST_SECRET, or give --data-dir"
            )


async def _current_catalog(parts: Parts) -> CompiledCatalog:
    version = await parts.catalogs.latest_version()
    if not version:
        raise Refused("no catalog is published here: `nextbest publish FOLDER` first")
    return await published(parts.catalogs)(version)

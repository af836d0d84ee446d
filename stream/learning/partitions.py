"""Partitions of ``outcomes`` in a learner's hands: taken over from their checkpoints, following the catalog."""

from __future__ import annotations

import asyncio
import logging

import msgspec

from personalization.errors import Refused
from state.checkpoint_store import CheckpointHeader, CheckpointStore, ModelCopy
from stream.current_catalog import CurrentCatalog
from stream.learning.checkpoint_writer import CheckpointWriter, Saved
from stream.learning.held_model import NOTHING, HeldModel, Stage, digest_of, without_positions
from stream.learning.held_partition import HeldPartition
from stream.learning.replaced_models import find, keep, without
from stream.learning.set_aside import SettingAside
from stream.learning.training import Book, Trainings
from stream.metrics import LearnerMetrics
from stream.patience import Patience
from stream.wall_clock import wall_clock_ms

logger = logging.getLogger(__name__)


class Partitions:
    """Takes partitions over and saves them.

    Parameters
    ----------
    epoch
        The log's: a checkpoint of an older one brings its models, not its positions.
    aside
        Puts models aside that raise.
    """

    def __init__(
        self,
        checkpoints: CheckpointStore,
        trainings: Trainings,
        catalog: CurrentCatalog,
        epoch: int,
        metrics: LearnerMetrics,
        aside: SettingAside | None = None,
    ) -> None:
        self._checkpoints = checkpoints
        self._trainings = trainings
        self._catalog = catalog
        self._epoch = epoch
        self._metrics = metrics
        self.aside = aside or SettingAside(metrics)
        self._patiently = Patience(metrics.retries, metrics.waiting)
        self._writer = CheckpointWriter(checkpoints, trainings, epoch, metrics, self.aside)

    # -- taking over -------------------------------------------------------------------------------------

    async def take_over(self, number: int) -> HeldPartition:
        """A new generation of the partition, every model at its newest good copy."""
        generation = await self._patiently("checkpoint", self._checkpoints.open, number)
        held = HeldPartition(number, generation)
        header = held.header = await self._header(number)
        if header is not None:
            same_epoch = header.epoch == self._epoch
            held.position = header.position if same_epoch else NOTHING
            held.copy_number = header.number
            held.replaced = header.replaced
            if not same_epoch:
                held.replaced = tuple(
                    msgspec.structs.replace(each, copies=without_positions(each.copies)) for each in held.replaced
                )
            held.models = {
                key: HeldModel.from_saved(key, saved, same_epoch=same_epoch) for key, saved in header.models.items()
            }
        for model in list(held.models.values()):
            await self.restore(held, model)
        for stale in self._stale(held):
            await self._replace(held, *stale)
        for key in held.models:
            self._trainings.of(key).forget(key)
        logger.info(
            "partition_taken_over",
            extra={"partition": number, "generation": generation, "position": held.position},
        )
        return held

    async def _header(self, number: int) -> CheckpointHeader | None:
        try:
            return await self._patiently("checkpoint", self._checkpoints.header, number)
        except msgspec.DecodeError as error:
            self._metrics.checkpoints.labels("refused").inc()
            logger.error("checkpoint_refused", extra={"partition": number, "reason": str(error)})
            return None

    async def restore(self, held: HeldPartition, model: HeldModel) -> None:
        """Load a model's newest good copy; without one it learns what the log holds. May leave it aside."""
        try:
            book = await self._load_a_copy(held, model)
            if book is None:
                book = await self._load_or_begin(held, model)
        except Exception as error:
            self.aside.put(held, model, Stage.LOAD, error)
            return
        model.take(book)
        self.aside.loaded(model)
        if held.is_caught_up(model):
            self.go_live(held, model)

    async def _load_or_begin(self, held: HeldPartition, model: HeldModel) -> Book:
        """A model that was replaced and is the same, or an empty one."""
        fresh: Book = self._trainings.of(model.key).new(model.key, self._catalog.current)
        if not model.copies:
            return fresh
        found = [find(held.replaced, model.key, schema) for schema in (digest_of(fresh), model.schema)]
        # What was refused is kept: another secret or another River refuses what is good once that is undone.
        held.replaced = keep(held.replaced, model.key, model.schema, model.copies, wall_clock_ms())
        for replaced in found:
            if replaced is not None:
                model.copies = replaced.copies
                book = await self._load_a_copy(held, model)
                if book is not None:
                    held.replaced = without(held.replaced, replaced)
                    return book
        model.begin_anew()
        logger.error("model_begins_anew", extra={"partition": held.number, "key": model.key})
        return fresh

    async def _load_a_copy(self, held: HeldPartition, model: HeldModel) -> Book | None:
        """The book of the newest copy that loads, which then is the first of the model's copies; None: all refused.

        Raises
        ------
        Exception
            What a copy that was not refused raised when it was loaded, unless another copy could be.
        """
        failure: Exception | None = None
        for index, copy in enumerate(model.copies):
            name = (model.key, copy.number)
            blob = (await self._patiently("checkpoint", self._checkpoints.blobs, held.number, [name]))[name]
            try:
                if blob is None:
                    raise Refused("the copy is missing")
                book: Book = await asyncio.to_thread(self._trainings.of(model.key).load, model.key, blob)
            except (Refused, msgspec.DecodeError) as error:
                self._say_refused(held, model, copy, error)
            except Exception as error:
                failure = error
                self._say_refused(held, model, copy, error)
            else:
                model.copies = model.copies[index:]
                model.go_back()
                # Its secret will be refused one day: it is saved anew, though it learned nothing.
                model.moved = self._trainings.of(model.key).is_signed_before(blob)
                return book
        if failure is not None:
            raise failure
        return None

    def _say_refused(self, held: HeldPartition, model: HeldModel, copy: ModelCopy, error: Exception) -> None:
        self._metrics.checkpoints.labels("refused").inc()
        logger.error(
            "checkpoint_refused",
            extra={"partition": held.number, "key": model.key, "copy": copy.number, "reason": str(error)},
        )

    def go_live(self, held: HeldPartition, model: HeldModel) -> None:
        """All of its key that the partition is past is in the book, or gone from the log: count that."""
        n_lost = model.n_waiting()
        if n_lost and not model.replaces:
            self._metrics.outcomes_lost.labels(model.key).inc(n_lost)
            logger.error("outcomes_lost", extra={"key": model.key, "n_outcomes": n_lost})
        model.n_passed = model.n_records
        model.live = True
        model.raises.clear()
        self.aside.show(model)
        held.unpublished.add(model.key)

    # -- the catalog -------------------------------------------------------------------------------------

    async def follow_catalog(self, held: HeldPartition) -> bool:
        """Where the catalog names another model by now, that one takes over; False: the partition is lost.

        The one before is kept for a while. The new one is a model that was replaced before, or learns what the log
        still holds. A key that the catalog does not name keeps its model.
        """
        for model in held.models.values():
            self.aside.try_now(model)
        stale = self._stale(held)
        if not stale:
            return True
        if any(model.moved for model, _ in stale) and await self.save(held) is Saved.FENCED:
            return False
        # Two models of one key would share a version wherever they have learned as much.
        generation = await self._patiently("checkpoint", self._checkpoints.renew, held.number, held.generation)
        if generation is None:
            return False
        held.generation = generation
        for model, fresh in stale:
            await self._replace(held, model, fresh)
        return True

    def _stale(self, held: HeldPartition) -> list[tuple[HeldModel, Book]]:
        """The models that are not what the catalog names, each with an empty book of what is."""
        found: list[tuple[HeldModel, Book]] = []
        catalog = self._catalog.current
        for key, model in held.models.items():
            training = self._trainings.of(key)
            if not training.knows(key, catalog):
                continue
            try:
                fresh: Book = training.new(key, catalog)
            except Exception as error:
                logger.error("model_cannot_be_made", extra={"key": key, "reason": str(error)}, exc_info=error)
                continue
            if digest_of(fresh) != model.schema:
                found.append((model, fresh))
        return found

    async def _replace(self, held: HeldPartition, model: HeldModel, fresh: Book) -> None:
        key = model.key
        held.replaced = keep(held.replaced, key, model.schema, model.copies, wall_clock_ms())
        held.unpublished.discard(key)
        held.waiting_since_ms.pop(key, None)
        self._trainings.of(key).forget(key)
        new = held.models[key] = HeldModel(key, digest_of(fresh), n_records=model.n_records)
        known = find(held.replaced, key, new.schema)
        if known is not None:
            held.replaced = without(held.replaced, known)
            new.copies = known.copies
            new.go_back()
        else:
            new.anew_below = held.position + 1
        logger.warning("model_changed", extra={"key": key, "partition": held.number, "known": known is not None})
        await self.restore(held, new)
        self.aside.show(new)

    async def save(self, held: HeldPartition, *, twice: bool = False) -> Saved:
        """Store what changed; see ``CheckpointWriter.save``."""
        return await self._writer.save(held, twice=twice)

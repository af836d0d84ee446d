"""Writing checkpoints: new copies of the models that moved, loaded back before they count, and the header."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Collection, Mapping, Sequence
from enum import StrEnum

import msgspec

from personalization.errors import Refused
from state.checkpoint_store import BlobName, CheckpointHeader, CheckpointStore, ModelCopy, ReplacedModel
from stream.learning.held_model import HeldModel, Stage
from stream.learning.held_partition import HeldPartition
from stream.learning.replaced_models import Kept, within_bounds
from stream.learning.set_aside import SettingAside
from stream.learning.training import Book, Place, Trainings
from stream.metrics import LearnerMetrics
from stream.patience import Patience
from stream.wall_clock import wall_clock_ms

logger = logging.getLogger(__name__)


class Saved(StrEnum):
    """How a save went."""

    DONE = "done"
    UNCHANGED = "unchanged"
    """What is stored says the same already."""
    FENCED = "fenced"
    """A newer generation has taken over."""


class CheckpointWriter:
    """Writes the checkpoints of partitions.

    Parameters
    ----------
    epoch
        The log's.
    aside
        Puts models aside that cannot be saved.
    """

    def __init__(
        self,
        checkpoints: CheckpointStore,
        trainings: Trainings,
        epoch: int,
        metrics: LearnerMetrics,
        aside: SettingAside,
    ) -> None:
        self._checkpoints = checkpoints
        self._trainings = trainings
        self._epoch = epoch
        self._metrics = metrics
        self._aside = aside
        self._patiently = Patience(metrics.retries, metrics.waiting)

    async def save(self, held: HeldPartition, *, twice: bool = False) -> Saved:
        """Store what changed.

        A model that moved gets a new copy, and keeps the one before. One that did not move since gets a second
        copy of the same, once: then both are trained as far as the partition is, and neither needs the log. One
        that forgot somebody gets two at once: the copy before still knows them.

        Parameters
        ----------
        twice
            Give every model that moved two new copies at once.
        """
        blobs: dict[BlobName, bytes] = {}
        copies: dict[str, tuple[ModelCopy, ...]] = {}
        for key, model in sorted(held.models.items()):
            if model.book is None:
                continue
            try:
                copies[key] = await self._copies(held, model, model.book, blobs, twice=twice)
            except Exception as error:
                self._aside.put(held, model, Stage.SAVE, error)
        replaced = await self._without_the_erased(held, copies, blobs)
        header = self._next_header(held, copies, replaced)
        if held.header is not None and _says_the_same(header, held.header):
            return Saved.UNCHANGED
        stored = await self._patiently(
            "checkpoint", self._checkpoints.save, held.number, header, blobs, held.header
        )
        if not stored:
            self._metrics.checkpoints.labels("fenced").inc()
            return Saved.FENCED
        for key, of_model in copies.items():
            model = held.models[key]
            self._aside.saved(model)
            model.copies = of_model
            model.unlearnable = {offset for offset in model.unlearnable if offset > of_model[-1].position}
            model.moved, model.forgot = False, []
        held.header, held.replaced = header, header.replaced
        held.n_unsaved = 0
        self._metrics.checkpoints.labels("saved").inc()
        self._metrics.checkpointed.set(wall_clock_ms() / 1000)
        return Saved.DONE

    async def _copies(
        self, held: HeldPartition, model: HeldModel, book: Book, blobs: dict[BlobName, bytes], *, twice: bool
    ) -> tuple[ModelCopy, ModelCopy]:
        """The two copies a model is to have; the bytes of new ones are put into ``blobs``."""
        position, n_records = held.trained_through(model)
        newest = model.copies[0] if model.copies else None
        if newest is not None and not model.moved:
            # It holds everything of its key: what others learned meanwhile changes nothing of that.
            unmoved = ModelCopy(newest.number, position, n_records, newest.n_bytes)
            older = model.copies[-1]
            if older.number != newest.number and older.n_records == newest.n_records:
                return unmoved, ModelCopy(older.number, position, n_records, older.n_bytes)
            newest = unmoved
        blob = await self._good_copy(held, model, book, position)
        first = held.next_copy(position, n_records, len(blob))
        blobs[model.key, first.number] = blob
        if newest is None or (model.moved and (twice or model.forgot)):
            newest = held.next_copy(position, n_records, len(blob))
            blobs[model.key, newest.number] = blob
        return first, newest

    async def _good_copy(self, held: HeldPartition, model: HeldModel, book: Book, position: int) -> bytes:
        """A copy that was loaded back: only such a one may take the place of another."""
        training = self._trainings.of(model.key)
        blob = await training.dump(book, Place(held.number, position + 1, held.generation, self._epoch))
        loaded: Book = await asyncio.to_thread(training.load, model.key, blob)
        if (loaded.schema(), loaded.n_learned) != (book.schema(), book.n_learned):
            raise Refused(f"what was saved loads as another model: {loaded.schema()}, {loaded.n_learned} learned")
        self._metrics.checkpoint_bytes.labels(model.key).set(len(blob))
        return blob

    async def _without_the_erased(
        self, held: HeldPartition, keys: Collection[str], blobs: dict[BlobName, bytes]
    ) -> Kept:
        """Models that others replaced, forgetting whom their successors forgot; new copies are put into ``blobs``.

        A copy that cannot be loaded is let go of: nobody could say whom it knows.
        """
        left: list[ReplacedModel] = []
        for replaced in held.replaced:
            forgot = held.models[replaced.key].forgot if replaced.key in keys else []
            if forgot:
                found = [await self._forgetful(held, replaced.key, copy, forgot, blobs) for copy in replaced.copies]
                replaced = msgspec.structs.replace(
                    replaced, copies=tuple(copy for copy in found if copy is not None)
                )
            if replaced.copies:
                left.append(replaced)
        return tuple(left)

    async def _forgetful(
        self, held: HeldPartition, key: str, copy: ModelCopy, forgot: Sequence[bytes], blobs: dict[BlobName, bytes]
    ) -> ModelCopy | None:
        training, name = self._trainings.of(key), (key, copy.number)
        blob = (await self._patiently("checkpoint", self._checkpoints.blobs, held.number, [name]))[name]
        try:
            if blob is None:
                raise Refused("the copy is missing")
            book: Book = await asyncio.to_thread(training.load, key, blob)
            for record in forgot:
                training.relearn(book, record)
            new = await training.dump(book, Place(held.number, copy.position + 1, held.generation, self._epoch))
        except Exception as error:
            logger.error(
                "replaced_model_let_go", extra={"partition": held.number, "key": key, "reason": str(error)}
            )
            return None
        kept = held.next_copy(copy.position, copy.n_records, len(new))
        blobs[key, kept.number] = new
        return kept

    def _next_header(
        self, held: HeldPartition, copies: Mapping[str, tuple[ModelCopy, ...]], kept: Kept
    ) -> CheckpointHeader:
        models = {key: model.saved() for key, model in held.models.items()}
        for key, of_model in copies.items():
            models[key] = msgspec.structs.replace(models[key], copies=of_model)
        replaced = within_bounds(kept, wall_clock_ms())
        return CheckpointHeader(self._epoch, held.position, held.generation, held.copy_number, models, replaced)


def _says_the_same(header: CheckpointHeader, stored: CheckpointHeader) -> bool:
    """Whether nothing needs to be stored: who wrote it does not count."""
    return header == msgspec.structs.replace(stored, generation=header.generation, number=header.number)

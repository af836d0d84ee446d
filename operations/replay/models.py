"""Every model learned anew from what ``outcomes`` holds, saved and published: placements' and conversions' alike.

The new checkpoints are of a new generation, so what a learner that was cut off still publishes is refused; the next
learner goes on behind the last record learned here. A model that raises keeps what is stored of it, and the others
are rebuilt.
"""

from __future__ import annotations

from dataclasses import dataclass, field

import msgspec

from config.setting_values import DEVELOPMENT_SECRET
from eventlog.topics import OUTCOMES
from installation.opened import Installation, published
from installation.secrets_of import secrets_of
from operations.replay.base import Base
from operations.replay.states import starts_of
from personalization.catalog.compiled_catalog import CompiledCatalog
from personalization.errors import InvalidInput, Refused
from personalization.events.participant import is_experiment
from state.checkpoint_store import (
    BlobName,
    CheckpointHeader,
    CheckpointStore,
    ModelCopy,
    SavedModel,
    StoredCheckpoint,
)
from state.conversion_store import ConversionPublisher
from state.model_store import ModelPublisher, Published
from stream.learning.conversion_training import ConversionTraining
from stream.learning.held_model import NOTHING, HeldModel, digest_of
from stream.learning.placement_training import PlacementTraining
from stream.learning.training import Book, Place, Trainings
from stream.metrics import LearnerMetrics
from stream.wall_clock import wall_clock_ms

CUT_OFF = "a learner has taken over meanwhile: stop every learner, and run this again"


@dataclass(slots=True)
class RebuiltModels:
    """What was done, by key of ``outcomes`` (a placement, or ``conversion:NAME``).

    Attributes
    ----------
    learned
        How much each model has learned.
    raised
        What a model raised that is as it was before: the learner tries it again.
    """

    n_outcomes: int = 0
    n_dead: int = 0
    learned: dict[str, int] = field(default_factory=dict)
    raised: dict[str, str] = field(default_factory=dict)


async def rebuild_models(opened: Installation, base: Base | None, *, retained: bool = False) -> RebuiltModels:
    """Learn all records from the log's beginning, from a base, or (``retained``) whatever is still there.

    Raises
    ------
    Refused
        Where the log no longer holds what is needed, or the secret is not the installation's.
    """
    identity = await opened.log.identity()
    numbers = range(identity.n_partitions)
    found = [base.checkpoint(number) if base is not None and not retained else None for number in numbers]
    if retained:
        starts = await opened.log.earliest_offsets(OUTCOMES)
    else:
        behind_base = [_needed_from(each.header) if each is not None else 0 for each in found]
        remedy = "give a base (--base), or learn what is still there (--retained); --states leaves models alone"
        starts = await starts_of(opened, OUTCOMES, None if base is None else behind_base, remedy)
    rebuilding = _Rebuilding(opened, await _current_catalog(opened), identity.epoch)
    await rebuilding.check_secret(numbers)
    for number in numbers:
        await rebuilding.rebuild(number, found[number], starts[number])
    return rebuilding.rebuilt


@dataclass(slots=True)
class _Rebuilt:
    """One model on its way.

    Attributes
    ----------
    position
        Everything of its key up to this offset is in the book.
    """

    book: Book
    position: int = NOTHING
    n_records: int = 0


class _Rebuilding:
    """One partition after the other, by the learner's own trainings."""

    def __init__(self, opened: Installation, catalog: CompiledCatalog, epoch: int) -> None:
        key = secrets_of(opened.settings).key("models")
        self._parts = opened
        self._catalog = catalog
        self._epoch = epoch
        self._trainings = Trainings(
            PlacementTraining(ModelPublisher(opened.redis, opened.keys, key, opened.cipher), key),
            ConversionTraining(
                ConversionPublisher(opened.redis, opened.keys, opened.cipher), key, LearnerMetrics()
            ),
        )
        self._checkpoints = CheckpointStore(opened.redis, opened.keys, opened.cipher)
        self.rebuilt = RebuiltModels()

    async def rebuild(self, number: int, base: StoredCheckpoint | None, start: int) -> None:
        """Learn, save and publish one partition."""
        models = self._models_of(base)
        end = max(await self._learn(number, models, start), base.header.position + 1 if base is not None else 0)
        before = await self._stored_header(number)
        if not models and before is None:
            return
        generation = await self._checkpoints.open(number)
        place = Place(number, end, generation, self._epoch)
        blobs: dict[BlobName, bytes] = {}
        saved: dict[str, SavedModel] = {}
        copy_number = before.number if before is not None else 0
        for key, model in sorted(models.items()):
            blob = await self._good_copy(key, model, place) if key not in self.rebuilt.raised else None
            if blob is None:
                saved[key] = self._as_before(key, model, before)
                continue
            copies = tuple(ModelCopy(copy_number + n, end - 1, model.n_records, len(blob)) for n in (2, 1))
            copy_number += 2
            blobs.update({(key, copy.number): blob for copy in copies})
            saved[key] = SavedModel(digest_of(model.book), NOTHING, model.n_records, copies)
        replaced = before.replaced if before is not None else ()
        header = CheckpointHeader(self._epoch, end - 1, generation, copy_number, saved, replaced)
        if not await self._checkpoints.save(number, header, blobs, before):
            raise Refused(CUT_OFF)
        for key, model in models.items():
            if key in self.rebuilt.raised:
                continue
            result, _ = await self._trainings.of(key).publish(model.book, generation, wall_clock_ms())
            if result is Published.FENCED:
                raise Refused(CUT_OFF)
            self.rebuilt.learned[key] = model.book.n_learned

    async def _learn(self, number: int, models: dict[str, _Rebuilt], start: int) -> int:
        """Learn a partition, of each model what it lacks; the offset behind it."""
        end = start
        async for read in self._parts.log.read(OUTCOMES, number, start):
            end = max(end, read.offset + 1)
            if is_experiment(read.key):
                continue
            self.rebuilt.n_outcomes += 1
            model = models.get(read.key) or self._new(read.key)
            if read.offset <= model.position:
                continue
            model.n_records += 1
            if read.key in self.rebuilt.raised:
                continue
            try:
                await self._trainings.of(read.key).learn(model.book, read.value)
            except InvalidInput:
                self.rebuilt.n_dead += 1
            except Exception as error:  # its fault alone: the others are rebuilt
                self.rebuilt.raised[read.key] = f"{type(error).__name__}: {error}"
                models[read.key] = model
            else:
                models[read.key] = model
        return end

    async def _good_copy(self, key: str, model: _Rebuilt, place: Place) -> bytes | None:
        """A copy that was loaded back; None if that fails."""
        training = self._trainings.of(key)
        try:
            blob = await training.dump(model.book, place)
            training.load(key, blob)
        except Exception as error:
            self.rebuilt.raised[key] = f"{type(error).__name__}: {error}"
            return None
        return blob

    def _as_before(self, key: str, model: _Rebuilt, before: CheckpointHeader | None) -> SavedModel:
        """What is stored of a model that raised; nothing at all: the learner begins it again."""
        stored = before.models.get(key) if before is not None else None
        if before is None or stored is None:
            return SavedModel(digest_of(self._new(key).book), NOTHING, model.n_records)
        held = HeldModel.from_saved(key, stored, same_epoch=before.epoch == self._epoch)
        return msgspec.structs.replace(held.saved(), n_records=max(stored.n_records, model.n_records))

    def _new(self, key: str) -> _Rebuilt:
        return _Rebuilt(self._trainings.of(key).new(key, self._catalog))

    def _models_of(self, base: StoredCheckpoint | None) -> dict[str, _Rebuilt]:
        found: dict[str, _Rebuilt] = {}
        for key, saved in (base.header.models if base is not None else {}).items():
            blob = base.blobs.get(key) if base is not None else None
            book = self._new(key).book if blob is None else self._trainings.of(key).load(key, blob)
            found[key] = _Rebuilt(book, saved.position, saved.n_records - saved.n_waiting)
        return found

    async def _stored_header(self, number: int) -> CheckpointHeader | None:
        try:
            return await self._checkpoints.header(number)
        except msgspec.DecodeError:  # what is damaged is what is to be replaced
            return None

    async def check_secret(self, numbers: range) -> None:
        """Models signed with the wrong secret are refused by every learner and decider: do not write such."""
        if self._parts.settings.secret != DEVELOPMENT_SECRET:
            return
        n_refused = 0
        for number in numbers:
            header = await self._stored_header(number)
            if header is None:
                continue
            for (key, _), blob in (await self._checkpoints.blobs(number, header.newest_names())).items():
                try:
                    self._trainings.of(key).load(key, blob or b"")
                except Refused:
                    n_refused += 1
                except Exception:  # what is wrong with it is not the signature
                    return
                else:
                    return
        if n_refused:
            raise Refused(
                "the stored models are signed with another secret: set NEXTBEST_SECRET, or give --data-dir"
            )


def _needed_from(header: CheckpointHeader) -> int:
    """Where what a checkpoint does not hold begins: where the model furthest behind stands."""
    behind = (saved.position for saved in header.models.values() if saved.n_waiting)
    return min([header.position, *behind]) + 1


async def _current_catalog(opened: Installation) -> CompiledCatalog:
    version = await opened.catalogs.latest_version()
    if not version:
        raise Refused("no catalog is published here: `nextbest publish FOLDER` first")
    return await published(opened.catalogs)(version)

"""A model as it was at one version: an earlier copy of it, and the outcomes that came after, learned in order."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from dataclasses import dataclass
from typing import NamedTuple

import msgspec

from eventlog.partition import partition_of
from eventlog.topics import OUTCOMES
from installation.opened import Installation
from installation.secrets_of import secrets_of
from online_models import checkpoint
from online_models.build import this_build
from online_models.placement_model import PlacementModel
from online_models.snapshot import ModelSnapshot, unpack_version
from operations.replay.base import Base
from personalization.catalog.compiled_catalog import CompiledCatalog
from personalization.errors import InvalidInput, Refused
from state.checkpoint_store import CheckpointHeader, CheckpointStore, ModelCopy
from state.model_store import ModelPublisher
from stream.learning.held_model import NOTHING
from stream.learning.placement_training import PlacementTraining, model_spec

logger = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class ModelAt:
    """A model of one version.

    Attributes
    ----------
    snapshot
        As deciders had it.
    begun_at
        Outcomes that the copy held with which it was begun; 0: it was learned from the first.
    n_read
        Records that were learned after it.
    n_gone
        Entries that the log has lost from among these: whoever was erased brought them, to this model or another.
    build
        What wrote that copy; empty: a release before, which did not say.
    """

    snapshot: ModelSnapshot
    begun_at: int
    n_read: int
    build: str
    n_gone: int = 0


class _Start(NamedTuple):
    """Everything up to ``position`` is in the book."""

    book: PlacementModel
    position: int
    build: str


async def model_at(
    opened: Installation, catalog: CompiledCatalog, key: str, version: int, base: Base | None = None
) -> ModelAt:
    """The model under ``key`` as it was at ``version``.

    Parameters
    ----------
    catalog
        Of the version that the decision was made under: it says which model that was.
    base
        Saved before the decision: its copy may be earlier than those that are stored.

    Raises
    ------
    Refused
        Where the version lies before what is kept, or behind it, in words.
    """
    compiled = catalog.models.get(key)
    if compiled is None:
        raise Refused(f"catalog {catalog.version} has no model {key!r}")
    low_high = compiled.spec.reward_range
    if not version:
        return ModelAt(ModelSnapshot.prior(compiled.spec.model, low_high), 0, 0, this_build())
    return await _Search(opened, catalog, key, version).found(base)


class _Search:
    def __init__(self, opened: Installation, catalog: CompiledCatalog, key: str, version: int) -> None:
        self._opened = opened
        self._key = key
        self._spec = catalog.models[key].spec
        self._catalog = catalog
        self._generation, self._wanted = unpack_version(version)
        self._secret = secrets_of(opened.settings).key("models")
        publisher = ModelPublisher(opened.redis, opened.keys, self._secret, opened.cipher)
        self._training = PlacementTraining(publisher, self._secret)

    async def found(self, base: Base | None) -> ModelAt:
        identity = await self._opened.log.identity()
        partition = partition_of(self._key, identity.n_partitions)
        earliest = (await self._opened.log.earliest_offsets(OUTCOMES))[partition]
        starts = await self._starts(partition, identity.epoch)
        if base is not None:
            starts += self._of_base(base, partition)
        starts.append(_Start(self._training.new(self._key, self._catalog), NOTHING, this_build()))
        early = [start for start in starts if start.book.n_learned <= self._wanted]
        able = [start for start in early if start.position + 1 >= earliest]
        if not able:
            oldest = min((start.book.n_learned for start in starts if start.position != NOTHING), default=0)
            kept = f"the oldest copy has learned {oldest:,}" if oldest else "no copy of it is kept"
            raise Refused(
                f"the model had learned {self._wanted:,} outcomes, which lies before what is kept: {kept}, and the "
                "log no longer holds the outcomes before; give a base that was saved before that (--base)"
            )
        # The sorting is stable: where two have learned as much, what is stored comes first.
        return await self._learned(sorted(able, key=lambda start: -start.book.n_learned)[0], partition, earliest)

    async def _starts(self, partition: int, epoch: int) -> list[_Start]:
        """The stored copies, those of a model that another one replaced too."""
        store = CheckpointStore(self._opened.redis, self._opened.keys, self._opened.cipher)
        try:
            header = await store.header(partition)
        except msgspec.DecodeError:
            return []
        if header is None or header.epoch != epoch:
            return []
        copies = list(self._copies(header))
        blobs = await store.blobs(partition, [(self._key, copy.number) for copy in copies])
        return [
            start
            for copy in copies
            if (start := self._start(blobs[self._key, copy.number], copy.position)) is not None
        ]

    def _copies(self, header: CheckpointHeader) -> Iterator[ModelCopy]:
        saved = header.models.get(self._key)
        yield from saved.copies if saved is not None else ()
        for replaced in header.replaced:
            if replaced.key == self._key:
                yield from replaced.copies

    def _of_base(self, base: Base, partition: int) -> list[_Start]:
        stored = base.checkpoint(partition)
        saved = stored.header.models.get(self._key) if stored is not None else None
        if stored is None or saved is None:
            return []
        start = self._start(stored.blobs.get(self._key), saved.position)
        return [] if start is None else [start]

    def _start(self, blob: bytes | None, position: int) -> _Start | None:
        """A copy; None where it is of another model, cannot be read, or does not say where it stands."""
        if blob is None or position == NOTHING:
            return None
        try:
            loaded = checkpoint.load(
                blob,
                self._secret,
                placement=self._key,
                model=model_spec(self._spec),
                reward_range=self._spec.reward_range,
            )
        except Refused:
            return None
        return _Start(loaded.model, position, loaded.build)

    async def _learned(self, start: _Start, partition: int, earliest: int) -> ModelAt:
        book, begun_at, n_read, n_gone = start.book, start.book.n_learned, 0, 0
        if book.n_learned < self._wanted:
            next_ = max(start.position + 1, earliest)
            async for read in self._opened.log.read(OUTCOMES, partition, next_):
                n_gone += read.offset - next_
                next_ = read.offset + 1
                if read.key != self._key:
                    continue
                n_read += 1
                try:
                    self._training.relearn(book, read.value)
                except InvalidInput:  # a dead letter then, too
                    continue
                except Exception as error:  # the learner gave it up after some tries; nothing of it was learned
                    logger.warning(
                        "outcome_passed_over",
                        extra={"offset": read.offset, "reason": f"{type(error).__name__}: {error}"},
                    )
                if book.n_learned == self._wanted:
                    break
        if book.n_learned != self._wanted:
            raise Refused(
                f"the model had learned {self._wanted:,} outcomes, and the log leads to {book.n_learned:,} alone: "
                "what was learned between was erased, or another learner had counted it"
            )
        snapshot = book.snapshot(self._generation)
        parts = snapshot.encode(self._secret)  # on the wire, as deciders are given it
        snapshot = ModelSnapshot.decode(parts.header, parts.arms, self._secret)
        return ModelAt(snapshot, begun_at, n_read, start.build, n_gone)

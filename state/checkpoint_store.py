"""A learner's checkpoints in Redis: per partition of ``outcomes`` a header, and two copies of each model.

The header says how far the partition is trained, and for every model which of its copies are stored and how far
each of them is trained by itself. A copy that turns out damaged costs that model what came after its other copy,
and the log still holds that; all other models are untouched. The header itself is stored twice, with a digest.

Header, blobs and the removal of what the header names no more happen in one script call, fenced by the learner's
generation: a learner that lost its partition cannot overwrite what its successor wrote.
"""

from __future__ import annotations

import contextlib
import hashlib
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, TypeAlias, cast

import msgspec
from redis.asyncio import Redis

from personalization.data_cipher import CLEAR, DataCipher
from state.keys import Keys

HEADERS = ("current", "copy")
"""The two places of a header; both hold the same."""

BlobName: TypeAlias = tuple[str, int]
"""Key of a model, number of the copy."""


class ModelCopy(msgspec.Struct, frozen=True, array_like=True):
    """One stored copy of a model.

    Attributes
    ----------
    number
        Tells it from the other copies of the partition; part of its name in Redis.
    position
        Every record of the model's key up to this offset is in it; −1: none of this epoch.
    n_records
        How many records of the key those are, over all epochs.
    """

    number: int
    position: int
    n_records: int
    n_bytes: int


class SavedModel(msgspec.Struct, frozen=True, array_like=True):
    """What a header says of one model.

    Attributes
    ----------
    schema
        Digest of what the model is: two models of one key with different schemas are different models.
    origin
        An empty model is complete up to this offset: where one without a good copy begins.
    n_records
        Records of the key up to the header's position, whether the model has learned them or not.
    copies
        The newest first; none where it has never learned anything.
    anew_below
        Records below this offset were learned by the model that this one replaced; −1: it replaced none.
    unlearnable
        Offsets of records that were given up on, as far as a copy may come to them again.
    """

    schema: bytes
    origin: int
    n_records: int
    copies: tuple[ModelCopy, ...] = ()
    anew_below: int = -1
    unlearnable: tuple[int, ...] = ()

    @property
    def position(self) -> int:
        """How far the newest copy is trained."""
        return self.copies[0].position if self.copies else self.origin

    @property
    def safe_position(self) -> int:
        """How far every copy is trained: what came later may be needed again."""
        return min((copy.position for copy in self.copies), default=self.origin)

    @property
    def n_waiting(self) -> int:
        """Records up to the header's position that the newest copy has not learned: they wait in the log for it."""
        return self.n_records - (self.copies[0].n_records if self.copies else 0)


class ReplacedModel(msgspec.Struct, frozen=True, array_like=True):
    """A model that another one replaced under its key, kept should the change be undone."""

    key: str
    schema: bytes
    copies: tuple[ModelCopy, ...]
    replaced_at_ms: int


class CheckpointHeader(msgspec.Struct, frozen=True, array_like=True):
    """What one checkpoint holds.

    Attributes
    ----------
    position
        Every record of the partition up to this offset is in a model or waits for one; −1: none.
    number
        The highest number any copy had so far.
    models
        By key: a placement, or ``conversion:NAME``.
    """

    epoch: int
    position: int
    generation: int
    number: int
    models: dict[str, SavedModel] = {}
    replaced: tuple[ReplacedModel, ...] = ()

    def trained_through(self, key: str) -> int:
        """How far the model of a key is trained."""
        saved = self.models.get(key)
        return self.position if saved is None else saved.position

    def waiting(self) -> dict[str, int]:
        """Keys of models that are behind the partition, each with how many of its records wait for it."""
        return {key: saved.n_waiting for key, saved in self.models.items() if saved.n_waiting}

    def newest_names(self) -> Iterator[BlobName]:
        """The newest copy of each model that has one."""
        return ((key, saved.copies[0].number) for key, saved in self.models.items() if saved.copies)

    def blob_names(self) -> Iterator[BlobName]:
        """The blobs it needs."""
        for key, saved in self.models.items():
            yield from ((key, copy.number) for copy in saved.copies)
        for replaced in self.replaced:
            yield from ((replaced.key, copy.number) for copy in replaced.copies)


_DIGEST_BYTES = 8
_encoder = msgspec.msgpack.Encoder()
_decoder = msgspec.msgpack.Decoder(CheckpointHeader)


def encode_header(header: CheckpointHeader) -> bytes:
    """A header as stored: its digest, then MessagePack."""
    packed = _encoder.encode(header)
    return _digest(packed) + packed


def decode_header(value: bytes) -> CheckpointHeader:
    """The inverse of ``encode_header``.

    Raises
    ------
    msgspec.DecodeError
        If it is damaged, or of another release.
    """
    packed = value[_DIGEST_BYTES:]
    if value[:_DIGEST_BYTES] != _digest(packed):
        raise msgspec.DecodeError("the header of the checkpoint is damaged, or of another release")
    return _decoder.decode(packed)


def _digest(packed: bytes) -> bytes:
    return hashlib.blake2b(packed, digest_size=_DIGEST_BYTES).digest()


@dataclass(frozen=True, slots=True)
class StoredCheckpoint:
    """A checkpoint as read: header, and the newest copy of each model that has one; a missing blob is None."""

    header: CheckpointHeader
    blobs: dict[str, bytes | None]


_SAVE = """
local held = tonumber(redis.call('GET', KEYS[1]) or '-1')
if held > tonumber(ARGV[1]) then return 0 end
local n_blobs = tonumber(ARGV[2])
for i = 1, n_blobs do redis.call('SET', KEYS[3 + i], ARGV[3 + i]) end
redis.call('SET', KEYS[2], ARGV[3])
redis.call('SET', KEYS[3], ARGV[3])
for i = 4 + n_blobs, #KEYS do redis.call('DEL', KEYS[i]) end
return 1
"""

_OPEN = """
local held = tonumber(redis.call('GET', KEYS[1]) or '-1')
if tonumber(ARGV[1]) > held then redis.call('SET', KEYS[1], ARGV[1]) end
return 1
"""

_RENEW = """
if redis.call('GET', KEYS[1]) ~= ARGV[1] then return 0 end
redis.call('SET', KEYS[1], ARGV[2])
return 1
"""


class CheckpointStore:
    """Checkpoints of all partitions in one Redis; the models in them are sealed, for they hold rows of features.

    Parameters
    ----------
    cipher
        Seals what is written and opens what is read.
    """

    def __init__(self, redis: Redis, keys: Keys, cipher: DataCipher = CLEAR) -> None:
        self._redis = redis
        self._cipher = cipher
        self._keys = keys
        self._save = redis.register_script(_SAVE)
        self._open = redis.register_script(_OPEN)
        self._renew = redis.register_script(_RENEW)

    async def open(self, partition: int) -> int:
        """Take over a partition: a new generation, above every other; older ones can save no more."""
        generation = await self._next_generation()
        await self._open(keys=[self._keys.generation(partition)], args=[generation])
        return generation

    async def renew(self, partition: int, generation: int) -> int | None:
        """A new generation for whoever holds the partition under ``generation``; None if that is over."""
        renewed = await self._next_generation()
        done = await self._renew(keys=[self._keys.generation(partition)], args=[generation, renewed])
        return renewed if done else None

    async def headers(self, n_partitions: int, epoch: int) -> dict[int, CheckpointHeader]:
        """What is stored of each partition that has a readable checkpoint in the ``epoch``."""
        found: dict[int, CheckpointHeader] = {}
        for partition in range(n_partitions):
            with contextlib.suppress(msgspec.DecodeError):  # the learner says so, and begins anew
                header = await self.header(partition)
                if header is not None and header.epoch == epoch:
                    found[partition] = header
        return found

    async def header(self, partition: int) -> CheckpointHeader | None:
        """What is stored of a partition; None if nothing is.

        Raises
        ------
        msgspec.DecodeError
            If both places of the header are unreadable.
        """
        names = [self._keys.checkpoint(partition, which) for which in HEADERS]
        values = cast("list[bytes | None]", await self._redis.mget(names))
        damage: msgspec.DecodeError | None = None
        for value in values:
            if value is None:
                continue
            try:
                return decode_header(value)
            except msgspec.DecodeError as error:
                damage = error
        if damage is not None:
            raise damage
        return None

    async def blobs(self, partition: int, names: Iterable[BlobName]) -> dict[BlobName, bytes | None]:
        """Copies of models; None for one that is missing."""
        wanted = list(names)
        if not wanted:
            return {}
        values = cast("list[bytes | None]", await self._redis.mget([self._name(partition, one) for one in wanted]))
        return {
            one: None if value is None else self._cipher.opened(value, self._bound(partition, one))
            for one, value in zip(wanted, values, strict=True)
        }

    async def load(self, partition: int) -> StoredCheckpoint | None:
        """The header and the newest copy of each model; None if nothing is stored.

        Raises
        ------
        msgspec.DecodeError
            If the header is unreadable.
        """
        header = await self.header(partition)
        if header is None:
            return None
        found = await self.blobs(partition, header.newest_names())
        return StoredCheckpoint(header, {key: blob for (key, _), blob in found.items()})

    async def save(
        self,
        partition: int,
        header: CheckpointHeader,
        blobs: Mapping[BlobName, bytes],
        before: CheckpointHeader | None = None,
    ) -> bool:
        """Store ``header`` and the copies that are new in it.

        Parameters
        ----------
        before
            The header it replaces: copies that only that one names are removed.

        Returns
        -------
        bool
            False if a newer generation has taken over: nothing was written.
        """
        obsolete = set(before.blob_names()) - set(header.blob_names()) if before is not None else set()
        saved = await self._save(
            keys=[
                self._keys.generation(partition),
                *(self._keys.checkpoint(partition, which) for which in HEADERS),
                *(self._name(partition, name) for name in blobs),
                *(self._name(partition, name) for name in sorted(obsolete)),
            ],
            args=[
                header.generation,
                len(blobs),
                encode_header(header),
                *(self._cipher.sealed(blob, self._bound(partition, one)) for one, blob in blobs.items()),
            ],
        )
        return bool(saved)

    async def _next_generation(self) -> int:
        return int(await cast("Any", self._redis.incr(self._keys.generations)))

    def _bound(self, partition: int, blob: BlobName) -> bytes:
        """What a copy of a model is bound to: where it stands."""
        return self._name(partition, blob).encode()

    def _name(self, partition: int, blob: BlobName) -> str:
        key, number = blob
        return self._keys.checkpoint_model(partition, number, key)

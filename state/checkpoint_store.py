"""A learner's checkpoints in Redis: the current one and the one before, per partition of ``outcomes``.

A checkpoint is a header that says how far the partition is trained, and one blob per placement (see
``online_models.checkpoint``), written only where something was learned since. Header, blobs and the removal of
what neither checkpoint needs any more happen in one script call, fenced by the learner's generation: a learner
that lost its partition cannot overwrite what its successor wrote.
"""

from __future__ import annotations

import contextlib
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import Any, cast

import msgspec
from redis.asyncio import Redis

from state.keys import Keys


class CheckpointHeader(msgspec.Struct, frozen=True, array_like=True):
    """What one checkpoint holds.

    Attributes
    ----------
    position
        Every outcome of the partition up to this offset is in the models; −1: none.
    models
        Placement → number of the checkpoint that wrote its blob.
    """

    epoch: int
    position: int
    generation: int
    number: int
    models: dict[str, int]


_encoder = msgspec.msgpack.Encoder()
_decoder = msgspec.msgpack.Decoder(CheckpointHeader)


@dataclass(frozen=True, slots=True)
class StoredCheckpoint:
    """A checkpoint as read: header and blobs; a blob that is missing is None."""

    header: CheckpointHeader
    blobs: dict[str, bytes | None]


_SAVE = """
local held = tonumber(redis.call('GET', KEYS[1]) or '-1')
if held > tonumber(ARGV[1]) then return 0 end
local n_blobs = tonumber(ARGV[2])
for i = 1, n_blobs do redis.call('SET', KEYS[3 + i], ARGV[4 + i]) end
if ARGV[3] ~= '' then redis.call('SET', KEYS[3], ARGV[3]) end
redis.call('SET', KEYS[2], ARGV[4])
for i = 4 + n_blobs, #KEYS do redis.call('DEL', KEYS[i]) end
return 1
"""

_OPEN = """
local held = tonumber(redis.call('GET', KEYS[1]) or '-1')
if tonumber(ARGV[1]) > held then redis.call('SET', KEYS[1], ARGV[1]) end
return 1
"""


class CheckpointStore:
    """Checkpoints of all partitions in one Redis."""

    def __init__(self, redis: Redis, keys: Keys) -> None:
        self._redis = redis
        self._keys = keys
        self._save = redis.register_script(_SAVE)
        self._open = redis.register_script(_OPEN)

    async def open(self, partition: int) -> int:
        """Take over a partition: a new generation, above every other; older ones can save no more."""
        generation = int(await cast("Any", self._redis.incr(self._keys.generations)))
        await self._open(keys=[self._keys.generation(partition)], args=[generation])
        return generation

    async def positions(self, n_partitions: int, epoch: int) -> dict[int, int]:
        """Per partition that has a current checkpoint in the ``epoch``, the offset trained through."""
        names = [self._keys.checkpoint(partition, "current") for partition in range(n_partitions)]
        found: dict[int, int] = {}
        for partition, value in enumerate(cast("list[bytes | None]", await self._redis.mget(names))):
            if value is None:
                continue
            with contextlib.suppress(msgspec.DecodeError):  # damaged: the learner goes on from the one before
                header = _decoder.decode(value)
                if header.epoch == epoch:
                    found[partition] = header.position
        return found

    async def load(self, partition: int, which: str = "current") -> StoredCheckpoint | None:
        """The ``current`` or ``previous`` checkpoint; None where there is none.

        Raises
        ------
        msgspec.DecodeError
            Where the header is unreadable.
        """
        value = await cast("Any", self._redis.get(self._keys.checkpoint(partition, which)))
        if value is None:
            return None
        header = _decoder.decode(value)
        placements = list(header.models)
        names = [self._keys.checkpoint_model(partition, header.models[name], name) for name in placements]
        blobs = cast("list[bytes | None]", await self._redis.mget(names)) if names else []
        return StoredCheckpoint(header, dict(zip(placements, blobs, strict=True)))

    async def save(
        self,
        partition: int,
        header: CheckpointHeader,
        blobs: Mapping[str, bytes],
        last_good: CheckpointHeader | None,
        obsolete: Collection[CheckpointHeader] = (),
    ) -> bool:
        """Make ``header`` the current checkpoint and ``last_good`` the previous one.

        Parameters
        ----------
        blobs
            Of the placements whose number is the header's own.
        last_good
            What the new checkpoint builds on; None where nothing good was there.
        obsolete
            Checkpoints that fall out of use: blobs that only they hold are removed.

        Returns
        -------
        bool
            False where a newer generation has taken over: nothing was written.
        """
        used = {(number, name) for kept in (header, last_good) if kept for name, number in kept.models.items()}
        old = {(number, name) for gone in obsolete for name, number in gone.models.items()}
        blob_names = [self._keys.checkpoint_model(partition, header.number, name) for name in blobs]
        dropped = [self._keys.checkpoint_model(partition, number, name) for number, name in sorted(old - used)]
        saved = await self._save(
            keys=[
                self._keys.generation(partition),
                self._keys.checkpoint(partition, "current"),
                self._keys.checkpoint(partition, "previous"),
                *blob_names,
                *dropped,
            ],
            args=[
                header.generation,
                len(blobs),
                _encoder.encode(last_good) if last_good is not None else b"",
                _encoder.encode(header),
                *blobs.values(),
            ],
        )
        return bool(saved)

"""How often workers began at the same place of the log: what tells an entry that kills its worker from bad luck."""

from __future__ import annotations

from typing import Any, cast

import msgspec
from redis.asyncio import Redis

from state.keys import Keys


class Attempt(msgspec.Struct, frozen=True, array_like=True):
    """What is known of one partition since a worker last began somewhere new.

    Attributes
    ----------
    offset
        Where workers began.
    n_starts
        How many of them did, one after the other: all but the last have died before they got further.
    alone_to
        Entries from ``offset`` to below it are handled one by one; 0: by the batch.
    suspect, n_alone
        The entry in hand alone last, and how often the worker has died of it since; −1: there was none.
    given_up
        Entries that became dead letters.
    n_in_a_row
        Of the latest entries, how many became dead letters with none between them that went well.
    """

    epoch: int
    offset: int
    n_starts: int = 1
    alone_to: int = 0
    suspect: int = -1
    n_alone: int = 0
    given_up: tuple[int, ...] = ()
    n_in_a_row: int = 0

    @property
    def ends(self) -> int:
        """A worker that begins at or above ``offset`` and below this has got no further than those before."""
        return max(self.alone_to, self.offset + 1)


_encoder = msgspec.msgpack.Encoder()
_decoder = msgspec.msgpack.Decoder(Attempt)


class AttemptStore:
    """The attempts of one role, by partition, in Redis: they must outlive the process they speak of."""

    def __init__(self, redis: Redis, keys: Keys, role: str) -> None:
        self._redis = redis
        self._name = keys.attempts(role)

    async def get(self, partition: int) -> Attempt | None:
        """What is known of a partition; None where nothing is, or nothing readable."""
        value = await cast("Any", self._redis.hget(self._name, str(partition)))
        try:
            return None if value is None else _decoder.decode(value)
        except msgspec.DecodeError:
            return None

    async def put(self, partition: int, attempt: Attempt) -> None:
        """Remember; durable as far as Redis is when this returns."""
        await cast("Any", self._redis.hset(self._name, str(partition), _encoder.encode(attempt)))

    async def forget(self, partition: int) -> None:
        """All is well with the partition."""
        await cast("Any", self._redis.hdel(self._name, str(partition)))

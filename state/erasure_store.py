"""Erasures that somebody asked for: those under way, and reports of those that are done."""

from __future__ import annotations

import uuid
from typing import Any, cast

import msgspec
from redis.asyncio import Redis

from personalization.catalog.duration import DAY_MS
from state.keys import Keys

REPORT_MS = 90 * DAY_MS
"""How long a report is kept; it names nobody."""


class Remaining(msgspec.Struct, frozen=True, rename="camel"):
    """Something that an erasure leaves: what it is, in words, and until when; 0: for good."""

    what: str
    until_ms: int = 0


class Erasure(msgspec.Struct, frozen=True, rename="camel", omit_defaults=True):
    """One erasure.

    Attributes
    ----------
    keys, units
        Of the person, as far as they are known, and the hashes that stand for them in hexadecimal; none once it is
        done.
    erased_ms
        When all their keys were erased; 0: that is to be done.
    n_ids
        How many ids the person had.
    removed
        How much was removed, by kind.
    remains
        What is left, and until when.
    before_ms
        Only what came late is to be tidied up, of a person who was erased then; 0: a person is to be erased.
    """

    erasure_id: str
    asked_ms: int
    keys: tuple[str, ...] = ()
    units: tuple[str, ...] = ()
    erased_ms: int = 0
    done_ms: int = 0
    n_ids: int = 0
    removed: dict[str, int] = {}
    remains: tuple[Remaining, ...] = ()
    before_ms: int = 0


class ErasureStore:
    """Erasures in Redis. One that is asked for stays until it is done, whoever dies in between."""

    def __init__(self, redis: Redis, keys: Keys) -> None:
        self._redis = redis
        self._keys = keys

    async def ask(self, keys: tuple[str, ...], now_ms: int, before_ms: int = 0) -> Erasure:
        """Remember what somebody asks for."""
        erasure = Erasure(uuid.uuid4().hex, now_ms, keys, before_ms=before_ms)
        pipeline = self._redis.pipeline(transaction=True)
        pipeline.set(self._keys.erasure(erasure.erasure_id), _encode(erasure))
        pipeline.sadd(self._keys.erasures, erasure.erasure_id)
        await pipeline.execute()
        return erasure

    async def note(self, erasure: Erasure) -> None:
        """Remember what was found so far: it is not to be found any more once states are gone."""
        await self._redis.set(self._keys.erasure(erasure.erasure_id), _encode(erasure))

    async def find(self, erasure_id: str) -> Erasure | None:
        """One erasure; None: there is none of that id, or its report was let go."""
        value = cast("bytes | None", await self._redis.get(self._keys.erasure(erasure_id)))
        return None if value is None else _decode(value)

    async def pending(self) -> list[Erasure]:
        """Those that are not done yet."""
        ids: set[bytes] = await cast("Any", self._redis.smembers(self._keys.erasures))
        found = [await self.find(erasure_id.decode()) for erasure_id in sorted(ids)]
        return [erasure for erasure in found if erasure is not None]

    async def finish(self, erasure: Erasure) -> None:
        """Keep the report, which names nobody any more."""
        pipeline = self._redis.pipeline(transaction=True)
        pipeline.set(self._keys.erasure(erasure.erasure_id), _encode(erasure), px=REPORT_MS)
        pipeline.srem(self._keys.erasures, erasure.erasure_id)
        await pipeline.execute()


_encode = msgspec.json.Encoder().encode
_decode = msgspec.json.Decoder(Erasure).decode

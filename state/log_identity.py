"""Which log the states in Redis were folded from: offsets in fences mean something only together with it."""

from __future__ import annotations

from typing import Any, cast

import msgspec
from redis.asyncio import Redis

from eventlog.port import LogIdentity
from state.keys import Keys


class LogIdentityStore:
    """The identity of the log, beside the states."""

    def __init__(self, redis: Redis, keys: Keys) -> None:
        self._redis = redis
        self._name = keys.log_identity

    async def known(self) -> LogIdentity | None:
        """The log folded so far; None on a first start."""
        value = await cast("Any", self._redis.get(self._name))
        return None if value is None else msgspec.json.decode(value, type=LogIdentity)

    async def remember_first(self, identity: LogIdentity) -> LogIdentity:
        """Note the log unless one is noted; the one noted."""
        await cast("Any", self._redis.set(self._name, msgspec.json.encode(identity), nx=True))
        known = await self.known()
        return identity if known is None else known

    async def replace(self, identity: LogIdentity) -> None:
        """Note a log whose epoch a person has opened: fences of older epochs then count as −1."""
        await cast("Any", self._redis.set(self._name, msgspec.json.encode(identity)))

    async def close(self) -> None:
        """Let go of Redis."""
        await self._redis.aclose()

"""One owner at a time: a lease in Redis, with a generation that counts the owners."""

from __future__ import annotations

import os
import socket
import uuid
from collections.abc import Mapping

from redis.asyncio import Redis
from redis.exceptions import RedisError

from background.cancelling import pause
from eventlog import redis_scripts as scripts
from eventlog.redis_keys import group_keys

RENEWALS = 3
"""Renewals per time to live: two may be lost before another worker takes over."""


class Lease:
    """The right of one worker to read for ``group``.

    Parameters
    ----------
    redis
        A client of the server that keeps the log.
    group
        Whose lease; with the namespace's prefix.
    ttl_s
        How long it lasts without renewal: a worker killed with -9 is succeeded after that long.
    """

    def __init__(self, redis: Redis, group: str, ttl_s: float) -> None:
        self.owner = f"{socket.gethostname()}:{os.getpid()}:{uuid.uuid4().hex[:8]}"
        self.generation = 0
        self.ttl_s = ttl_s
        self._keys = group_keys("", group)
        self._redis = redis
        self._ttl_ms = int(ttl_s * 1000)
        self._take = redis.register_script(scripts.TAKE_LEASE)
        self._keep = redis.register_script(scripts.KEEP_LEASE)
        self._free = redis.register_script(scripts.FREE_LEASE)
        self._commit = redis.register_script(scripts.COMMIT)

    async def acquire(self) -> int:
        """Wait until the lease is ours; returns its generation."""
        while True:
            try:
                if await self.take():
                    return self.generation
            except (RedisError, OSError):
                pass  # Redis is away: nobody can own anything now
            await pause(self.ttl_s / RENEWALS)

    async def take(self) -> bool:
        """Take the lease if nobody has it now."""
        found = await self._take(keys=[self._keys.lease, self._keys.generation], args=[self.owner, self._ttl_ms])
        if found:
            self.generation = int(found)
        return bool(found)

    async def holder(self) -> str:
        """Who has the lease now (``host:process:…``); empty: nobody."""
        owner = await self._redis.get(self._keys.lease)
        return owner.decode() if isinstance(owner, bytes) else owner or ""

    async def hold(self) -> None:
        """Renew until somebody else has the lease; returns then."""
        while True:
            await pause(self.ttl_s / RENEWALS)
            try:
                kept = await self._keep(
                    keys=[self._keys.lease, self._keys.generation],
                    args=[self.owner, self._ttl_ms, self.generation],
                )
            except (RedisError, OSError):
                continue  # not lost: commits are fenced, and nobody can take it while Redis is away
            if not kept:
                return

    async def release(self) -> None:
        """Let a standby take over at once."""
        try:
            await self._free(keys=[self._keys.lease], args=[self.owner])
        except (RedisError, OSError):
            return  # it runs out by itself

    async def commit(self, offsets: Mapping[str, Mapping[int, int]]) -> bool:
        """Commit ``{topic on server: {partition: offset}}``; false if the generation is over."""
        args: list[int] = [self.generation]
        for per_partition in offsets.values():
            args.append(len(per_partition))
            for item in per_partition.items():
                args.extend(item)
        keys = [self._keys.generation, *map(self._keys.committed, offsets)]
        return bool(await self._commit(keys=keys, args=args))

"""All keys of one person: where their redirects end, and every key that leads there."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, cast

from redis.asyncio import Redis

from state.keys import Keys
from state.visitor_store import Stored, UnreadableState, VisitorStore

MAX_KEYS = 10_000
"""More is no person: a crawler that logs in everywhere."""


class People:
    """Finds who is who by what is stored.

    Every key that is merged into another is noted with it (``RedisVisitorStore.save``); what counts is the redirect
    that stands under it now.
    """

    def __init__(self, redis: Redis, keys: Keys, visitors: VisitorStore) -> None:
        self._redis = redis
        self._keys = keys
        self._visitors = visitors

    async def states_of(self, key: str) -> dict[str, Stored]:
        """What is stored under each key of the person that ``key`` is one of, the end of their redirects first."""
        found: dict[str, Stored] = {}
        while key not in found:
            found = {key: (await self._visitors.load([key]))[key], **found}
            key = _redirect(found[key]) or key
        wanted = list(found)
        while wanted and len(found) < MAX_KEYS:
            noted = await self._noted(wanted)
            stored = await self._visitors.load([each for each in noted if each not in found])
            wanted = [each for each, value in stored.items() if _redirect(value) in found]
            found |= {each: stored[each] for each in wanted}
        return found

    async def redirect_of(self, key: str) -> str | None:
        """Where a key leads; None: nowhere, or its state cannot be read."""
        return _redirect((await self._visitors.load([key]))[key])

    async def _noted(self, keys: Iterable[str]) -> list[str]:
        pipeline = self._redis.pipeline(transaction=False)
        for key in keys:
            pipeline.smembers(self._keys.aliases(key))
        sets = cast("list[set[bytes]]", await cast("Any", pipeline.execute()))
        return sorted({member.decode("utf-8", "surrogatepass") for members in sets for member in members})


def _redirect(stored: Stored) -> str | None:
    try:
        return stored.redirect
    except UnreadableState:
        return None

"""All keys of one person: where their redirects end, and every key that leads there."""

from __future__ import annotations

import asyncio
from collections.abc import Collection, Iterable, Mapping
from typing import Any, cast

from redis.asyncio import Redis

from personalization.bounded import short_hash
from state.keys import Keys
from state.visitor_store import Stored, UnreadableState, VisitorStore

MAX_KEYS = 10_000
"""More is no person: a crawler that logs in everywhere."""

TOGETHER = 500
"""States read at once, before others may run."""


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
        while wanted:
            noted = [each for each in await self._noted(wanted) if each not in found][: MAX_KEYS - len(found)]
            wanted = []
            for first in range(0, len(noted), TOGETHER):
                stored = await self._visitors.load(noted[first : first + TOGETHER])
                theirs = [each for each, value in stored.items() if _redirect(value) in found]
                found |= {each: stored[each] for each in theirs}
                wanted += theirs
                await asyncio.sleep(0)
        return found

    async def leading_to(self, keys: Collection[str]) -> dict[str, Stored]:
        """What is stored under the keys that lead to one of these."""
        noted = await self._noted(keys)
        found: dict[str, Stored] = {}
        for first in range(0, len(noted), TOGETHER):
            stored = await self._visitors.load(noted[first : first + TOGETHER])
            found |= {each: value for each, value in stored.items() if _redirect(value) in keys}
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


def home_of(person: Mapping[str, Stored]) -> str:
    """The key that all others of a person lead to."""
    return next(iter(person))


def units_of(person: Mapping[str, Stored], shared: Collection[str]) -> frozenset[bytes]:
    """The 8-byte hashes that stand for a person in outcomes and models (``VisitorState.unit``).

    ``shared``: browsers that others have logged in on; what they began with is one of those others'.
    """
    units = {short_hash(key) for key in person if key not in shared}
    for stored in person.values():
        try:
            units.add(stored.visitor().state.unit)
        except UnreadableState:
            continue
    return frozenset(units - {b""})


def _redirect(stored: Stored) -> str | None:
    try:
        return stored.redirect
    except UnreadableState:
        return None

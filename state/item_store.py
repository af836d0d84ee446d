"""Items in Redis: by id, with a log of what changed and a revision of their own.

Keys (one hash slot): ``{namespace}:{items}:by-id`` id → item, ``…:revision`` counts changes, ``…:log`` a stream of
them (its ids are the revisions), channel ``…:changed``. The log tells followers what to read again, and people who
changed what; what stands under an id is the truth. Items are no part of a catalog's version: the fold needs their
names alone, and a decision's record holds the features that were used.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, cast

import msgspec
from redis.asyncio import Redis

from personalization.catalog.item import MAX_ITEMS, Item, decode_item, encode_item
from personalization.errors import Refused, Unavailable

LOG_LENGTH = 20_000
"""Changes remembered: whoever is further behind reads all items, which is less."""

_READ_BYTES = 32 * 1024
"""Of items, decoded in one go."""

_TRIES = 8
"""Of a change to an item that somebody else changes at the same time."""

# Writes or removes items, and logs each. KEYS: by-id, revision, log. ARGV: channel, most items, length of the log,
# when, who, then id, new value ('' removes), and the value it must have ('*' any, '' none) for each.
# Gives for each the revision, 0 where there was nothing to remove, -1 where there is no room, -2 where it differs.
_CHANGE = """
local done, newest = {}, nil
for i = 6, #ARGV, 3 do
  local id, value, expected = ARGV[i], ARGV[i + 1], ARGV[i + 2]
  local held = redis.call('HGET', KEYS[1], id)
  if expected ~= '*' and (held or '') ~= expected then
    done[#done + 1] = -2
  elseif value == '' and not held then
    done[#done + 1] = 0
  elseif value ~= '' and not held and redis.call('HLEN', KEYS[1]) >= tonumber(ARGV[2]) then
    done[#done + 1] = -1
  else
    if value == '' then redis.call('HDEL', KEYS[1], id) else redis.call('HSET', KEYS[1], id, value) end
    newest = redis.call('INCR', KEYS[2])
    redis.call('XADD', KEYS[3], 'MAXLEN', '~', ARGV[3], newest .. '-0', 'id', id, 'at', ARGV[4], 'who', ARGV[5],
               'what', value == '' and 'removed' or (held and 'changed' or 'new'))
    done[#done + 1] = newest
  end
end
if newest then redis.call('PUBLISH', ARGV[1], newest) end
return done
"""
_NO_ROOM, _DIFFERS = -1, -2


@dataclass(frozen=True, slots=True)
class Changes:
    """What changed since a revision.

    Attributes
    ----------
    revision
        The newest.
    items
        By id, those that changed; None for those that were removed.
    is_all
        Whether these are all there are: what is not among them was removed.
    """

    revision: int
    items: dict[str, Item | None]
    is_all: bool


class ItemStore:
    """Items in one Redis.

    Parameters
    ----------
    redis
        Answers in bytes (``decode_responses`` off).
    namespace
        The settings' prefix of every key.
    """

    def __init__(self, redis: Redis, namespace: str) -> None:
        self.redis = redis
        # The braces are a hash tag: all keys of the script live in one slot of a cluster.
        prefix = f"{namespace}:{{items}}"
        self._by_id, self._revision, self._log = f"{prefix}:by-id", f"{prefix}:revision", f"{prefix}:log"
        self.channel = f"{prefix}:changed"
        self._change = redis.register_script(_CHANGE)

    async def put(self, items: Mapping[str, Item], who: str = "") -> dict[str, int | None]:
        """Write items over whatever stands under their ids; the revision of each, None where there is no room."""
        done = await self._run([(item_id, encode_item(item), b"*") for item_id, item in items.items()], who)
        return {item_id: None if each == _NO_ROOM else each for item_id, each in zip(items, done, strict=True)}

    async def change(self, item_id: str, change: Callable[[Item], Item], who: str = "") -> int | None:
        """Put what ``change`` makes of an item in its place; the revision, None where there is no such item.

        Raises
        ------
        Unavailable
            If others keep changing it at the same time.
        """
        for _ in range(_TRIES):
            held = await cast("Any", self.redis.hget(self._by_id, item_id))
            if held is None:
                return None
            made = change(_read(item_id, held))
            (revision,) = await self._run([(item_id, encode_item(made), held)], who)
            if revision != _DIFFERS:
                return revision
        raise Unavailable(f"the item {item_id!r} is changed by others all the time; try again")

    async def remove(self, item_id: str, who: str = "") -> int | None:
        """Take an item away; the revision, None where there is none."""
        (revision,) = await self._run([(item_id, b"", b"*")], who)
        return revision or None

    async def get(self, item_id: str) -> Item | None:
        """One item."""
        held = await cast("Any", self.redis.hget(self._by_id, item_id))
        return None if held is None else _read(item_id, held)

    async def since(self, revision: int) -> Changes | None:
        """What changed after ``revision``, None if nothing did; all there is where that is too long ago."""
        newest = int(await self.redis.get(self._revision) or 0)
        if newest == revision:
            return None
        logged: Sequence[tuple[bytes, Mapping[bytes, bytes]]] = []
        if 0 < revision < newest:
            logged = await cast("Any", self.redis.xrange(self._log, f"({revision}-0", "+"))
        if not logged or _revision_of(logged[0][0]) != revision + 1:
            return await self._all()
        ids = list(dict.fromkeys(fields[b"id"].decode() for _, fields in logged))
        return Changes(_revision_of(logged[-1][0]), await self._items(ids), is_all=False)

    async def _all(self) -> Changes:
        # The revision first: what is changed in between is read with the next look.
        revision = int(await self.redis.get(self._revision) or 0)
        held = await cast("Any", self.redis.hgetall(self._by_id))
        items = await _all_readable({item_id.decode(): value for item_id, value in held.items()})
        return Changes(revision, items, is_all=True)

    async def _items(self, ids: Sequence[str]) -> dict[str, Item | None]:
        held: Sequence[bytes | None] = await cast("Any", self.redis.hmget(self._by_id, list(ids)))
        return await _all_readable(dict(zip(ids, held, strict=True)))

    async def _run(self, changes: Collection[tuple[str, bytes, bytes]], who: str) -> list[int]:
        now_ms = time.time_ns() // 1_000_000
        flat = [part for change in changes for part in change]
        keys = [self._by_id, self._revision, self._log]
        done = await self._change(keys, [self.channel, MAX_ITEMS, LOG_LENGTH, now_ms, who, *flat])
        return [int(each) for each in done]


def _revision_of(log_id: bytes) -> int:
    return int(log_id.partition(b"-")[0])


def _read(item_id: str, value: bytes) -> Item:
    try:
        return decode_item(value)
    except msgspec.MsgspecError as error:
        raise Refused(f"the item {item_id!r} was written by another release: put it again") from error


async def _all_readable(values: Mapping[str, bytes | None]) -> dict[str, Item | None]:
    """The items in ``values``; others have their turn between them, as one takes up to some milliseconds."""
    found: dict[str, Item | None] = {}
    n_bytes = 0
    for item_id, value in values.items():
        found[item_id] = None if value is None else _readable(value)
        n_bytes += len(value or b"")
        if n_bytes > _READ_BYTES:
            n_bytes = 0
            await asyncio.sleep(0)
    return found


def _readable(value: bytes) -> Item | None:
    """An item, None for one that this release cannot read: it is not shown, and the others are."""
    try:
        return decode_item(value)
    except msgspec.MsgspecError:
        return None

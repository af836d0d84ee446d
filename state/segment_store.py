"""How large segments are, as it was counted last, and the walk over visitors that lists who is in one.

A partition's count is one small value, written by whoever owns the partition. Who is in a segment is stored
nowhere: a list is read from the states themselves, page by page.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import cast

import msgspec
from redis.asyncio import Redis

from personalization.visitor.visitor_state import VisitorState
from state.keys import Keys
from state.visitor_store import UnreadableState, VisitorStore

SCANNED = 25
"""Names that Redis looks at in one step of the walk: as many states are read together."""


class SegmentSizes(msgspec.Struct, frozen=True, array_like=True):
    """One partition, counted.

    Attributes
    ----------
    catalog_version
        Whose segments these are.
    at_ms
        When the walk ended.
    n_visitors
        Of how many visitors: those of whom something is known that may be used.
    sizes
        By segment.
    """

    catalog_version: int
    at_ms: int
    n_visitors: int
    sizes: dict[str, int]


class SegmentStore:
    """Sizes of segments in one Redis, and the walk over its visitors."""

    def __init__(self, redis: Redis, keys: Keys, visitors: VisitorStore) -> None:
        self._redis = redis
        self._keys = keys
        self._visitors = visitors

    async def write(self, partition: int, counted: SegmentSizes) -> None:
        """Keep what was counted of a partition."""
        await self._redis.set(self._keys.segment_sizes(partition), msgspec.msgpack.encode(counted))

    async def read(self, n_partitions: int) -> list[SegmentSizes | None]:
        """What was counted of each partition last; None: nothing yet, or by another release."""
        names = [self._keys.segment_sizes(partition) for partition in range(n_partitions)]
        return [_decoded(value) for value in cast("list[bytes | None]", await self._redis.mget(names))]

    async def step(self, cursor: int) -> tuple[int, dict[str, VisitorState]]:
        """One step of a walk over all visitors: the cursor of the next one (0: it is over), and their states.

        A walk begins at 0. Who is stored all the while is found once at least; perhaps twice.
        """
        pattern = f"{self._keys.namespace}:visitor:*"
        cursor, names = await self._redis.scan(cursor, match=pattern, count=SCANNED)
        found = [self._keys.visitor_key_of(name.decode()) for name in cast("Sequence[bytes]", names)]
        states = {}
        for key, stored in (await self._visitors.load([key for key in found if key is not None])).items():
            try:
                states[key] = stored.visitor().state
            except UnreadableState:
                continue  # the folder says so when it comes to it
        return cursor, states


def _decoded(value: bytes | None) -> SegmentSizes | None:
    if value is None:
        return None
    try:
        return msgspec.msgpack.decode(value, type=SegmentSizes)
    except msgspec.DecodeError:
        return None

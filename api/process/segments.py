"""The sizes of segments and the walk over visitors, as an API process reads them from Redis."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Mapping
from typing import TypeVar

from redis.exceptions import RedisError

from eventlog.port import EventLog
from personalization.errors import Unavailable
from personalization.visitor.visitor_state import VisitorState
from state.segment_store import SegmentSizes, SegmentStore

T = TypeVar("T")

REPORT_S = 1.0
"""What is read for people takes no longer than this, step by step."""


class SegmentsInRedis:
    """See ``SegmentWalk``."""

    def __init__(self, store: SegmentStore, log: EventLog) -> None:
        self._store = store
        self._log = log

    async def sizes(self) -> list[SegmentSizes | None]:
        """What was counted of each partition last."""
        return await _in_time(self._read())

    async def step(self, cursor: int) -> tuple[int, Mapping[str, VisitorState]]:
        """One step of the walk."""
        return await _in_time(self._store.step(cursor))

    async def _read(self) -> list[SegmentSizes | None]:
        return await self._store.read((await self._log.identity()).n_partitions)


async def _in_time(read: Awaitable[T]) -> T:
    try:
        async with asyncio.timeout(REPORT_S):
            return await read
    except (RedisError, OSError, TimeoutError) as error:
        raise Unavailable(f"segments cannot be read: {error}") from error

"""Wakes the visitors whom a new version of the catalog moves: into a segment, out of one, to another tier, or out.

Whoever acts is looked at anyway. The others have to be told of too, in bounded time, and not all at once: the owner
of the first partition walks over all visitors and sets a timer for each that is behind, so many a second. It begins
anew after a restart, and those that were woken already are not behind any more.
"""

from __future__ import annotations

import logging
import time
from collections.abc import AsyncIterator, Callable, Collection

from redis.asyncio import Redis

from background.cancelling import pause
from personalization.catalog.compiled_catalog import CompiledCatalog
from personalization.folding import retention
from personalization.folding.parts import is_behind
from state.catalog_follower import CatalogFollower
from state.keys import Keys
from state.timers import Timer, TimerStore
from state.transient import is_transient
from state.visitor_store import UnreadableState, VisitorStore
from stream.metrics import FolderMetrics
from stream.wall_clock import wall_clock_ms

logger = logging.getLogger(__name__)

RATE_PER_S = 500
"""Visitors woken a second: a tenth of what one folder folds."""

BATCH = 250
REST_S = 0.02
"""After a batch of which nobody is behind: reading it held up the folder for some milliseconds."""

LOOK_S = 1.0
"""Between two looks whether there is something to do."""


class Sweep:
    """One walk over all visitors after each version that changes whom the fold tells of.

    Parameters
    ----------
    owned
        The partitions owned now.
    rate_per_s
        At most so many visitors are woken a second.
    """

    def __init__(
        self,
        redis: Redis,
        keys: Keys,
        visitors: VisitorStore,
        timers: TimerStore,
        catalogs: CatalogFollower,
        owned: Callable[[], Collection[int]],
        metrics: FolderMetrics,
        rate_per_s: float = RATE_PER_S,
        now_ms: Callable[[], int] = wall_clock_ms,
    ) -> None:
        self._redis = redis
        self._keys = keys
        self._visitors = visitors
        self._timers = timers
        self._catalogs = catalogs
        self._owned = owned
        self._metrics = metrics
        self._rate_per_s = rate_per_s
        self._now_ms = now_ms

    async def run(self) -> None:
        """Sweep whenever there is reason to, until cancelled."""
        while True:
            try:
                if 0 in self._owned() and self._catalogs.ready:
                    await self.sweep(self._catalogs.current)
            except Exception as error:
                if not is_transient(error):
                    raise
                self._metrics.retries.labels("sweep").inc()
            await pause(LOOK_S)

    async def sweep(self, catalog: CompiledCatalog) -> int | None:
        """Wake everybody who is behind ``catalog``; how many. None if all was swept before, or it is given up.

        It is given up if another version comes or somebody else owns the first partition: there it begins anew.
        """
        if await self._redis.get(self._keys.swept) == catalog.told_of:
            return None
        n_woken = 0
        logger.info("sweep_began", extra={"catalog_version": catalog.version})
        async for batch in self._batches():
            if 0 not in self._owned() or self._catalogs.current.told_of != catalog.told_of:
                return None
            began_s = time.monotonic()
            behind = await self._behind(batch, catalog)
            now_ms = self._now_ms()
            await self._timers.add(Timer(now_ms, key) for key in behind)
            n_woken += len(behind)
            self._metrics.swept.inc(len(behind))
            await pause(max(REST_S, len(behind) / self._rate_per_s - (time.monotonic() - began_s)))
        await self._redis.set(self._keys.swept, catalog.told_of)
        logger.info("sweep_ended", extra={"catalog_version": catalog.version, "woken": n_woken})
        return n_woken

    async def _batches(self) -> AsyncIterator[list[str]]:
        batch: list[str] = []
        async for name in self._redis.scan_iter(match=f"{self._keys.namespace}:visitor:*", count=BATCH):
            key = self._keys.visitor_key_of(name.decode())
            if key is not None:
                batch.append(key)
            if len(batch) >= BATCH:
                yield batch
                batch = []
        yield batch

    async def _behind(self, keys: list[str], catalog: CompiledCatalog) -> list[str]:
        found = []
        for key, stored in (await self._visitors.load(keys)).items():
            try:
                visitor = stored.visitor()
            except UnreadableState:
                continue  # the folder says so when it comes to it
            is_profiled = visitor.state.redirect is None and visitor.state.first_ms
            if (is_profiled and is_behind(visitor.folder, catalog)) or retention.is_behind(
                visitor, key, catalog.catalog.retention, catalog.promised_ms
            ):
                found.append(key)
        return found

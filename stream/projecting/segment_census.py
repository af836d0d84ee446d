"""Counts who is in which segment: a slow walk over all visitors that takes two hundredths of a core.

It begins anew seconds after it is done where there are few visitors, a minute after where there are many, and at
once after a new version of the catalog. It keeps nothing but
counts, one small value for each partition. Visitors who come or go while it walks may be missed, and while Redis
makes room for more of them it may name a few twice: a size is exact if nothing changes meanwhile, else close to it.
"""

from __future__ import annotations

import logging
import time
from collections import Counter
from collections.abc import Callable, Collection
from contextlib import aclosing
from typing import Protocol

from background.cancelling import pause
from eventlog.partition import partition_of
from personalization.audience.segment_lists import is_listed, segments_inside, why_not_listed
from personalization.catalog.compiled_catalog import CompiledCatalog
from state.segment_store import SegmentSizes, SegmentStore
from state.transient import is_transient
from stream.projecting.visitor_walk import CPU_SHARE, walk
from stream.wall_clock import wall_clock_ms

logger = logging.getLogger(__name__)

BETWEEN_S = 60.0
"""Between two walks at most: sizes that are minutes old are good enough for a list that people read."""

SOON_S = 2.0
"""Between two walks at least: whoever tries segments out on a fresh installation looks at once."""

RESTS = 20
"""Times as long as a walk took it rests, within these."""

LOOK_S = 1.0
"""Between two looks whether there is something to do."""


def rest_after(took_s: float) -> float:
    """How long to rest after a walk, in seconds.

    >>> [rest_after(took_s) for took_s in (0.01, 1.0, 600.0)]
    [2.0, 20.0, 60.0]
    """
    return min(BETWEEN_S, max(SOON_S, RESTS * took_s))


class Catalogs(Protocol):
    """What follows the published versions (``state.catalog_follower``)."""

    @property
    def ready(self) -> bool:
        """Whether there is one."""
        ...

    @property
    def current(self) -> CompiledCatalog:
        """The version in force."""
        ...


class SegmentCensus:
    """Counts the visitors of the partitions owned, segment by segment.

    Parameters
    ----------
    owned
        The partitions owned now.
    n_partitions
        How many the log has.
    cpu_share
        Of a core at most.
    """

    def __init__(
        self,
        store: SegmentStore,
        catalogs: Catalogs,
        owned: Callable[[], Collection[int]],
        n_partitions: int,
        cpu_share: float = CPU_SHARE,
        now_ms: Callable[[], int] = wall_clock_ms,
    ) -> None:
        self._store = store
        self._catalogs = catalogs
        self._owned = owned
        self._n_partitions = n_partitions
        self._cpu_share = cpu_share
        self._now_ms = now_ms
        self._counted: tuple[int, frozenset[int]] | None = None
        self._due_s = 0.0

    async def run(self) -> None:
        """Count again and again, until cancelled."""
        while True:
            try:
                if self._owned() and self._catalogs.ready and self._is_due():
                    began_s = time.monotonic()
                    await self.count(self._catalogs.current)
                    done_s = time.monotonic()
                    self._due_s = done_s + rest_after(done_s - began_s)
            except Exception as error:
                if not is_transient(error):
                    raise
                logger.warning("segment_census_waits", extra={"reason": str(error)})
            await pause(LOOK_S)

    def _is_due(self) -> bool:
        what = self._catalogs.current.version, frozenset(self._owned())
        return what != self._counted or time.monotonic() >= self._due_s

    async def count(self, catalog: CompiledCatalog) -> bool:
        """One walk; False: it was given up, for another version came, or other partitions are owned by now."""
        owned = frozenset(self._owned())
        rules = {name: rule for name, rule in catalog.segments.items() if why_not_listed(rule, catalog) is None}
        sizes = {partition: Counter[str]() for partition in owned}
        n_visitors = Counter[int]()
        if rules:
            async with aclosing(walk(self._store, self._cpu_share)) as walked:
                async for states in walked:
                    if frozenset(self._owned()) != owned or self._catalogs.current.version != catalog.version:
                        return False
                    for key, state in states.items():
                        partition = partition_of(key, self._n_partitions)
                        if partition in owned and is_listed(state):
                            n_visitors[partition] += 1
                            sizes[partition].update(segments_inside(key, state, rules, catalog, self._now_ms()))
        for partition in owned:
            found = {name: sizes[partition][name] for name in rules}
            await self._store.write(
                partition, SegmentSizes(catalog.version, self._now_ms(), n_visitors[partition], found)
            )
        self._counted = catalog.version, owned
        return True

"""Computes where tiers by shares of all visitors begin, and publishes it as a version of the catalog.

Each projector counts the points of the visitors of its partitions, one small value for each partition. Who owns the
first adds them up, and publishes the catalog in force again with the thresholds found, unless somebody published
another version meanwhile. Entries are stamped with that version like with any other, so a fold stays a function of
the log. A partition that changed hands, or a process that was killed, leaves whole counts, some of them old.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Collection, Mapping
from contextlib import aclosing
from typing import Protocol

from background.cancelling import pause
from eventlog.partition import partition_of
from personalization.audience import rule_scores
from personalization.audience.segment_lists import is_listed
from personalization.audience.variables import VisitorScope
from personalization.catalog.compiled_catalog import CompiledCatalog
from personalization.catalog.compiled_scores import CompiledScore
from personalization.catalog.tier_thresholds import MIN_VISITORS, TierThresholds
from personalization.projecting.points_histogram import PointsHistogram
from personalization.visitor.visitor_key import is_registered
from personalization.visitor.visitor_state import VisitorState
from state.points_store import PointsOfPartition
from state.transient import is_transient
from stream.projecting.visitor_walk import CPU_SHARE, Walked, walk
from stream.wall_clock import wall_clock_ms

logger = logging.getLogger(__name__)

WHO = "nextbest projector"
"""In the history of the catalog."""

MOVED = 0.02
"""Of a threshold: one that moved by less is left where it is."""

BUCKETS = 1 << 17
"""Of points, of all scores and partitions that a projector counts."""

MOST_BUCKETS, FEWEST_BUCKETS = 4_096, 1_024
"""Of one score and partition. A bucket takes up some 20 bytes in Redis, and 200 while it is counted."""

MERGED_BUCKETS = 1 << 16

SOON_S = 2.0
"""Between two walks at least."""

RESTS = 20
"""Times as long as a walk took it rests, within the period: on average it takes a thousandth of a core."""

LOOK_S = 1.0
"""Between two looks whether there is something to do."""


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


class Versions(Protocol):
    """Where versions are published (``state.catalog_store``)."""

    async def set_thresholds(
        self, version: int, thresholds: Mapping[str, TierThresholds], who: str, changes: list[str]
    ) -> int | None:
        """The new version; None if ``version`` is not the newest."""
        ...


class Counts(Protocol):
    """Where counts are kept (``state.points_store``)."""

    async def write(self, partition: int, counted: PointsOfPartition) -> None:
        """Keep what was counted of a partition."""
        ...

    async def read(self, n_partitions: int) -> list[PointsOfPartition | None]:
        """What was counted of each."""
        ...


class QuantileCensus:
    """Counts points in the partitions owned, and publishes thresholds where the first is among them.

    Parameters
    ----------
    owned
        The partitions owned now.
    n_partitions
        How many the log has.
    every_ms
        Between two versions of thresholds at least, unless there are none yet or of half as many visitors.
    cpu_share
        Of a core at most, while it walks.
    """

    def __init__(
        self,
        visitors: Walked,
        counts: Counts,
        catalogs: Catalogs,
        versions: Versions,
        owned: Callable[[], Collection[int]],
        n_partitions: int,
        every_ms: int,
        cpu_share: float = CPU_SHARE,
        now_ms: Callable[[], int] = wall_clock_ms,
    ) -> None:
        self._visitors = visitors
        self._counts = counts
        self._catalogs = catalogs
        self._versions = versions
        self._owned = owned
        self._n_partitions = n_partitions
        self._every_ms = every_ms
        self._cpu_share = cpu_share
        self._now_ms = now_ms
        self._counted: tuple[frozenset[str], frozenset[int]] | None = None
        self._count_due_s = 0.0
        self._judged: tuple[int, frozenset[int]] | None = None
        self._judge_due_s = 0.0

    async def run(self) -> None:
        """Count and publish again and again, until cancelled."""
        while True:
            try:
                if self._catalogs.ready:
                    await self.look()
            except Exception as error:
                if not is_transient(error):
                    raise
                logger.warning("quantile_census_waits", extra={"reason": str(error)})
            await pause(LOOK_S)

    async def look(self) -> None:
        """Do what is due."""
        catalog, owned = self._catalogs.current, frozenset(self._owned())
        if not catalog.scores.by_share or not owned:
            return
        if (_measured(catalog), owned) != self._counted or time.monotonic() >= self._count_due_s:
            began_s = time.monotonic()
            await self.count(catalog)
            self._count_due_s = self._rested(began_s)
        # Others count too, whenever they come to it.
        if 0 in owned and ((catalog.version, owned) != self._judged or time.monotonic() >= self._judge_due_s):
            began_s = time.monotonic()
            await self.publish(catalog)
            self._judged = catalog.version, owned
            self._judge_due_s = self._rested(began_s)

    def _rested(self, began_s: float) -> float:
        now_s = time.monotonic()
        return now_s + min(self._every_ms / 1000, max(SOON_S, RESTS * (now_s - began_s)))

    async def count(self, catalog: CompiledCatalog) -> bool:
        """One walk; False: it was given up, for other points count, or other partitions are owned by now."""
        owned, measured = frozenset(self._owned()), _measured(catalog)
        scores = {score.measured: score for score in catalog.scores.by_share.values()}
        room = min(MOST_BUCKETS, max(FEWEST_BUCKETS, BUCKETS // (len(owned) * len(scores) or 1)))
        counted = {partition: {each: PointsHistogram(room) for each in scores} for partition in owned}
        async with aclosing(walk(self._visitors, self._cpu_share)) as walked:
            async for states in walked:
                if frozenset(self._owned()) != owned or _measured(self._catalogs.current) != measured:
                    return False
                for key, state in states.items():
                    partition = partition_of(key, self._n_partitions)
                    if partition in owned and is_listed(state):
                        self._add(counted[partition], scores, key, state, catalog)
        for partition, found in counted.items():
            await self._counts.write(partition, PointsOfPartition(self._now_ms(), found))
        self._counted = measured, owned
        return True

    def _add(
        self,
        counted: Mapping[str, PointsHistogram],
        scores: Mapping[str, CompiledScore],
        key: str,
        state: VisitorState,
        catalog: CompiledCatalog,
    ) -> None:
        now_ms = max(self._now_ms(), state.now_ms)
        scope = VisitorScope(state, {}, catalog, now_ms, is_registered(key))
        for measured, score in scores.items():
            points = sum(
                factor * rule_scores.value(part, state, now_ms, scope.holds) for factor, part in score.parts
            )
            counted[measured].add(rule_scores.limited(score, points))

    async def publish(self, catalog: CompiledCatalog) -> int | None:
        """Publish thresholds that are missing or have moved; the new version, None: there is nothing to publish."""
        found = await self._counts.read(self._n_partitions)
        thresholds: dict[str, TierThresholds] = {}
        changes: list[str] = []
        for name, score in catalog.scores.by_share.items():
            parts = [None if each is None else each.counted.get(score.measured) for each in found]
            all_visitors = PointsHistogram(MERGED_BUCKETS)
            for part in parts:
                if part is not None:
                    all_visitors.merge(part)
            if None in parts or not self._is_due(score, all_visitors.n_visitors):
                continue  # a partition that nobody counted yet may hold those with the most points
            shares = sorted(share for share in score.shares.values() if share < 1)
            made = TierThresholds(
                score.measured, self._now_ms(), all_visitors.n_visitors, all_visitors.thresholds(shares)
            )
            known = score.thresholds
            if known is None or known.measured != made.measured or _has_moved(known, made):
                thresholds[name] = made
                changes.append(_change(score, made))
        if not thresholds:
            return None
        version = await self._versions.set_thresholds(catalog.version, thresholds, WHO, changes)
        if version is None:
            logger.info("thresholds_overtaken", extra={"catalog_version": catalog.version})
        else:
            logger.info("thresholds_published", extra={"catalog_version": version, "scores": sorted(thresholds)})
        return version

    def _is_due(self, score: CompiledScore, n_visitors: int) -> bool:
        known = score.thresholds
        if n_visitors < MIN_VISITORS:
            return False
        if known is None or known.measured != score.measured or n_visitors >= 2 * known.n_visitors:
            return True
        return self._now_ms() - known.at_ms >= self._every_ms


def _measured(catalog: CompiledCatalog) -> frozenset[str]:
    return frozenset(score.measured for score in catalog.scores.by_share.values())


def _has_moved(before: TierThresholds, after: TierThresholds) -> bool:
    """Whether a threshold is another now.

    >>> before, *after = (TierThresholds("", 0, 500, ((0.1, points),)) for points in (50.0, 50.5, 52.0, None))
    >>> [_has_moved(before, each) for each in after]
    [False, True, True]
    """
    for share, points in after.points:
        was = dict(before.points).get(share)
        if was is None or points is None:
            if was is not points:
                return True
        elif abs(points - was) > MOVED * max(abs(points), abs(was)):
            return True
    return False


def _change(score: CompiledScore, made: TierThresholds) -> str:
    """A line of the history: ``scores.lead: hot from 62 points (was 60), warm from 20, of 512 visitors``."""
    before = dict(score.thresholds.points) if score.thresholds is not None else {}
    points = dict(made.points)
    said = []
    for tier, share in sorted(score.shares.items(), key=lambda each: each[1]):
        if share < 1:
            was = f" (was {_points(before[share])})" if before.get(share, points[share]) != points[share] else ""
            said.append(f"{tier} from {_points(points[share])}{was}")
    return f"scores.{score.name}: {', '.join(said)}, of {made.n_visitors:,} visitors"


def _points(points: float | None) -> str:
    return "no points" if points is None else f"{points:.4g} points"

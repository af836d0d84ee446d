"""Gives windows the past that the log still holds, while everything runs.

A series knows of what happened since it was declared. What the retained log holds of the time before is counted
(``recount``) and given to each visitor by an event in their own log (``giving``), which the folder folds like any
other. Then a version of the catalog is published that says how far back the series reach. Interrupted anywhere, it
has given some what was missing, and claims nothing; run again, it gives the rest.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Sequence
from contextlib import closing
from dataclasses import dataclass

from eventlog.port import LogIdentity, check_identity
from eventlog.topics import VISITOR_LOG
from installation.opened import CatalogOf, Installation, published
from operations.replay.folder_progress import until_folded
from operations.replay.giving import Giving
from operations.replay.interleaved import recount_all
from operations.replay.log_reach import LogReach, reach_of, shown_ms
from operations.replay.passed_on import PassedOn
from operations.replay.recount import Recount
from operations.replay.turn import Turn, only_backfill
from personalization.catalog.compiled_catalog import CompiledCatalog
from personalization.catalog.compiled_series import CompiledSeries
from personalization.errors import Refused
from state.log_identity import LogIdentityStore

ROUNDS = 3
"""What reaches a redirect is appended once more; chains of redirects are straightened as they are found."""

Say = Callable[[str], None]
"""Told what is under way, for people."""


@dataclass(frozen=True, slots=True)
class Backfill:
    """What was done.

    Attributes
    ----------
    series
        The series that reach further back now, as people write them.
    reach
        How far back that is.
    version
        The version of the catalog that says so.
    """

    series: list[str]
    reach: LogReach
    version: int
    n_entries: int
    n_visitors: int
    n_times: int


async def backfill_windows(opened: Installation, say: Say) -> Backfill:
    """Give every visitor the times that the log holds of series declared later.

    Costs as much CPU an entry as folding it. Memory: 20,000 visitors (``visitor_file``), and eight bytes for each
    entry that went on to another key.

    Raises
    ------
    Refused
        If the log reaches no further back than the series, if another backfill or no folder is at work, or if the
        catalog was changed meanwhile.
    """
    async with only_backfill(opened) as turn:
        return await _backfill(opened, say, turn)


async def _backfill(opened: Installation, say: Say, turn: Turn) -> Backfill:
    log, catalog_of = opened.log, published(opened.catalogs)
    identity = await log.identity()
    check_identity(identity, await LogIdentityStore(opened.redis, opened.keys).known())
    version = await opened.catalogs.latest_version()
    if not version:
        raise Refused("no catalog is published: there are no windows to fill")
    catalog = await catalog_of(version)
    reach = await reach_of(log, identity)
    wanted = _declared_after(catalog, reach)
    await _until_in_force(wanted, say)
    say("waiting until the folder has folded what the log holds")
    await until_folded(log, await log.end_offsets(VISITOR_LOG))
    recount, n_entries = await _recount(opened, catalog_of, identity, wanted, reach, say)
    try:
        # What was trimmed while it was read may not be counted: nothing is claimed of that.
        reach = await reach_of(log, identity)
        wanted = _declared_after(catalog, reach)
        giving = Giving(opened, identity, turn, version)
        with closing(recount.missing(reach.since_ms, max(series.declared_ms for series in wanted))) as missing:
            await giving.give(missing, say)
    finally:
        recount.close()
    for _ in range(ROUNDS):
        await until_folded(log, await log.end_offsets(VISITOR_LOG))
    turn.check()
    declared = {series.key.hex(): reach.since_ms for series in wanted}
    reached = await opened.catalogs.reach_back(version, declared, who="nextbest replay --windows")
    if reached is None:
        raise Refused(
            f"another version of the catalog was published while the windows of version {version} were filled: run "
            "this again for the new one; what was given counts once"
        )
    names = sorted(map(_described, wanted))
    return Backfill(names, reach, reached, n_entries, giving.n_visitors, giving.n_times)


def _declared_after(catalog: CompiledCatalog, reach: LogReach) -> list[CompiledSeries]:
    """The series of windows that were declared later than the log begins.

    Raises
    ------
    Refused
        If there is none.
    """
    looked_at = [series for series in catalog.series.values() if series.event]
    if not looked_at:
        raise Refused(f"version {catalog.version} of the catalog has no windows: there is nothing to fill")
    found = [series for series in looked_at if series.declared_ms > reach.least_ms]
    if not found:
        raise Refused(
            "every window reaches back as far as the log already, which holds what happened since "
            f"{shown_ms(reach.least_ms)}: there is nothing to gain; to keep more of it for windows to come, raise "
            "NEXTBEST_LOG_AGE_MS or NEXTBEST_LOG_BYTES"
        )
    return found


async def _until_in_force(wanted: Sequence[CompiledSeries], say: Say) -> None:
    """Until then some processes may not know the series yet, and what they append has to be counted too."""
    wait_s = max(series.declared_ms for series in wanted) / 1000 - time.time()
    if wait_s > 0:
        say(f"waiting {wait_s:.0f} s until the catalog is in force everywhere")
        await asyncio.sleep(wait_s)


async def _recount(
    opened: Installation,
    catalog_of: CatalogOf,
    identity: LogIdentity,
    wanted: Sequence[CompiledSeries],
    reach: LogReach,
    say: Say,
) -> tuple[Recount, int]:
    """Count what the log holds; and of how many entries."""
    log = opened.log
    starts, ends = await log.earliest_offsets(VISITOR_LOG), await log.end_offsets(VISITOR_LOG)
    n_entries = sum(end - start for start, end in zip(starts, ends, strict=True))
    say(f"reading {n_entries:,} entries, twice")
    passed_on = PassedOn(identity.epoch, identity.n_partitions)
    for partition, (start, end) in enumerate(zip(starts, ends, strict=True)):
        async for found in log.read(VISITOR_LOG, partition, start, end):
            passed_on.note(found.key, found.value)
    passed_on.all_noted()
    recount = Recount(wanted, identity.epoch, identity.n_partitions, passed_on, complete=not reach.since_ms)
    try:
        n_taken = await recount_all(log, recount, catalog_of, starts, ends, _Progress(say, n_entries).reached)
    except BaseException:
        recount.close()
        raise
    return recount, n_taken


class _Progress:
    """Says every tenth of the way, on long ones."""

    def __init__(self, say: Say, n_all: int) -> None:
        self._say = say
        self._step = max(100_000, n_all // 10)
        self._next = self._step

    def reached(self, n: int) -> None:
        """So many are done."""
        if n >= self._next:
            self._say(f"{n:,} entries counted")
            self._next = n + self._step


def _described(series: CompiledSeries) -> str:
    of = f", {'.'.join(series.path)}" if series.path else ""
    where = f" where {series.where.source}" if series.where is not None else ""
    return f"{series.event}{of}{where}"

"""The spool as one of the process's background tasks: kept running, and watched for how full it is."""

from __future__ import annotations

import asyncio
import time

from eventlog.spool import Spool

STUCK_S = 5.0
HALF = 0.5


async def run_spool(spool: Spool) -> None:
    """Append what is put, until the spool is drained; raises what ended it."""
    if spool._closing.is_set():
        return
    spool._task = None  # one that ended is not started twice
    spool.start()
    task = _task_of(spool)
    try:
        await asyncio.shield(task)
    except asyncio.CancelledError:
        if not spool._closing.is_set():
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)
            raise


def _task_of(spool: Spool) -> asyncio.Task[None]:
    assert spool._task is not None
    return spool._task


def fill_share(spool: Spool) -> float:
    """How full it is, 0 to 1: of its memory, which is emptied to disk in time, or of its disk."""
    disk = spool._disk
    return max(spool._memory_bytes / spool._max_memory_bytes, disk.n_bytes / disk._max_bytes)


class SpoolWatch:
    """Notices a spool that fills, or that the log takes nothing from."""

    def __init__(self, spool: Spool) -> None:
        self._spool = spool
        self._n_appended = -1
        self._moved_s = time.monotonic()

    def look(self) -> None:
        """See whether anything went through since the last look."""
        if self._spool.n_appended != self._n_appended or not self._spool.n_waiting:
            self._n_appended = self._spool.n_appended
            self._moved_s = time.monotonic()

    def problem(self) -> str | None:
        """What is not well, for everybody to read."""
        n_waiting, share = self._spool.n_waiting, fill_share(self._spool)
        stands_s = time.monotonic() - self._moved_s
        if share > HALF:
            return f"it is {share:.0%} full: {n_waiting} records wait for the log; at 100% decisions go unlogged"
        if n_waiting and stands_s > STUCK_S:
            return f"{n_waiting} records wait for the log, which has taken none for {stands_s:.0f} s"
        return None

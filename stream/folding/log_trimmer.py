"""Tells a log that does not look at the time itself what is too old: entries go though nothing is appended."""

from __future__ import annotations

from collections.abc import Callable, Collection

from background.cancelling import pause
from eventlog.port import EventLog, TrimsByAge
from personalization.catalog.duration import MINUTE_MS
from state.transient import is_transient
from stream.metrics import FolderMetrics
from stream.wall_clock import wall_clock_ms

SHARE = 64
"""Of the age of entries: how late they may be trimmed, but for a minute that nobody minds."""


class LogTrimmer:
    """Trims all topics by age; runs beside the folder that owns the first partition.

    Parameters
    ----------
    owned
        The partitions owned now.
    log_age_ms
        How long entries are kept.
    """

    def __init__(
        self,
        log: EventLog,
        owned: Callable[[], Collection[int]],
        metrics: FolderMetrics,
        log_age_ms: int,
        now_ms: Callable[[], int] = wall_clock_ms,
    ) -> None:
        self._log = log
        self._owned = owned
        self._metrics = metrics
        self._every_s = max(1_000, min(MINUTE_MS, log_age_ms // SHARE)) / 1_000
        self._now_ms = now_ms

    async def run(self) -> None:
        """Trim once a minute, more often where entries are kept for less than an hour, until cancelled."""
        while True:
            try:
                await self.trim()
            except Exception as error:
                if not is_transient(error):
                    raise
                self._metrics.retries.labels("trimmer").inc()
            await pause(self._every_s)

    async def trim(self) -> None:
        """Trim once, if the first partition is ours and the log needs to be told."""
        if 0 in self._owned() and isinstance(self._log, TrimsByAge):
            await self._log.trim_by_age(self._now_ms())

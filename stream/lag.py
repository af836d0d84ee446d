"""How far a worker is behind the log, measured every second: a gauge, and what readiness asks."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Collection, Mapping

from prometheus_client import Gauge

from background.cancelling import pause
from eventlog.port import EventLog, LogIdentity
from personalization.errors import EpochClosed
from state.transient import is_transient

LAG_POLL_S = 1.0
FIRST_POLL_S = 0.1
"""Until it is known for the first time: a start waits for it."""

SILENT_S = 3.0
"""A look takes milliseconds: one under way for this long waits for a server that hangs."""

READY_LAG_ENTRIES = 5_000
"""A worker further behind than about a second of full load is not ready: what it serves is stale."""


class LagWatch:
    """Watches the partitions owned.

    Parameters
    ----------
    owned
        The partitions owned now.
    reached
        Per partition, the offset up to which everything is done.
    identity
        The log that is read: a worker that only waits would not notice that it is over.
    """

    def __init__(
        self,
        log: EventLog,
        group: str,
        topic: str,
        owned: Callable[[], Collection[int]],
        reached: Callable[[], Mapping[int, int]],
        gauge: Gauge,
        identity: LogIdentity | None = None,
    ) -> None:
        self._log = log
        self._group = group
        self._topic = topic
        self._owned = owned
        self._reached = reached
        self._gauge = gauge
        self._identity = identity
        self._shown: set[int] = set()
        self.entries: int | None = None
        """Over all partitions owned; None while not known."""
        self._looked_s = 0.0

    async def look(self) -> None:
        """Measure once."""
        self._looked_s = asyncio.get_running_loop().time()
        owned = sorted(self._owned())
        if not owned:
            self.entries = None
            return
        if self._identity is not None and await self._log.identity(anew=True) != self._identity:
            raise EpochClosed("another epoch of the log was opened, or it was lost: this worker starts again")
        ends = await self._log.end_offsets(self._topic)
        committed = await self._log.committed_offsets(self._group, self._topic)
        reached = self._reached()
        total = 0
        for partition in owned:
            done = max((committed[partition] or 0), reached.get(partition, -1) + 1)
            lag = max(0, ends[partition] - done)
            self._gauge.labels(str(partition)).set(lag)
            total += lag
        for partition in self._shown - set(owned):
            self._gauge.remove(str(partition))
        self._shown = set(owned)
        self.entries = total

    async def run(self) -> None:
        """Measure every second until cancelled; more often while it is not known."""
        while True:
            try:
                await self.look()
            except Exception as error:
                if not is_transient(error):
                    raise
                self.entries = None
            await pause(FIRST_POLL_S if self.entries is None else LAG_POLL_S)

    def not_ready(self) -> str | None:
        """Why a worker with this lag is not ready."""
        if not self._owned():
            return "no partitions assigned: starting, or standing by for another worker's"
        silent_s = asyncio.get_running_loop().time() - self._looked_s
        if self.entries is None:
            return "the log does not say how far behind this worker is"
        if silent_s > SILENT_S:
            return f"the log has not answered for {silent_s:.0f} s"
        if self.entries > READY_LAG_ENTRIES:
            return f"{self.entries} entries behind the log"
        return None

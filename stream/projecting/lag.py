"""How far the projector is behind the log, in entries and in seconds, looked at every second."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable, Collection, Mapping

from prometheus_client import Gauge

from background.cancelling import pause
from eventlog.port import EventLog, LogIdentity
from personalization.errors import EpochClosed
from state.projection_store import Place
from state.transient import is_transient

LOOK_S = 1.0

SILENT_S = 10.0
"""A look takes milliseconds: after this long without one the log does not answer."""


class ProjectorLag:
    """Watches the partitions held.

    Parameters
    ----------
    held
        The partitions held now.
    reached
        By partition, the offset that is read next.
    tidy
        Given where each partition held begins, now and then.
    """

    def __init__(
        self,
        log: EventLog,
        identity: LogIdentity,
        held: Callable[[], Collection[Place]],
        reached: Callable[[], Mapping[Place, int]],
        gauge: Gauge,
        tidy: Callable[[Mapping[Place, int]], Awaitable[None]],
        tidy_every_s: float,
        clock_s: Callable[[], float] = time.monotonic,
    ) -> None:
        self._log = log
        self._identity = identity
        self._held = held
        self._reached = reached
        self._gauge = gauge
        self._tidy = tidy
        self._tidy_every_s = tidy_every_s
        self._clock_s = clock_s
        self._looked_s: float | None = None
        self._ends: dict[Place, int] = {}
        self._current_s: float | None = None
        self._tidied_s = clock_s()

    async def run(self) -> None:
        """Look every second until cancelled, and let rows go that are of no use."""
        while True:
            try:
                await self.look()
                if self._clock_s() - self._tidied_s >= self._tidy_every_s:
                    self._tidied_s = self._clock_s()
                    await self._tidy(await self.earliest())
            except Exception as error:
                if not is_transient(error):
                    raise
            await pause(LOOK_S)

    async def look(self) -> None:
        """Look once.

        Raises
        ------
        EpochClosed
            If the log that is read is over.
        """
        now_s = self._clock_s()
        if await self._log.identity(anew=True) != self._identity:
            raise EpochClosed("another epoch of the log was opened, or it was lost: this worker starts again")
        self._note()
        ends = await self.ends()
        if self._looked_s is None:
            self._current_s = now_s
        self._ends, self._looked_s = ends, now_s
        behind: dict[int, int] = {}
        reached = self._reached()
        for place, end in ends.items():
            behind[place.partition] = behind.get(place.partition, 0) + max(0, end - reached.get(place, 0))
        for partition, n_entries in behind.items():
            self._gauge.labels(str(partition)).set(n_entries)

    def behind_s(self) -> float:
        """How old what is projected is, at most; 0 while no partition is held."""
        self._note()
        if self._current_s is None or not self._held():
            return 0.0
        return max(0.0, self._clock_s() - self._current_s)

    def not_ready(self) -> str | None:
        """Why the projector is not ready, in words. That it is behind is none: nobody waits for it."""
        if not self._held():
            return "no partitions assigned: starting, or standing by for another worker's"
        if self._looked_s is None or self._clock_s() - self._looked_s > SILENT_S:
            return "the log does not say where it ends"
        return None

    async def ends(self) -> dict[Place, int]:
        """Where each partition held ends."""
        return await self._of_held(self._log.end_offsets)

    async def earliest(self) -> dict[Place, int]:
        """Where each partition held begins."""
        return await self._of_held(self._log.earliest_offsets)

    async def _of_held(self, offsets_of: Callable[[str], Awaitable[list[int]]]) -> dict[Place, int]:
        held = set(self._held())
        topics = sorted({place.topic for place in held})
        offsets = dict(zip(topics, await asyncio.gather(*map(offsets_of, topics)), strict=True))
        return {place: offsets[place.topic][place.partition] for place in sorted(held)}

    def _note(self) -> None:
        """Where the log ended at the last look has been reached: what is projected is as old as that look."""
        reached = self._reached()
        if self._looked_s is not None and all(reached.get(place, 0) >= end for place, end in self._ends.items()):
            self._current_s = self._looked_s

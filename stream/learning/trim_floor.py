"""Up to where ``outcomes`` may be trimmed, and whether that is what keeps it full.

A log on Redis Streams that stands at its bound takes nothing more until something may go, and nothing may go that
the learner may still need. So whoever is waited for here must not wait for new outcomes itself.
"""

from __future__ import annotations

import logging
from collections.abc import Iterable

from eventlog.port import EventLog
from eventlog.topics import OUTCOMES
from stream.learning.held_model import HeldModel
from stream.learning.held_partition import HeldPartition
from stream.metrics import LearnerMetrics
from stream.patience import Patience

logger = logging.getLogger(__name__)

FULL_SHARE = 0.9
"""Of its bound: a busy log always stands near it, and trims itself as long as it may."""

ROOM_SHARE = 1 / 16
"""Of what a partition holds: four of the 64 segments it is trimmed by."""


class TrimFloor:
    """Raises the floor of each partition by what is durable."""

    def __init__(self, log: EventLog, metrics: LearnerMetrics) -> None:
        self._log = log
        self._metrics = metrics
        self._patiently = Patience(metrics.retries, metrics.waiting)
        self._floors: dict[int, int] = {}

    def of(self, held: HeldPartition, *, pass_aside: bool = False) -> int:
        """The first offset that may still be needed, by the checkpoint that is stored.

        Parameters
        ----------
        pass_aside
            Leave out models that were put aside: where they begin again, the log may then hold nothing.
        """
        if held.header is None:
            return 0
        needed = [held.header.position]
        for key, saved in held.header.models.items():
            if not (pass_aside and _is_aside(held.models.get(key))):
                needed.append(saved.safe_position)
        return min(needed) + 1

    async def follow(self, held: HeldPartition) -> None:
        """Let go of what the stored checkpoint needs no more."""
        await self._raise(held, self.of(held))

    async def pass_aside(self, held: HeldPartition) -> None:
        """Let go of what only models that were put aside still need: the log is full, and the others go on."""
        floor = self.of(held, pass_aside=True)
        passed = [
            key for key, model in held.models.items() if model.is_aside and model.saved().safe_position + 1 < floor
        ]
        if passed:
            logger.error(
                "log_full_passes_models", extra={"partition": held.number, "keys": sorted(passed), "floor": floor}
            )
        await self._raise(held, floor)

    async def _raise(self, held: HeldPartition, floor: int) -> None:
        if floor > self._floors.get(held.number, 0):
            await self._patiently("log", self._log.set_trim_floor, OUTCOMES, held.number, floor)
            self._floors[held.number] = floor

    async def blocking(self, partitions: Iterable[HeldPartition]) -> list[int]:
        """Numbers of the partitions whose floor lets next to nothing go while the log is near its bound.

        Only those of which more was learned than the floor says: of the others nothing can be let go.
        """
        if await self._log.fill_share(OUTCOMES) < FULL_SHARE:
            return []
        earliest = await self._log.earliest_offsets(OUTCOMES)
        ends = await self._log.end_offsets(OUTCOMES)
        found = []
        for held in partitions:
            first, end = earliest[held.number], ends[held.number]
            floor = self._floors.get(held.number, 0)
            if floor - first < ROOM_SHARE * (end - first) and floor <= held.position:
                found.append(held.number)
        return found

    def forget(self, number: int) -> None:
        """The partition went to another learner."""
        self._floors.pop(number, None)


def _is_aside(model: HeldModel | None) -> bool:
    return model is not None and model.is_aside

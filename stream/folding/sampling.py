"""Which outcomes reach the learner while there are more than it, or the log, can take.

Above capacity an outcome is kept by the hash of its decision's id, before it is emitted, with a share q that it
carries as its weight 1/q. Neither reward nor context has a say, so what is learned from the kept ones is the same,
from fewer observations; and the learner, slow or dead, never stops folding and collecting.
"""

from __future__ import annotations

import logging
from typing import Protocol

from background.cancelling import pause
from eventlog.topics import OUTCOMES
from personalization.bounded import short_hash
from state.transient import is_transient
from stream.metrics import FolderMetrics

logger = logging.getLogger(__name__)

LOOK_S = 1.0

BEHIND_ENTRIES = 20_000
"""A learner commits every 10 s or 5,000 outcomes, so some thousands are always open: this many are not passing."""

CAUGHT_UP_ENTRIES = 10_000
LEAST_SHARE = 1 / 64

ROOMY_FILL = 0.5
"""Of the log's bound: a topic fuller than this is thinned, more with every twelfth that it fills further."""


class Log(Protocol):
    """The part of the log that is asked."""

    async def fill_share(self, topic: str) -> float:
        """How full the fullest partition of a topic is."""

    async def end_offsets(self, topic: str) -> list[int]:
        """Where it ends."""

    async def committed_offsets(self, group: str, topic: str) -> list[int | None]:
        """Up to where the group has read."""


class Share:
    """The share in force: by the room that is left, and by whether the learner keeps up.

    It is a power of two, so that what is kept at a smaller share is kept at a larger one too.

    Examples
    --------
    >>> share = Share()
    >>> share.look(fill=0.2, behind=30_000, committed=100)
    >>> share.look(fill=0.2, behind=40_000, committed=200)      # it learns, and falls further behind
    >>> share.value
    0.5
    >>> share.look(fill=0.2, behind=90_000, committed=200)      # it does not learn: what counts is room
    >>> share.value
    0.5
    >>> share.look(fill=0.8, behind=100_000, committed=200)
    >>> share.value
    0.0625
    >>> share.look(fill=0.1, behind=5_000, committed=100_000)
    >>> share.value
    1.0
    """

    def __init__(self) -> None:
        self.value = 1.0
        self._by_lag = 1.0
        self._behind = 0
        self._committed = 0

    def look(self, fill: float, behind: int, committed: int) -> None:
        """Take in how full ``outcomes`` is, how many entries are not learned yet, and how many ever were."""
        if committed != self._committed:  # between two commits the lag only grows
            if behind > BEHIND_ENTRIES and behind > self._behind > BEHIND_ENTRIES:
                self._by_lag = max(LEAST_SHARE, self._by_lag / 2)
            elif behind < CAUGHT_UP_ENTRIES:
                self._by_lag = min(1.0, self._by_lag * 2)
            self._behind, self._committed = behind, committed
        self.value = max(LEAST_SHARE, min(self._by_lag, _by_room(fill)))

    def halve(self) -> bool:
        """The log took no more: keep half; False at the least share."""
        if self.value <= LEAST_SHARE:
            return False
        self.value /= 2
        return True

    def keeps(self, record_id: str) -> bool:
        """Whether what this id names is kept."""
        return self.value >= 1.0 or int.from_bytes(short_hash(record_id)) < self.value * 2**64


def _by_room(fill: float) -> float:
    """1 while less than half is full; then half of it with each twelfth more, down to 1/64.

    >>> [_by_room(fill) for fill in (0.0, 0.5, 0.51, 0.6, 0.99, 1.4)]
    [1.0, 1.0, 0.5, 0.25, 0.015625, 0.015625]
    """
    if fill <= ROOMY_FILL:
        return 1.0
    steps = 1 + int((fill - ROOMY_FILL) / (1.0 - ROOMY_FILL) * 6)
    return float(max(LEAST_SHARE, 0.5**steps))


class OutcomeSampling:
    """Keeps the share up to date.

    Parameters
    ----------
    group
        The learner's, whose commits tell how far it is.
    """

    def __init__(self, log: Log, group: str, metrics: FolderMetrics) -> None:
        self._log = log
        self._group = group
        self._metrics = metrics
        self.share = Share()

    async def look(self) -> None:
        """Measure once."""
        fill = await self._log.fill_share(OUTCOMES)
        ends = await self._log.end_offsets(OUTCOMES)
        committed = [offset or 0 for offset in await self._log.committed_offsets(self._group, OUTCOMES)]
        behind = sum(max(0, end - offset) for end, offset in zip(ends, committed, strict=True))
        before = self.share.value
        self.share.look(fill, behind, sum(committed))
        self._metrics.outcome_share.set(self.share.value)
        if self.share.value != before:
            logger.warning(
                "outcome_share", extra={"share": self.share.value, "fill": round(fill, 2), "behind": behind}
            )

    async def run(self) -> None:
        """Measure every second until cancelled."""
        while True:
            try:
                await self.look()
            except Exception as error:
                if not is_transient(error):
                    raise
            await pause(LOOK_S)

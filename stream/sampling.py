"""What a learner that cannot keep up still learns: a random share of the outcomes, and it says so.

Which ones is decided by their ids alone, so neither reward nor context has a say: the model estimates the same
thing from fewer observations, and its uncertainty is that of what it has seen. (Weights of 1/share would keep the
sums of all outcomes, and claim a certainty that nobody has; few River estimators take them.)
"""

from __future__ import annotations

import zlib

BEHIND_ENTRIES = 10_000
"""Some seconds of work: a lag beyond it that still grows is no passing peak."""

CAUGHT_UP_ENTRIES = 1_000
LEAST_SHARE = 1 / 64


class Sampling:
    """The share in force, halved while the lag is large and grows, doubled once it is caught up.

    Examples
    --------
    >>> sampling = Sampling()
    >>> for lag_entries in (0, 12_000, 15_000, 20_000):
    ...     sampling.look(lag_entries)
    >>> sampling.share
    0.25
    >>> sampling.look(500)
    >>> sampling.share
    0.5
    """

    def __init__(self) -> None:
        self.share = 1.0
        self._last = 0

    def look(self, lag_entries: int) -> None:
        """Take in how far the learner is behind; asked about every second."""
        if lag_entries > BEHIND_ENTRIES and lag_entries > self._last > BEHIND_ENTRIES:
            self.share = max(LEAST_SHARE, self.share / 2)
        elif lag_entries < CAUGHT_UP_ENTRIES:
            self.share = min(1.0, self.share * 2)
        self._last = lag_entries

    def takes(self, outcome_id: str) -> bool:
        """Whether this outcome is among those learned."""
        return self.share >= 1.0 or zlib.crc32(outcome_id.encode()) < self.share * 2**32

"""Token buckets, each one number: the moment from which it is full (generic cell rate algorithm, ITU-T I.371)."""

from __future__ import annotations

import itertools
from collections import OrderedDict
from dataclasses import dataclass

from personalization.catalog.rate import Rate

MAX_BUCKETS = 65_536
"""Of addresses, in one process: 13 MB."""

LONGEST_DEBT_S = 60.0
"""What was taken before its size was known is paid for within this."""

_LOOKED_AT = 8
_ROUNDING_S = 1e-6


@dataclass(frozen=True, slots=True)
class Pace:
    """A rate as buckets count it.

    Attributes
    ----------
    token_s
        Until one token has come back.
    bucket_s
        Until an empty bucket is full.
    """

    token_s: float
    bucket_s: float

    @classmethod
    def of(cls, rate: Rate) -> Pace | None:
        """None where there is no limit."""
        return cls(rate.within_ms / 1000 / rate.limit, rate.within_ms / 1000) if rate.is_limited else None


class Buckets:
    """Buckets by name, each full when it is first named. At ``most`` of them the fullest makes room.

    What is forgotten is full when it is named again, so the one nearest to being full matters least. It is the
    fullest of eight, those looked at longest ago: to look at all would take milliseconds.

    >>> buckets, pace = Buckets(), Pace(token_s=1.0, bucket_s=2.0)
    >>> [buckets.wait_s("a", pace, now) for now in (0.0, 0.0, 0.0, 1.0)]
    [0.0, 0.0, 1.0, 0.0]
    """

    def __init__(self, most: int = MAX_BUCKETS) -> None:
        self._most = most
        self._full_at: OrderedDict[tuple[str, str], float] = OrderedDict()  # whose head is found at once

    def __len__(self) -> int:
        return len(self._full_at)

    def wait_s(self, name: tuple[str, str], pace: Pace, now: float) -> float:
        """Take a token: 0, or how long it is until there is one. ``now`` in seconds, on any steady clock."""
        full_at = self._full_at.get(name)
        if full_at is None:
            if len(self._full_at) >= self._most:
                self._forget_one()
            full_at = now
        elif full_at < now:
            full_at = now
        full_at += pace.token_s
        over_s = full_at - now - pace.bucket_s
        if over_s > _ROUNDING_S:
            return over_s
        self._full_at[name] = full_at
        return 0.0

    def charge(self, name: tuple[str, str], pace: Pace, n_tokens: int, now: float) -> None:
        """Take tokens whether they are there or not: what is owed comes back first."""
        full_at = max(self._full_at.get(name, now), now) + n_tokens * pace.token_s
        self._full_at[name] = min(full_at, now + pace.bucket_s + LONGEST_DEBT_S)

    def _forget_one(self) -> None:
        table = self._full_at
        looked_at = list(itertools.islice(table, _LOOKED_AT))
        fullest = min(looked_at, key=table.__getitem__)
        for name in looked_at:
            table.move_to_end(name)
        del table[fullest]

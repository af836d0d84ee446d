"""When something happened lately, and how much it was: the newest few, in little room."""

from __future__ import annotations

import itertools
from collections import Counter
from collections.abc import Sequence

import msgspec


class Times(msgspec.Struct, array_like=True):
    """Moments, newest first, with an amount each if they have any.

    Attributes
    ----------
    newest_ms
        The newest moment.
    gaps_ms
        From each moment back to the one before it: a small number takes little room.
    amounts
        In the same order; empty if nothing but the moments is kept.
    """

    newest_ms: int
    gaps_ms: list[int] = []
    amounts: list[float] = []

    def moments(self) -> list[int]:
        """The moments, newest first.

        >>> Times(100, [10, 5]).moments()
        [100, 90, 85]
        """
        moments = [self.newest_ms]
        for gap_ms in self.gaps_ms:
            moments.append(moments[-1] - gap_ms)
        return moments

    def nth_ms(self, n: int) -> int | None:
        """The n-th newest moment, n ≥ 1; None if there are fewer.

        >>> Times(100, [10, 5]).nth_ms(3), Times(100).nth_ms(2)
        (85, None)
        """
        if n == 1:
            return self.newest_ms
        gaps_ms = self.gaps_ms
        return self.newest_ms - sum(gaps_ms[: n - 1]) if n <= len(gaps_ms) + 1 else None

    def __len__(self) -> int:
        return len(self.gaps_ms) + 1


def times_of(moments: Sequence[int], amounts: Sequence[float] = ()) -> Times:
    """The inverse of ``moments``; at least one.

    >>> times_of([100, 90, 85]) == Times(100, [10, 5])
    True
    """
    return Times(moments[0], [later - earlier for later, earlier in itertools.pairwise(moments)], list(amounts))


def add(times: Times | None, at_ms: int, amount: float | None, n_kept: int) -> Times:
    """The newest ``n_kept`` of ``times``, which may be changed in place, and one more, wherever it falls.

    >>> add(Times(100, [10]), 95, None, 2).moments(), add(Times(100, [10]), 105, None, 2).moments()
    ([100, 95], [105, 100])
    """
    if times is not None and amount is None and at_ms >= times.newest_ms and not times.amounts:
        # As events come: the newest last.
        gaps_ms = times.gaps_ms
        gaps_ms.insert(0, at_ms - times.newest_ms)
        del gaps_ms[n_kept - 1 :]
        times.newest_ms = at_ms
        return times
    more = Times(at_ms, [], [] if amount is None else [amount])
    return more if times is None else join(times, more, n_kept)


def join(ours: Times, theirs: Times, n_kept: int) -> Times:
    """The newest ``n_kept`` of both; what happened at once stays apart.

    >>> join(Times(100, [10], [1.0, 2.0]), Times(100, [], [5.0]), 2)
    Times(newest_ms=100, gaps_ms=[0], amounts=[1.0, 5.0])
    """
    moments = [*ours.moments(), *theirs.moments()]
    order = sorted(range(len(moments)), key=lambda index: -moments[index])[:n_kept]
    amounts = [*ours.amounts, *theirs.amounts]
    kept = [amounts[index] for index in order] if len(amounts) == len(moments) else []
    return times_of([moments[index] for index in order], kept)


def without(ours: Times, theirs: Times | None, after_ms: int) -> Times | None:
    """What ``ours`` holds after ``after_ms`` and ``theirs`` lacks; None if that is nothing.

    Each of theirs takes one of ours away that happened at the same moment and has the same amount.

    >>> without(Times(100, [0, 5, 15]), Times(100, [5]), 90)
    Times(newest_ms=100, gaps_ms=[], amounts=[])
    """
    taken = Counter() if theirs is None else Counter(_pairs(theirs))
    left = []
    for at_ms, amount in _pairs(ours):
        if taken[at_ms, amount]:
            taken[at_ms, amount] -= 1
        elif at_ms > after_ms:
            left.append((at_ms, amount))
    if not left:
        return None
    return times_of([at_ms for at_ms, _ in left], [amount for _, amount in left if amount is not None])


def _pairs(times: Times) -> list[tuple[int, float | None]]:
    amounts = times.amounts or itertools.repeat(None)
    return list(zip(times.moments(), amounts, strict=False))  # without amounts each has None

"""How the arms of each placement fared in the last hour, and which of them rise or fall."""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from typing import NamedTuple

from personalization.catalog.duration import HOUR_MS, MINUTE_MS
from personalization.catalog.split import CONTROL
from personalization.projecting.arms import ArmOfSide, ArmSums, arms_in, buckets_over
from personalization.projecting.sums import ReadSums

RECENT_MS = 10 * MINUTE_MS
"""What the hour is compared with, to say whether an arm rises or falls."""

FEW = 30
"""Decisions of a placement in that time below which no trend is told."""

NOTABLE = 2.0
"""Standard errors between the two shares from which on it is one."""

SETTLED_MS = 3 * MINUTE_MS
"""After so long a minute is read no more: the projector is rarely further behind, and says so if it is."""

AT_ONCE = 500
"""Buckets that are read in one round trip."""

MAX_PLACEMENTS = 50
"""The first of the catalog so many: a screen has no room for more."""

ReadBuckets = Callable[[Sequence[str]], Awaitable[list[ReadSums]]]
ReadPlacements = Callable[[], Awaitable[Sequence[str]]]

Sums = Mapping[ArmOfSide, ArmSums]


class ArmRow(NamedTuple):
    """One arm.

    Attributes
    ----------
    share
        Of the placement's decisions, without those of who is held out.
    trend
        1: its share rises, -1: it falls, 0: neither, None: too few to tell.
    reward
        Mean of its closed decisions; None: none has closed.
    error
        Standard error of it, as if each were another person's: too small where the same people bring many.
        None: of a single decision nobody can tell.
    """

    arm: str
    n_decisions: float
    share: float
    trend: int | None
    reward: float | None
    error: float | None


class PlacementBoard(NamedTuple):
    """The arms of a placement, those chosen most first."""

    placement: str
    n_decisions: float
    arms: Sequence[ArmRow]


class ArmsBoard:
    """Reads what the projector has added up; minutes that are settled are read once.

    Parameters
    ----------
    placements
        Names those that there are.
    """

    def __init__(self, read: ReadBuckets, placements: ReadPlacements) -> None:
        self._read = read
        self._placements = placements
        self._kept: dict[str, Sums] = {}

    async def boards(self, now_ms: int) -> list[PlacementBoard]:
        """All placements, those with most decisions first; raises what reading does."""
        placements = (await self._placements())[:MAX_PLACEMENTS]
        hour = {name: placement for placement in placements for name in buckets_over(placement, HOUR_MS, now_ms)}
        unsettled = {name for placement in placements for name in buckets_over(placement, SETTLED_MS, now_ms)}
        wanted = [name for name in hour if name in unsettled or name not in self._kept]
        kept = {name: sums for name, sums in self._kept.items() if name in hour}
        for at in range(0, len(wanted), AT_ONCE):
            names = wanted[at : at + AT_ONCE]
            for name, sums in zip(names, await self._read(names), strict=True):
                kept[name] = arms_in([sums], hour[name])
        self._kept = kept
        recent = [kept[name] for each in placements for name in buckets_over(each, RECENT_MS, now_ms)]
        return boards_of(kept.values(), recent)


def boards_of(hour: Iterable[Sums], recent: Iterable[Sums]) -> list[PlacementBoard]:
    """What the sums of an hour say, and of its last minutes."""
    of_hour, of_recent = _added(hour), _added(recent)
    boards = []
    for placement, arms in of_hour.items():
        n, lately = _n(arms), of_recent.get(placement, {})
        rows = [_row(arm, sums, n, lately) for arm, sums in arms.items() if sums.n_decisions]
        rows.sort(key=lambda row: (-row.share, row.arm))
        boards.append(PlacementBoard(placement, n, rows))
    return sorted(boards, key=lambda board: (-board.n_decisions, board.placement))


def _row(arm: str, sums: ArmSums, n: float, lately: Mapping[str, ArmSums]) -> ArmRow:
    share, n_lately = sums.n_decisions / n, _n(lately)
    trend = None
    if n_lately >= FEW:
        difference = (lately[arm].n_decisions if arm in lately else 0.0) / n_lately - share
        error = math.sqrt(max(share * (1 - share), 1 / n) / n_lately)
        trend = 0 if abs(difference) < NOTABLE * error else (1 if difference > 0 else -1)
    if not sums.n_outcomes:
        return ArmRow(arm, sums.n_decisions, share, trend, None, None)
    reward = sums.reward / sums.n_outcomes
    variance = max(0.0, sums.reward_squares / sums.n_outcomes - reward * reward)
    n_equal = sums.n_outcomes * sums.n_outcomes / sums.n_squares
    of_mean = math.sqrt(variance / (n_equal - 1)) if n_equal > 1 else None
    return ArmRow(arm, sums.n_decisions, share, trend, reward, of_mean)


def _n(arms: Mapping[str, ArmSums]) -> float:
    return sum(sums.n_decisions for sums in arms.values())


def _added(buckets: Iterable[Sums]) -> dict[str, dict[str, ArmSums]]:
    """By placement and arm, all sides but the one that is held out together."""
    found: defaultdict[str, dict[str, ArmSums]] = defaultdict(dict)
    for sums in buckets:
        for of, one in sums.items():
            if of.side == CONTROL:
                continue
            total = found[of.placement].setdefault(of.arm, ArmSums(calibration=[]))
            total.n_decisions += one.n_decisions
            total.n_outcomes += one.n_outcomes
            total.n_squares += one.n_squares
            total.reward += one.reward
            total.reward_squares += one.reward_squares
    return dict(found)

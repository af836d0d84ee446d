"""How much of what each arm was taught came from its few busiest visitors."""

from __future__ import annotations

import struct
from collections.abc import Collection, Iterable
from heapq import nlargest
from typing import Any, NamedTuple

from online_models.distinct_count import DistinctCount
from online_models.frequent_items import FrequentItems
from personalization.catalog.duration import DAY_MS
from personalization.events.outcome import Outcome

TOP = 0.01
"""The visitors that are looked at."""

OUTCOMES, REWARDS = 4_096, 2_048
"""Pairs of arm and visitor remembered of a day, twice as many at most: 0.4 MB of a checkpoint for two days."""

MAX_ARMS = 4_096
"""Arms looked at in a day: those that came first."""

_NUMBER = struct.Struct("<I")


class ArmDay:
    """What one arm was taught on one day, UTC."""

    __slots__ = ("earners", "number", "outcomes", "rewards", "visitors")

    def __init__(self, number: int) -> None:
        self.number = _NUMBER.pack(number)
        self.outcomes = self.rewards = 0.0
        self.visitors, self.earners = DistinctCount(), DistinctCount()


class Day:
    """What all arms were taught on one day, and by whom most."""

    __slots__ = ("arms", "earned", "taught")

    def __init__(self) -> None:
        self.arms: dict[str, ArmDay] = {}
        self.taught, self.earned = FrequentItems(OUTCOMES), FrequentItems(REWARDS)


class Share(NamedTuple):
    """What came from the 1 % of visitors that brought most.

    Attributes
    ----------
    whole
        What came from all of them.
    n_visitors
        How many they are, within 9 %.
    of_top
        What came of the whole from the top: that hundredth of them, one at least; [0, 1].
    """

    whole: float
    n_visitors: float
    of_top: float


class ArmShares(NamedTuple):
    """Of one arm; its rewards by amount, and their visitors are those that brought any."""

    outcomes: Share
    rewards: Share


class Concentration:
    """Which share of what each arm learned today and the day before (UTC) came from its busiest visitors.

    Outcomes of known visitors count, by ``sample_weight``, whoever is believed and whoever is bounded. Beyond 4,096
    pairs of arm and visitor a day, what one brought is short of the truth by less than 1/4,096 of all the placement
    learned that day (rewards: 1/2,048 of all they were worth), so that a share is never said too large but for the
    9 % of the number of visitors. Whom this leaves out brought next to nothing.

    Examples
    --------
    >>> Concentration().shares()
    {}
    """

    def __init__(self) -> None:
        self._day = 0
        self._today, self._before = Day(), Day()
        self.is_free = False
        """Whether the catalog bounds nobody, as of the last outcome."""

    def add(self, outcome: Outcome, amount: float) -> None:
        """One more outcome was learned; ``amount`` is how far its reward is from none."""
        self._turn_to(outcome.closed_at_ms // DAY_MS)
        self.is_free = outcome.free
        unit = outcome.unit
        if not unit:
            return
        day = self._today
        arm = day.arms.get(outcome.choice.arm)
        if arm is None:
            if len(day.arms) >= MAX_ARMS:
                return
            arm = day.arms[outcome.choice.arm] = ArmDay(len(day.arms))
        weight, pair = outcome.sample_weight, arm.number + unit[:4]
        arm.outcomes += weight
        arm.visitors.add(unit)
        day.taught.add(pair, weight)
        if amount > 0.0:
            arm.rewards += weight * amount
            arm.earners.add(unit)
            day.earned.add(pair, weight * amount)

    def forget(self, units: Collection[bytes]) -> None:
        """Know of no pair of these persons any more; how many there were in all stays."""
        short = {unit[:4] for unit in units}
        for day in (self._today, self._before):
            for pairs in (day.taught, day.earned):
                pairs.drop({pair for pair, _ in pairs.items() if pair[4:] in short})

    def _turn_to(self, day: int) -> None:
        if day <= self._day:
            return
        self._before = self._today if day == self._day + 1 else Day()
        self._today = Day()
        self._day = day

    def shares(self) -> dict[str, ArmShares]:
        """By arm, those with most outcomes first; some milliseconds."""
        days = (self._today, self._before)
        taught = _by_arm((day, day.taught) for day in days)
        earned = _by_arm((day, day.earned) for day in days)
        found = {}
        for name in {**self._today.arms, **self._before.arms}:
            known = [day.arms[name] for day in days if name in day.arms]
            found[name] = ArmShares(
                _share(taught.get(name), sum(arm.outcomes for arm in known), _union(arm.visitors for arm in known)),
                _share(earned.get(name), sum(arm.rewards for arm in known), _union(arm.earners for arm in known)),
            )
        return dict(sorted(found.items(), key=lambda each: (-each[1].outcomes.whole, each[0])))

    def dump(self) -> dict[str, Any]:
        """Everything, as plain values and bytes."""
        days = [_dump_day(day) for day in (self._today, self._before)]
        return {"day": self._day, "is_free": self.is_free, "days": days}

    @classmethod
    def load(cls, state: dict[str, Any]) -> Concentration:
        """The inverse of ``dump``."""
        loaded = cls()
        loaded._day, loaded.is_free = state["day"], state["is_free"]
        loaded._today, loaded._before = map(_load_day, state["days"])
        return loaded


def _by_arm(days: Iterable[tuple[Day, FrequentItems]]) -> dict[str, dict[bytes, float]]:
    """By arm, what each visitor brought that is known."""
    found: dict[str, dict[bytes, float]] = {}
    for day, pairs in days:
        names = {arm.number: name for name, arm in day.arms.items()}
        for pair, held in pairs.items():
            of_arm = found.setdefault(names[pair[:4]], {})
            of_arm[pair[4:]] = of_arm.get(pair[4:], 0.0) + held
    return found


def _union(counts: Iterable[DistinctCount]) -> float:
    union = DistinctCount()
    for count in counts:
        union |= count
    return union.estimate()


def _share(brought: dict[bytes, float] | None, whole: float, n_visitors: float) -> Share:
    n_top = max(1, round(TOP * n_visitors))
    top = sum(nlargest(n_top, brought.values())) if brought else 0.0
    return Share(whole, n_visitors, min(1.0, top / whole) if whole else 0.0)


def _dump_day(day: Day) -> list[Any]:
    arms = [
        [name, arm.outcomes, arm.rewards, arm.visitors.dump(), arm.earners.dump()] for name, arm in day.arms.items()
    ]
    return [arms, day.taught.dump(), day.earned.dump()]


def _load_day(state: list[Any]) -> Day:
    day = Day()
    arms, taught, earned = state
    for number, (name, outcomes, rewards, visitors, earners) in enumerate(arms):
        arm = day.arms[name] = ArmDay(number)
        arm.outcomes, arm.rewards = outcomes, rewards
        arm.visitors, arm.earners = DistinctCount(visitors), DistinctCount(earners)
    day.taught, day.earned = FrequentItems.load(OUTCOMES, taught), FrequentItems.load(REWARDS, earned)
    return day

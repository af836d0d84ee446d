"""How a score goes on if nothing more happens: points fade and expire, and so tiers are lost and reached."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import NamedTuple

from personalization.audience.rule_scores import bounded, limited
from personalization.audience.tallies import sum_of, tally_of
from personalization.catalog.compiled_scores import CompiledScore, Tally
from personalization.catalog.rules import Rule
from personalization.visitor.visitor_state import VisitorState

MAX_STEPS = 64
"""Steps of the march before whoever asked is told to look again where it has come to."""

SAFE_STEPS = 8
"""Steps that may be as short as they like. Newton's method needs fewer; what needs more stays at a threshold."""

LEAP = 1 / 64
"""Of the shortest half-life: the most that a step goes beyond what is safe."""

NOTHING = 1e-12
"""Of the score: what still fades is nothing once it is less."""


class Course:
    """The course of a score from ``now_ms`` on, as long as no condition on the visitor changes.

    Parameters
    ----------
    parts
        The scores of events and traits that it is made of, each with its factor; itself, if it is one.

    Attributes
    ----------
    now
        The score now.
    """

    __slots__ = ("_now_ms", "_parts", "_score", "_size", "now")

    def __init__(
        self,
        score: CompiledScore,
        parts: Sequence[tuple[float, CompiledScore]],
        state: VisitorState,
        now_ms: int,
        holds: Callable[[Rule], bool],
    ) -> None:
        self._score = score
        self._now_ms = now_ms
        self._parts = [(factor, _Part(part, state, now_ms, holds)) for factor, part in parts]
        self.now = self._at(now_ms)
        self._size = abs(self.now)

    def next_change_ms(self, tier: str) -> float:
        """When the score next leaves ``tier``, or a moment before that at which to look again; infinity for never.

        Between two expiries the sum of what fades has a slope of at most Σ |points| · ln 2 / half-life, which only
        shrinks. So no tier is left before the distance to the next threshold divided by that: a march of such steps
        never goes too far, and where all points fade in one direction it is Newton's method from the safe side.

        A score that stays at a threshold (points that cancel each other, a bound that is one) would have it march
        on the spot. So its later steps grow, up to ``LEAP``; a tier that is left within one is found in it by
        bisection, and one that is left and reached again within one is not told.
        """
        if not any(part.changes for _, part in self._parts):
            return math.inf
        tiers = self._score.tiers
        index = next(n for n, each in enumerate(tiers) if each.name == tier)
        low = tiers[index].lost_below if index else -math.inf
        high = tiers[index + 1].starts_at if index + 1 < len(tiers) else math.inf
        at_ms: float = self._now_ms
        value = self._at(at_ms)
        for step in range(MAX_STEPS):
            if not low <= value < high:
                break
            step_ms = self._step_ms(at_ms, value, low, high, step)
            end_ms = min(part.next_end_ms() for _, part in self._parts)
            next_ms = min(at_ms + step_ms, end_ms)
            if math.isinf(next_ms):
                return next_ms
            value = self._at(next_ms)
            if not low <= value < high:
                return self._left_ms(at_ms, next_ms, low, high)
            at_ms = next_ms
            if at_ms >= end_ms:
                for _, part in self._parts:
                    part.expire(at_ms)
                value = self._at(at_ms)
        return at_ms

    def _step_ms(self, at_ms: float, value: float, low: float, high: float, step: int) -> float:
        """For how long the score stays between ``low`` and ``high``: for sure, or nearly, after many steps."""
        fading = [(abs(factor) * size, ms) for factor, part in self._parts for size, ms in part.fading(at_ms)]
        left = sum(size for size, _ in fading)
        room = min(value - low, high - value)
        if not fading or left < room - NOTHING * (1.0 + left + self._size):
            return math.inf
        shortest_ms = min(half_life_ms for _, half_life_ms in fading)
        if left <= NOTHING * (1.0 + self._size):
            return math.inf if low <= self._at(math.inf) < high else shortest_ms
        slope = sum(size / half_life_ms for size, half_life_ms in fading)
        safe_ms = max(room / (slope * math.log(2)), self._bound_ms(at_ms, slope))
        leap_ms = min(2.0 ** max(step - SAFE_STEPS, 0), shortest_ms * LEAP)
        return max(safe_ms // 1, leap_ms // 1, 1)

    def _bound_ms(self, at_ms: float, slope: float) -> float:
        """For how long a bound keeps the score where it is, 0 if none does; ``slope`` is at most this steep."""
        total = self._sum(at_ms)
        beyond = max(total - self._score.high, self._score.low - total)
        if beyond > 0:
            return beyond / (slope * math.log(2))
        return min(part.bound_ms(at_ms) for _, part in self._parts)

    def _left_ms(self, inside_ms: float, outside_ms: float, low: float, high: float) -> float:
        """The first millisecond after ``inside_ms`` at which the score is not between ``low`` and ``high``."""
        while outside_ms - inside_ms > 1:
            middle_ms = (inside_ms + outside_ms) // 2
            if low <= self._at(middle_ms) < high:
                inside_ms = middle_ms
            else:
                outside_ms = middle_ms
        return outside_ms

    def _at(self, at_ms: float) -> float:
        return limited(self._score, self._sum(at_ms))

    def _sum(self, at_ms: float) -> float:
        return sum(factor * part.at(at_ms) for factor, part in self._parts)


class _Fading(NamedTuple):
    """Points that fade: those of one half-life and group together, unless only so many of them count."""

    group: int
    points: float
    at_most: float
    half_life_ms: int

    def after(self, elapsed_ms: float) -> float:
        points = self.points * math.exp2(-elapsed_ms / self.half_life_ms)
        return max(-self.at_most, min(points, self.at_most))


class _Part:
    """The course of one score of events and traits."""

    __slots__ = ("_ends", "_fading", "_groups", "_now_ms", "_score", "_total")

    def __init__(
        self, score: CompiledScore, state: VisitorState, now_ms: int, holds: Callable[[Rule], bool]
    ) -> None:
        self._score = score
        self._now_ms = now_ms
        self._total = 0.0
        self._groups = [0.0] * len(score.bounds)
        self._fading: list[_Fading] = []
        self._ends: list[tuple[int, int, float]] = []  # when points expire, their group, how many; the last first
        together: dict[tuple[int, int], float] = {}
        for event in score.events:
            tally, group = event.tally, event.group
            if half_life_ms := tally.half_life_ms:
                points = event.points * sum_of(state, half_life_ms, tally.key, now_ms)
                if tally.at_most is None:
                    together[group, half_life_ms] = together.get((group, half_life_ms), 0.0) + points
                elif points:
                    self._fading.append(_Fading(group, points, abs(event.points) * tally.at_most, half_life_ms))
            elif points := event.points * tally_of(tally, state, now_ms):
                self._add(group, points)
                self._ends += [(end_ms, group, event.points) for end_ms in _ends(tally, state, now_ms)]
        self._fading += [
            _Fading(group, points, math.inf, half_life_ms)
            for (group, half_life_ms), points in together.items()
            if points
        ]
        self._ends.sort(reverse=True)
        for trait in score.traits:
            if holds(trait.rule):
                self._add(trait.group, trait.points)

    @property
    def changes(self) -> bool:
        """Whether time alone changes it."""
        return bool(self._fading or self._ends)

    def at(self, at_ms: float) -> float:
        """The score at a moment, if nothing expires before it that has not been taken away."""
        return bounded(self._score, *self._sums(at_ms))

    def fading(self, at_ms: float) -> list[tuple[float, int]]:
        """(size, half-life) of all that fades, at a moment."""
        elapsed_ms = at_ms - self._now_ms
        return [(abs(each.after(elapsed_ms)), each.half_life_ms) for each in self._fading]

    def bound_ms(self, at_ms: float) -> float:
        """For how long bounds keep it where it is; 0 if none does."""
        elapsed_ms = at_ms - self._now_ms
        slopes: dict[int, float] = {}
        for each in self._fading:
            slope = abs(each.after(elapsed_ms)) / each.half_life_ms * math.log(2)
            if slope:
                slopes[each.group] = slopes.get(each.group, 0.0) + slope
        if not slopes:
            return math.inf
        total, groups = self._sums(at_ms)
        for points, bound in zip(groups, self._score.bounds, strict=True):
            total += max(-bound, min(points, bound))
        beyond = max(total - self._score.high, self._score.low - total)
        if beyond > 0:
            return beyond / sum(slopes.values())
        return min(
            0.0 if group < 0 else max(abs(groups[group]) - self._score.bounds[group], 0.0) / slope
            for group, slope in slopes.items()
        )

    def next_end_ms(self) -> float:
        """When points next expire; infinity for never."""
        return self._ends[-1][0] if self._ends else math.inf

    def expire(self, at_ms: float) -> None:
        """Take away what has expired by then."""
        while self._ends and self._ends[-1][0] <= at_ms:
            _, group, points = self._ends.pop()
            self._add(group, -points)

    def _sums(self, at_ms: float) -> tuple[float, list[float]]:
        """What stands alone, and the sum of each group, before any bound."""
        total, groups = self._total, self._groups.copy()
        for each in self._fading:
            points = each.after(at_ms - self._now_ms)
            if each.group < 0:
                total += points
            else:
                groups[each.group] += points
        return total, groups

    def _add(self, group: int, points: float) -> None:
        if group < 0:
            self._total += points
        else:
            self._groups[group] += points


def _ends(tally: Tally, state: VisitorState, now_ms: int) -> list[int]:
    """When each of the occurrences that count ceases to."""
    if tally.series is None:
        return []
    within_ms = tally.series.within_ms or 0
    ends = [at_ms + within_ms for at_ms in state.windows[tally.key].moments() if at_ms + within_ms > now_ms]
    return ends[: tally.at_most]

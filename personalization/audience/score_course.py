"""How a score goes on if nothing more happens: points fade and expire, and so tiers are lost and reached."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence

from personalization.audience.rule_scores import bounded, limited
from personalization.audience.tallies import tally_of
from personalization.catalog.compiled_scores import CompiledScore, Tally
from personalization.catalog.rules import Rule
from personalization.visitor.visitor_state import VisitorState

MAX_STEPS = 64
"""Steps of the march before whoever asked is told to look again where it has come to."""


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
        """
        if not any(part.changes for _, part in self._parts):
            return math.inf
        tiers = self._score.tiers
        index = next(n for n, each in enumerate(tiers) if each.name == tier)
        low = tiers[index].lost_below if index else -math.inf
        high = tiers[index + 1].starts_at if index + 1 < len(tiers) else math.inf
        at_ms: float = self._now_ms
        for _ in range(MAX_STEPS):
            value = self._at(at_ms)
            if value < low or value >= high:
                break
            safe_ms = self._safe_ms(at_ms, min(value - low, high - value))
            at_ms = at_ms + max(safe_ms // 1, 1) if safe_ms < math.inf else math.inf
            end_ms = min(part.next_end_ms() for _, part in self._parts)
            if at_ms >= end_ms:
                at_ms = end_ms
                for _, part in self._parts:
                    part.expire(at_ms)
            if math.isinf(at_ms):
                return at_ms
        return at_ms

    def _at(self, at_ms: float) -> float:
        return limited(self._score, sum(factor * part.at(at_ms) for factor, part in self._parts))

    def _safe_ms(self, at_ms: float, room: float) -> float:
        """For how long what fades cannot use up ``room``; infinity if all that is left of it cannot."""
        left = slope = 0.0
        for factor, part in self._parts:
            for size, half_life_ms in part.fading(at_ms):
                left += abs(factor) * size
                slope += abs(factor) * size / half_life_ms
        # What comes ever nearer to a threshold is there once the rest is too small for a float.
        if not slope or left < room - 1e-12 * (1.0 + left + self._size):
            return math.inf
        return room / (slope * math.log(2))


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
        self._fading: list[tuple[int, float, int]] = []  # group, points now, half-life
        self._ends: list[tuple[int, int, float]] = []  # when points expire, their group, how many; the last first
        for event in score.events:
            points = event.points * tally_of(event.tally, state, now_ms)
            if points and event.tally.half_life_ms:
                self._fading.append((event.group, points, event.tally.half_life_ms))
            elif points:
                self._add(event.group, points)
                ends = _ends(event.tally, state, now_ms)
                self._ends += [(end_ms, event.group, event.points) for end_ms in ends]
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
        total, groups = self._total, self._groups.copy()
        for group, points, half_life_ms in self._fading:
            faded = points * math.exp2((self._now_ms - at_ms) / half_life_ms)
            if group < 0:
                total += faded
            else:
                groups[group] += faded
        return bounded(self._score, total, groups)

    def fading(self, at_ms: float) -> list[tuple[float, int]]:
        """(size, half-life) of all that fades, at a moment."""
        return [
            (abs(points) * math.exp2((self._now_ms - at_ms) / half_life_ms), half_life_ms)
            for _, points, half_life_ms in self._fading
        ]

    def next_end_ms(self) -> float:
        """When points next expire; infinity for never."""
        return self._ends[-1][0] if self._ends else math.inf

    def expire(self, at_ms: float) -> None:
        """Take away what has expired by then."""
        while self._ends and self._ends[-1][0] <= at_ms:
            _, group, points = self._ends.pop()
            self._add(group, -points)

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

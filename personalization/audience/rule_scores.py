"""Scores by rules at a moment: what each is, which tier it reaches, where it is going, and what it is made of."""

from __future__ import annotations

import math
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal, TypeAlias

from personalization.audience.tallies import fade_of, sum_of, tally_of
from personalization.catalog.compiled_scores import SLOW, CompiledScore, Tier
from personalization.catalog.rules import Rule
from personalization.visitor.visitor_state import VisitorState

TrendWord: TypeAlias = Literal["rising", "steady", "falling"]

FORGOTTEN = 1 / 256
"""Of the smallest points that an event gives: a trend of less than that is a memory of none."""


@dataclass(frozen=True, slots=True)
class Contribution:
    """What gave a score points, or took them.

    Attributes
    ----------
    kind
        ``event``, ``trait``, ``score`` (of an axis or a blend), ``group`` or ``range`` (what a bound cut off).
    name
        The event, the condition, the score, the group; ``range`` for the bound of all.
    when
        The condition on the event; empty: none.
    count
        How often it happened, as far as it still counts; None if nothing is counted.
    """

    kind: Literal["event", "trait", "score", "group", "range"]
    name: str
    points: float
    when: str = ""
    count: float | None = None


def values(
    scores: Mapping[str, CompiledScore],
    names: Collection[str],
    state: VisitorState,
    now_ms: int,
    holds: Callable[[Rule], bool],
    likely: Mapping[str, float],
) -> dict[str, float]:
    """The scores called ``names``, and those they are made of.

    Parameters
    ----------
    holds
        Whether a condition on the visitor is true.
    likely
        How likely each conversion is; a blend that names one without is absent.
    """
    found: dict[str, float] = {}
    for name in names:
        if name not in found:
            score = scores[name]
            parts = score.spec.axes or tuple(score.spec.blend)
            for part in parts:
                if part not in found and part in scores:
                    found[part] = value(scores[part], state, now_ms, holds)
            made = combined(score, found, likely) if parts else value(score, state, now_ms, holds)
            if made is not None:
                found[name] = made
    return found


def value(score: CompiledScore, state: VisitorState, now_ms: int, holds: Callable[[Rule], bool]) -> float:
    """A score of events and traits at ``now_ms``: points within the bounds of their groups, and of the whole."""
    total = 0.0
    groups = [0.0] * len(score.bounds)
    counted = state.points
    if counted is not None:
        for half_life_ms, sums in score.sums:
            tallies = counted.tallies.get(half_life_ms)
            if tallies is None:
                continue
            fade, weights = fade_of(tallies, half_life_ms, now_ms), tallies.weights
            for key, points, group, at_most in sums:
                count = weights.get(key)
                if count is not None:
                    count *= fade
                    points *= count if count < at_most else at_most
                    if group < 0:
                        total += points
                    else:
                        groups[group] += points
    for event in score.expiring:
        points = event.points * tally_of(event.tally, state, now_ms)
        if event.group < 0:
            total += points
        else:
            groups[event.group] += points
    for trait in score.traits:
        if holds(trait.rule):
            if trait.group < 0:
                total += trait.points
            else:
                groups[trait.group] += trait.points
    return bounded(score, total, groups) if groups else limited(score, total)


def bounded(score: CompiledScore, total: float, groups: Sequence[float]) -> float:
    """The sum of what stands alone and of the groups, each within its bounds."""
    for points, bound in zip(groups, score.bounds, strict=True):
        total += -bound if points < -bound else bound if points > bound else points
    return limited(score, total)


def limited(score: CompiledScore, points: float) -> float:
    """The points within the range of the score."""
    return score.low if points < score.low else score.high if points > score.high else points


def combined(score: CompiledScore, values: Mapping[str, float], likely: Mapping[str, float]) -> float | None:
    """A score made of others, None if one of them is absent."""
    total = 0.0
    for name, factor in _factors(score):
        part = values.get(name, likely.get(name))
        if part is None:
            return None
        total += factor * part
    return limited(score, total)


def _factors(score: CompiledScore) -> Iterator[tuple[str, float]]:
    yield from ((axis, 1.0) for axis in score.spec.axes)
    yield from score.spec.blend.items()


def tiers(
    scores: Mapping[str, CompiledScore], names: Collection[str], state: VisitorState, values: Mapping[str, float]
) -> dict[str, str]:
    """The tiers of the scores called ``names`` that have any.

    Parameters
    ----------
    values
        The scores, and those they are made of; the tier of one that is absent is absent.
    """
    found: dict[str, str] = {}
    for name in names:
        score = scores[name]
        parts = [scores[axis] for axis in score.spec.axes] or [score]
        if all(part.tiers and part.name in values for part in parts):
            found[name] = "".join(tier_now(part, values[part.name], state) for part in parts)
    return found


def tier_now(score: CompiledScore, points: float, state: VisitorState) -> str:
    """The tier of a score that is ``points`` now, by what the fold found before."""
    held = score.rest if state.points is None else state.points.tiers.get(score.name, score.rest)
    return tier_of(score.tiers, points, held)


def tier_of(tiers: Sequence[Tier], points: float, held: str | None) -> str:
    """The tier of so many points.

    Parameters
    ----------
    tiers
        Lowest first, at least one.
    held
        The one that was reached before: it is kept until the points fall below where it is lost.

    >>> tiers = [Tier("cold", 0, 0), Tier("warm", 20, 18), Tier("hot", 60, 54)]
    >>> [tier_of(tiers, points, "hot") for points in (60, 54, 53, 18, 17, -5)]
    ['hot', 'hot', 'warm', 'warm', 'cold', 'cold']
    >>> tier_of(tiers, 54, None)
    'warm'
    """
    was_held = False
    for tier in reversed(tiers):
        was_held = was_held or tier.name == held
        if points >= (tier.lost_below if was_held else tier.starts_at):
            return tier.name
    return tiers[0].name


def trend_of(score: CompiledScore, state: VisitorState, now_ms: int) -> TrendWord | None:
    """Whether points come faster or slower of late than before; None if the score does not ask.

    Both rates are exponentially weighted: of a steady stream of r points a millisecond a sum with the half-life h
    holds r · h / ln 2 in the long run, so the sum divided by its half-life compares.
    """
    trend = score.spec.trend
    if trend is None:
        return None
    late = sum_of(state, trend.over_ms, score.key, now_ms)
    slow = sum_of(state, SLOW * trend.over_ms, score.key, now_ms) / SLOW
    least = min(abs(event.points) for event in score.events)
    if abs(slow) * SLOW < FORGOTTEN * least:
        return "steady"
    room = trend.margin * abs(slow)
    return "rising" if late > slow + room else "falling" if late < slow - room else "steady"


def explained(
    score: CompiledScore,
    state: VisitorState,
    now_ms: int,
    holds: Callable[[Rule], bool],
    parts: Mapping[str, float],
) -> list[Contribution]:
    """What gave or took how much; they add up to the score. Those of most weight come first.

    Parameters
    ----------
    parts
        The scores it may be made of, and how likely conversions are.
    """
    found: list[Contribution] = []
    groups = [0.0] * len(score.bounds)
    for event in score.events:
        count = tally_of(event.tally, state, now_ms)
        if count:
            points = event.points * count
            found.append(Contribution("event", event.spec.event, points, event.spec.when or "", count))
            if event.group >= 0:
                groups[event.group] += points
    for trait in score.traits:
        if holds(trait.rule):
            found.append(Contribution("trait", trait.rule.source, trait.points))
            if trait.group >= 0:
                groups[trait.group] += trait.points
    for name, factor in _factors(score):
        found.append(Contribution("score", name, factor * parts.get(name, 0.0)))
    for name, points, bound in zip(score.spec.groups, groups, score.bounds, strict=True):
        if abs(points) > bound:
            found.append(Contribution("group", name, math.copysign(bound, points) - points))
    total = math.fsum(each.points for each in found)
    clipped = limited(score, total)
    if clipped != total:
        found.append(Contribution("range", "range", clipped - total))
    return sorted(found, key=lambda each: -abs(each.points))

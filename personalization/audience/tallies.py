"""What scores by rules count of events: how often each happened, faded or not, as far as it counts.

A tally is kept once, whichever scores ask for it, and as occurrences, not as points: a catalog that changes what an
event is worth changes every score at once.
"""

from __future__ import annotations

import math

from personalization.audience import windows
from personalization.catalog.compiled_catalog import CompiledCatalog
from personalization.catalog.compiled_scores import CompiledScore, Tally
from personalization.catalog.duration import DAY_MS
from personalization.catalog.rules import Scope
from personalization.catalog.sections.scores import Repeat
from personalization.events.event import ClientEvent
from personalization.events.event_fields import name_in
from personalization.events.event_scope import event_scope
from personalization.visitor import times
from personalization.visitor.visitor_state import Points, Tallies, VisitorState

MAX_KEPT = 192
"""Tallies kept of a visitor before those are forgotten that the catalog does not know: three times what one may."""

MAX_DAYS = 3
"""Days of which is known how often an event counted: the one heard of last, and the latest of the others. Events
come at most a day late; what is imported comes in order, and leaves the two days that are heard of live alone."""

MAX_HALF_LIVES = 100
"""From the landmark to the latest event before it is moved: what weighs 2¹⁰⁰ leaves room for sums and products."""

_EVER = -1
"""The day that stands for the visitor's whole time."""


def observe(state: VisitorState, event: ClientEvent, occurred_at_ms: int, catalog: CompiledCatalog) -> None:
    """Count the event, if a score asks for it."""
    wanted = catalog.scores.tallies_by_event.get(name_in(event, catalog.events))
    if not wanted:
        return
    scope: Scope | None = None
    points = state.points
    is_new = False
    for tally in wanted:
        if tally.when is not None:
            scope = scope or event_scope(event, catalog)
            if not tally.when.holds(scope):
                continue
        if points is None:
            points = state.points = Points()
        if tally.repeat is not None and not _counts(points, tally, tally.repeat, occurred_at_ms):
            continue
        if tally.series is not None:
            kept = state.windows.get(tally.key)
            is_new |= kept is None
            state.windows[tally.key] = times.add(kept, occurred_at_ms, None, tally.series.n_kept)
        else:
            is_new |= _add(points, tally.half_life_ms, tally.key, 1.0, occurred_at_ms)
        for trend in tally.trends:
            is_new |= _add(points, trend.half_life_ms, trend.key, trend.amount, occurred_at_ms)
    if is_new and points is not None:
        _forget(state, points, catalog)


def _counts(points: Points, tally: Tally, repeat: Repeat, occurred_at_ms: int) -> bool:
    """Whether it counts once more; remembers that it does."""
    day = _EVER if repeat.per == "visitor" else occurred_at_ms // DAY_MS
    days = points.repeats.get(tally.key)
    if days is None:
        points.repeats[tally.key] = [day, 1]
        return True
    if days[-2] == day:  # nearly always: the day heard of last
        if days[-1] >= repeat.limit:
            return False
        days[-1] += 1
        return True
    counted = 0
    for index in range(0, len(days), 2):
        if days[index] == day:
            counted = days[index + 1]
            del days[index : index + 2]
            break
    counts = counted < repeat.limit
    if len(days) == 2 * MAX_DAYS:
        oldest = 2 * days[::2].index(min(days[::2]))
        del days[oldest : oldest + 2]
    days += (day, counted + counts)
    return counts


def _add(points: Points, half_life_ms: int, key: bytes, amount: float, at_ms: int) -> bool:
    """Add to one sum; whether it is a new one.

    Forward decay (Cormode, Shkapenyuk, Srivastava, Xu: Forward Decay, ICDE 2009): what happens later than the
    landmark weighs more from the start, and every sum fades by one factor when it is read. So nothing but the one
    sum is touched, and the order of what happens makes no difference.
    """
    tallies = points.tallies.get(half_life_ms)
    if tallies is None:
        points.tallies[half_life_ms] = Tallies(at_ms, {key: amount})
        return True
    if half_life_ms:
        n_half_lives = (at_ms - tallies.at_ms) / half_life_ms
        if n_half_lives > MAX_HALF_LIVES:
            _move_landmark(tallies, at_ms, half_life_ms)
            n_half_lives = 0.0
        amount *= math.exp2(n_half_lives)
    weights = tallies.weights
    held = weights.get(key)
    weights[key] = amount if held is None else held + amount
    return held is None


def _move_landmark(tallies: Tallies, at_ms: int, half_life_ms: int) -> None:
    fade = math.exp2((tallies.at_ms - at_ms) / half_life_ms)
    tallies.at_ms = at_ms
    tallies.weights = {key: weight * fade for key, weight in tallies.weights.items()}


def merge(into: VisitorState, other: VisitorState, catalog: CompiledCatalog) -> None:
    """Add what the other side counted. What counted under either id counts: of a day's limit each had its own."""
    theirs = other.points
    if theirs is None:
        return
    if into.points is None:
        into.points = theirs
        return
    points = into.points
    for half_life_ms, tallies in theirs.tallies.items():
        ours = points.tallies.get(half_life_ms)
        if ours is None:
            points.tallies[half_life_ms] = tallies
            continue
        if half_life_ms and tallies.at_ms > ours.at_ms:
            _move_landmark(ours, tallies.at_ms, half_life_ms)
        fade = math.exp2((tallies.at_ms - ours.at_ms) / half_life_ms) if half_life_ms else 1.0
        for key, weight in tallies.weights.items():
            ours.weights[key] = ours.weights.get(key, 0.0) + weight * fade
    for key, days in theirs.repeats.items():
        counted = points.repeats.get(key)
        points.repeats[key] = days if counted is None else _joined(counted, days)
    for name in points.tiers.keys() | theirs.tiers.keys():
        score = catalog.scores.by_name.get(name)
        if score is None or not score.tiers:
            points.tiers.setdefault(name, theirs.tiers.get(name, ""))
            continue
        order = [tier.name for tier in score.tiers]
        held = {points.tiers.get(name, score.rest), theirs.tiers.get(name, score.rest)}
        set_tier(points, score, max(held & set(order), key=order.index, default=score.rest))
    _forget(into, points, catalog)


def set_tier(points: Points, score: CompiledScore, tier: str) -> None:
    """Keep which tier a visitor has; that of no points is not kept."""
    if tier == score.rest:
        points.tiers.pop(score.name, None)
    else:
        points.tiers[score.name] = tier


def _joined(ours: list[int], theirs: list[int]) -> list[int]:
    """Both sides' days, the newest last."""
    counted: dict[int, int] = {}
    for days in (ours, theirs):
        for index in range(0, len(days), 2):
            counted[days[index]] = counted.get(days[index], 0) + days[index + 1]
    newest = sorted(counted)[-MAX_DAYS:]
    return [number for day in newest for number in (day, counted[day])]


def tally_of(tally: Tally, state: VisitorState, now_ms: int) -> float:
    """How often it happened, as far as it still counts at ``now_ms``."""
    if tally.series is not None:
        kept = state.windows.get(tally.key)
        expired_ms = now_ms - (tally.series.within_ms or 0)
        count = 0.0 if kept is None else float(sum(at_ms > expired_ms for at_ms in kept.moments()))
    else:
        count = sum_of(state, tally.half_life_ms, tally.key, now_ms)
    at_most = tally.at_most
    return count if at_most is None else min(count, at_most)


def sum_of(state: VisitorState, half_life_ms: int, key: bytes, now_ms: int) -> float:
    """One of the sums kept of a visitor, as of ``now_ms``."""
    tallies = None if state.points is None else state.points.tallies.get(half_life_ms)
    return 0.0 if tallies is None else tallies.weights.get(key, 0.0) * fade_of(tallies, half_life_ms, now_ms)


def fade_of(tallies: Tallies, half_life_ms: int, now_ms: int) -> float:
    """By what the sums of one half-life are multiplied at ``now_ms``."""
    if not half_life_ms or now_ms <= tallies.at_ms:  # a clock that is behind sees what there was at the landmark
        return 1.0
    return math.exp2((tallies.at_ms - now_ms) / half_life_ms)


def _forget(state: VisitorState, points: Points, catalog: CompiledCatalog) -> None:
    """Beyond the bound, forget what this catalog does not ask for."""
    windows.forget(state, catalog)
    n_sums = sum(len(tallies.weights) for tallies in points.tallies.values())
    if max(n_sums, len(points.repeats)) <= MAX_KEPT:
        return
    known = catalog.scores.tally_keys
    for half_life_ms, tallies in list(points.tallies.items()):
        tallies.weights = {key: weight for key, weight in tallies.weights.items() if key in known}
        if not tallies.weights:
            del points.tallies[half_life_ms]
    points.repeats = {key: days for key, days in points.repeats.items() if key in known}

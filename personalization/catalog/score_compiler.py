"""Compiles scores by rules: checks what they say, and works out what has to be kept and followed for them."""

from __future__ import annotations

import itertools
import math
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from personalization.bounded import short_hash
from personalization.catalog.check import Check, nearest
from personalization.catalog.compiled_events import CompiledEvents
from personalization.catalog.compiled_scores import (
    SLOW,
    Addition,
    CompiledEventPoints,
    CompiledScore,
    CompiledTraitPoints,
    Tally,
    Tier,
)
from personalization.catalog.compiled_series import CompiledSeries
from personalization.catalog.duration import DAY_MS, MINUTE_MS
from personalization.catalog.tier_thresholds import REST, TierThresholds, TopShare, measured_by, shares_of
from personalization.catalog.vocabulary import STEADY_VARIABLES

if TYPE_CHECKING:
    from personalization.catalog.compiled_catalog import CompiledCatalog
    from personalization.catalog.sections.scores import EventPoints, Score, TraitPoints

MAX_SCORES = 16
MAX_POINTS = 1_000_000
MAX_FACTOR = 1_000
"""Of a blend: points times a factor stay numbers that can be added up, whatever their signs."""

MIN_HALF_LIFE_MS = MINUTE_MS
"""Clocks differ by seconds, and what an event counts doubles with each half-life that it lies ahead."""

MAX_TALLIES = 64
"""Events told apart by scores: what is kept of each visitor grows with them."""

MAX_EXPIRING = 64
"""Times kept of an event whose points expire; of more the newest count."""

DEFAULT_HYSTERESIS = 0.1
"""Of a tier's threshold: a tenth below it the tier is lost."""

KNOWN_TO_TRAITS = STEADY_VARIABLES | {"known"}
"""What the conditions of a score may name beside windows: what no request brings and no model says."""


def compile_scores(check: Check, compiled: CompiledCatalog, specs: Mapping[str, Score]) -> None:
    """Enter all scores, what events add to what is kept for them, and whose tiers the fold follows."""
    check.demand(len(specs) <= MAX_SCORES, "scores", f"are at most {MAX_SCORES}")
    for name, spec in specs.items():
        compiled.scores.by_name[name] = _compile_score(check, compiled, name, spec)
    for name, spec in specs.items():
        _check_parts(check, compiled, f"scores.{name}", spec, specs)
    for tallies in compiled.scores.tallies_by_event.values():
        for tally in tallies:
            compiled.scores.tally_keys.update((tally.key, *(trend.key for trend in tally.trends)))
    n_kept = len(compiled.scores.tally_keys)
    check.demand(n_kept <= MAX_TALLIES, "scores", f"count {n_kept} things; at most {MAX_TALLIES} are kept")
    for score in compiled.scores.by_name.values():
        _take_parts(score, compiled.scores.by_name)
        if score.spec.axes:
            compiled.scores.of_axes.append(score)
        if score.shares:
            compiled.scores.by_share[score.name] = score
            message = (
                "are shares of visitors, and what a model says of all of them is worked out nowhere; write points, "
                "such as {warm: 0, hot: 50}"
            )
            check.demand(bool(score.parts) or not score.spec.blend, f"scores.{score.name}.tiers", message)
        if len(score.tiers) > 1 and score.parts:
            compiled.scores.watched[score.name] = score
            _take_directions(score, compiled.events)
            for event in sorted(score.changed_by):
                compiled.scores.watched_by_event.setdefault(event, []).append(score)


def _compile_score(check: Check, compiled: CompiledCatalog, name: str, spec: Score) -> CompiledScore:
    where = f"scores.{name}"
    check.demand_name(name, where, "scores.name")
    if name in compiled.catalog.conversions:
        check.fail(
            where, "is the name of a conversion too; rename one: rules name both scores.name", "duplicate_name"
        )
    low, high = spec.range or (-math.inf, math.inf)
    check.demand(low < high, f"{where}.range", "must be [low, high] with low < high")
    check.demand(spec.half_life_ms is None or spec.expires_ms is None, f"{where}.expires", _EITHER)
    _check_half_life(check, f"{where}.half_life", spec.half_life_ms)
    message = "must be longer than nothing, e.g. 90d; leave it out for points that do not expire"
    check.demand(spec.expires_ms is None or spec.expires_ms > 0, f"{where}.expires", message)
    made = CompiledScore(name, spec, low, high, key=short_hash(f"trend\x1f{name}", 6))
    for group, bound in spec.groups.items():
        check.demand(bound > 0 and math.isfinite(bound), f"{where}.groups.{group}", "must be above 0")
        made.bounds.append(bound)
    groups = {group: index for index, group in enumerate(spec.groups)}
    for index, points in enumerate(spec.events):
        _compile_event(check, compiled, made, groups, f"{where}.events[{index}]", points)
    for index, trait in enumerate(spec.traits):
        _compile_trait(check, compiled.events, made, groups, f"{where}.traits[{index}]", trait)
    sums: dict[int, list[tuple[bytes, float, int, float]]] = {}
    for event in made.events:
        if event.tally.series is not None:
            made.expiring.append(event)
        else:
            most = float(event.tally.at_most or math.inf)
            sums.setdefault(event.tally.half_life_ms, []).append((event.tally.key, event.points, event.group, most))
    made.sums = list(sums.items())
    _enter_tiers(check, compiled, where, made)
    if spec.trend is not None:
        check.demand(bool(spec.events), f"{where}.trend", "needs events; it compares the points they gave")
        _check_half_life(check, f"{where}.trend.over", spec.trend.over_ms)
        check.demand(spec.trend.margin > 0, f"{where}.trend.margin", "must be above 0, e.g. 25%")
    return made


def _check_half_life(check: Check, where: str, half_life_ms: int | None) -> None:
    message = "is a half-life: it must be 1m or longer, e.g. 7d"
    check.demand(half_life_ms is None or half_life_ms >= MIN_HALF_LIFE_MS, where, message)


_EITHER = "stands beside half_life; points either fade or expire: keep one"


def _compile_event(
    check: Check,
    compiled: CompiledCatalog,
    score: CompiledScore,
    groups: Mapping[str, int],
    where: str,
    spec: EventPoints,
) -> None:
    check.demand(bool(spec.event), f"{where}.event", "must name an event")
    _check_points(check, where, spec.points)
    check.demand(not (spec.half_life_ms and spec.expires_ms), f"{where}.expires", _EITHER)
    _check_half_life(check, f"{where}.half_life", spec.half_life_ms or None)
    repeat = spec.repeat
    if repeat is not None:
        check.demand(repeat.limit >= 1, f"{where}.repeat.limit", "must be 1 or more")
    expires_ms = spec.expires_ms or (0 if spec.half_life_ms else score.spec.expires_ms or 0)
    half_life_ms = 0 if expires_ms else spec.half_life_ms or score.spec.half_life_ms or 0
    if expires_ms and repeat is not None and repeat.per == "day":
        n_kept = repeat.limit * math.ceil(expires_ms / DAY_MS + 1)
        check.demand(
            n_kept <= MAX_EXPIRING,
            f"{where}.repeat",
            f"may ask for {n_kept} times of it, and {MAX_EXPIRING} are kept of what expires; lower it, let the "
            "points expire sooner, or write half_life, which has no such bound",
        )
    rule = check.of_event(spec.when, f"{where}.when")
    said = (spec.event, spec.when, half_life_ms, expires_ms, repeat and (repeat.limit, repeat.per))
    key = short_hash(repr(said), 6)
    by_event, names = compiled.scores.tallies_by_event, compiled.events.names(spec.event)
    tally = next((each for name in names for each in by_event.get(name, ()) if each.key == key), None)
    if tally is None:
        series = None
        if expires_ms:
            series = CompiledSeries(key, "", None, (), MAX_EXPIRING, 0, expires_ms)
            compiled.series[key] = series
        tally = Tally(key, rule, half_life_ms, series, repeat, [])
        for name in names:
            by_event.setdefault(name, []).append(tally)
    trend = score.spec.trend
    if trend is not None:
        for over_ms in (trend.over_ms, SLOW * trend.over_ms):
            tally.trends.append(Addition(over_ms, score.key, spec.points))
    group = _group(check, groups, where, spec.group)
    score.events.append(CompiledEventPoints(tally, spec.points, group, spec))
    score.changed_by.update(names)


def _compile_trait(
    check: Check,
    by_meaning: CompiledEvents,
    score: CompiledScore,
    groups: Mapping[str, int],
    where: str,
    spec: TraitPoints,
) -> None:
    _check_points(check, where, spec.points)
    rule = check.of_visitor(spec.when, f"{where}.when", KNOWN_TO_TRAITS)
    if rule is None:
        return
    events = by_meaning.all_names(window.series.event for window in rule.windows)
    events |= by_meaning.changing(rule.variables)
    group = _group(check, groups, where, spec.group)
    score.traits.append(CompiledTraitPoints(rule, spec.points, group, events))
    score.changed_by |= events


def _check_points(check: Check, where: str, points: float) -> None:
    check.demand(
        0 < abs(points) <= 1e6, f"{where}.points", "must lie between -1,000,000 and 1,000,000, and not be 0"
    )


def _group(check: Check, groups: Mapping[str, int], where: str, name: str) -> int:
    if name and name not in groups:
        remedy = nearest(name, groups, f"say how much it counts at most: groups: {{{name}: 20}}")
        check.fail(f"{where}.group", f"the score has no group {name!r}; {remedy}", "unknown_name")
    return groups.get(name, -1)


def _enter_tiers(check: Check, compiled: CompiledCatalog, where: str, score: CompiledScore) -> None:
    spec, catalog = score.spec, compiled.catalog
    if spec.hysteresis is not None:
        check.demand(bool(spec.tiers), f"{where}.hysteresis", "needs tiers, which it keeps from flapping")
        check.demand(0 <= spec.hysteresis < math.inf, f"{where}.hysteresis", "must be 0 or more points")
    check.demand(
        spec.rearm_ms is None or bool(spec.tiers), f"{where}.rearm", "needs tiers, whose reaching it tells"
    )
    points = {tier: each for tier, each in spec.tiers.items() if not isinstance(each, TopShare)}
    if len(points) == len(spec.tiers):
        score.tiers = _tiers_by_points(check, where, spec, points)
        return
    message = "mixes points and shares of visitors; write all of one kind, such as {hot: top 10%, cold: rest}"
    check.demand(not points, f"{where}.tiers", message)
    if points or not _check_shares(check, where, spec):
        return
    score.shares = shares_of(spec.tiers)
    score.measured = measured_by(catalog, score.name)
    known = compiled.scores.computed.get(score.name)
    # Whether they are of these points was seen when they were published: what a version means stays what it is.
    if known is not None and known.covers(frozenset(score.shares.values()) - {1.0}):
        score.thresholds = known
    score.tiers = _tiers_by_share(spec, score.shares, score.thresholds)


def _check_shares(check: Check, where: str, spec: Score) -> bool:
    n_before, seen = len(check.errors), dict[float, str]()
    for tier, each in spec.tiers.items():
        if not isinstance(each, TopShare):
            continue
        message = "is a share of all visitors: it must lie above 0% and below 100%, e.g. top 10%"
        check.demand(0 < each.top <= 1, f"{where}.tiers.{tier}", message)
        if each.top in seen:
            message = f"is for {each.words}, as {seen[each.top]!r} is; give it another share, or leave it out"
            check.fail(f"{where}.tiers.{tier}", message)
        seen[each.top] = tier
    if 1.0 not in seen:
        message = f"is the tier of everybody else; give it another name, or write {REST}: {REST}"
        check.demand(REST not in spec.tiers, f"{where}.tiers.{REST}", message)
    message = f"is for everybody, and is alone; write another, such as {{hot: top 10%, cold: {REST}}}"
    check.demand(seen.keys() != {1.0}, f"{where}.tiers", message)
    return len(check.errors) == n_before


def _tiers_by_share(spec: Score, shares: Mapping[str, float], known: TierThresholds | None) -> list[Tier]:
    """The tiers, lowest first. Without thresholds nobody reaches one, and nobody loses the one they have."""
    ordered = sorted(shares.items(), key=lambda tier: -tier[1])
    made = [Tier(ordered[0][0], -math.inf, -math.inf)]
    for tier, share in ordered[1:]:
        if known is None:
            made.append(Tier(tier, math.inf, -math.inf))
            continue
        starts_at = dict(known.points)[share]
        if starts_at is None:
            made.append(Tier(tier, math.inf, math.inf))
            continue
        held = DEFAULT_HYSTERESIS * abs(starts_at) if spec.hysteresis is None else spec.hysteresis
        made.append(Tier(tier, starts_at, starts_at - min(held, (starts_at - made[-1].starts_at) / 2)))
    return made


def _tiers_by_points(check: Check, where: str, spec: Score, points: Mapping[str, float]) -> list[Tier]:
    ordered = sorted(points.items(), key=lambda tier: tier[1])
    for tier, starts_at in ordered:
        check.demand(math.isfinite(starts_at), f"{where}.tiers.{tier}", "must be a number of points")
    for (below, lower), (tier, higher) in itertools.pairwise(ordered):
        check.demand(lower < higher, f"{where}.tiers.{tier}", f"starts where {below!r} does; give it more points")
    check.demand(len(ordered) != 1, f"{where}.tiers", "is one alone, which everybody has; write two or more")
    made: list[Tier] = []
    for tier, starts_at in ordered:
        gap = starts_at - made[-1].starts_at if made else math.inf
        held = spec.hysteresis
        if held is None:
            held = min(DEFAULT_HYSTERESIS * abs(starts_at), gap / 2)
        elif held >= gap:
            check.fail(
                f"{where}.hysteresis",
                f"is {held:g}, and {tier!r} starts {gap:g} points above the tier below; write less than that",
            )
        made.append(Tier(tier, starts_at, starts_at - held))
    return made


def _check_parts(
    check: Check, compiled: CompiledCatalog, where: str, spec: Score, specs: Mapping[str, Score]
) -> None:
    """What a score is made of: events and traits, axes, or a blend, and of these one."""
    kinds = {"axes": spec.axes, "blend": spec.blend, "events": spec.events or spec.traits}
    given = [kind for kind, value in kinds.items() if value]
    if not given:
        message = "has no points; write events or traits, or axes or blend of other scores"
        check.fail(where, message, "missing_field")
    elif len(given) > 1:
        check.fail(f"{where}.{given[0]}", f"stands beside {' and '.join(given[1:])}; make that a score of its own")
    else:
        _check_idle(check, where, spec)
    plain = {name: each for name, each in specs.items() if not each.axes and not each.blend}
    for index, axis in enumerate(spec.axes):
        if axis not in plain:
            _fail_part(check, f"{where}.axes[{index}]", axis, plain, specs)
        elif not plain[axis].tiers:
            check.fail(
                f"{where}.axes[{index}]", f"{axis!r} has no tiers; write some, such as tiers: {{B: 0, A: 50}}"
            )
    if spec.axes:
        check.demand(len(spec.axes) > 1, f"{where}.axes", "must name two scores or more")
        for index, axis in enumerate(spec.axes):
            if axis in spec.axes[:index]:
                check.fail(f"{where}.axes[{index}]", f"names {axis!r} twice; leave it out", "duplicate_name")
        check.demand(not spec.tiers, f"{where}.tiers", "are those of the axes side by side; leave them out")
    for name, factor in spec.blend.items():
        check.demand(
            0 < abs(factor) <= MAX_FACTOR,
            f"{where}.blend.{name}",
            f"is a factor: it must lie between -{MAX_FACTOR:,} and {MAX_FACTOR:,}, and not be 0; leave out what "
            "is to have no weight",
        )
        if name not in plain and name not in compiled.catalog.conversions:
            _fail_part(check, f"{where}.blend.{name}", name, {**plain, **compiled.catalog.conversions}, specs)


def _check_idle(check: Check, where: str, spec: Score) -> None:
    """Note what has no effect without points of the score's own: what fades, expires or bounds them."""
    others = "write it in the scores that this one is made of" if spec.axes or spec.blend else "leave it out"
    for name, value in (("half_life", spec.half_life_ms), ("expires", spec.expires_ms)):
        message = f"needs events, whose points it is about; {others}"
        check.demand(value is None or bool(spec.events), f"{where}.{name}", message)
    message = f"needs events or traits, whose points it bounds; {others}"
    check.demand(not spec.groups or bool(spec.events or spec.traits), f"{where}.groups", message)


def _take_parts(score: CompiledScore, scores: Mapping[str, CompiledScore]) -> None:
    if not score.spec.blend:
        score.parts = [] if score.spec.axes else [(1.0, score)]
    elif score.spec.blend.keys() <= scores.keys():
        score.parts = [(factor, scores[name]) for name, factor in score.spec.blend.items()]
        score.changed_by = {event for _, part in score.parts for event in part.changed_by}


def _take_directions(score: CompiledScore, by_meaning: CompiledEvents) -> None:
    """Which events can only raise it, and what takes points, which come back with time."""
    turned = {event for _, part in score.parts for trait in part.traits for event in trait.changed_by}
    for factor, part in score.parts:
        for event in part.events:
            if factor * event.points < 0:
                turned.update(by_meaning.names(event.spec.event))
                score.taken.append((event.tally.half_life_ms, event.tally.key))
            else:
                for name in by_meaning.names(event.spec.event):
                    most = score.most_by_event.get(name, 0.0)
                    score.most_by_event[name] = most + factor * event.points
    score.raised_by = frozenset(score.changed_by - turned)
    score.has_traits = any(part.traits for _, part in score.parts)
    for tier, above in itertools.pairwise(score.tiers):
        score.next_at[tier.name] = above.starts_at if above.starts_at < math.inf else None
    score.next_at[score.tiers[-1].name] = None
    nothing = max(score.low, min(0.0, score.high))
    # Computed thresholds move, and whose tier is not written in their state has to stay in the one they were in.
    score.rest = next(
        (tier.name for tier in reversed(score.tiers) if tier.starts_at <= nothing and not score.shares),
        score.tiers[0].name,
    )
    score.next_at[None] = score.next_at[score.rest]


def _fail_part(check: Check, where: str, name: str, known: Mapping[str, Any], specs: Mapping[str, Score]) -> None:
    if name in specs:
        check.fail(where, f"{name!r} is itself made of scores; name what it is made of")
    else:
        check.fail(where, f"no score {name!r}; {nearest(name, known, 'define it under scores')}", "unknown_name")

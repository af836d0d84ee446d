"""Exact windows over a visitor's past: what an event adds to them, and what they say at a moment.

A window counts what happened after ``now − within``, up to now, by the client's own time. It is *unknown* how often
something happened before the window was declared: then a comparison is true or false only if what is known decides
it, and else holds for nobody, and neither does its opposite.
"""

from __future__ import annotations

import math
import operator
from collections.abc import Callable, Mapping
from typing import Any

from personalization.catalog.compiled_catalog import CompiledCatalog
from personalization.catalog.compiled_series import CompiledSeries
from personalization.catalog.duration import DAY_MS
from personalization.catalog.measures import Measure
from personalization.catalog.rules import Scope
from personalization.catalog.windows import MAX_AMOUNTS, Window, shown_key
from personalization.events.event import Backfilled, ClientEvent
from personalization.events.event_fields import name_in
from personalization.events.event_scope import at_path, event_scope
from personalization.features import MAX_MAGNITUDE
from personalization.visitor import times
from personalization.visitor.times import Times
from personalization.visitor.visitor_state import VisitorState

MAX_WINDOWS = 144
"""Series kept of a visitor before those are forgotten that nothing asks for: all that rules may look at (32), as
many contents as other caps remember (48), and the events whose points expire (64)."""

_COMPARE: Mapping[str, Callable[[Any, Any], bool]] = {
    "<": operator.lt,
    "<=": operator.le,
    ">": operator.gt,
    ">=": operator.ge,
    "==": operator.eq,
    "!=": operator.ne,
}


def observe(state: VisitorState, event: ClientEvent, occurred_at_ms: int, catalog: CompiledCatalog) -> None:
    """Keep when the event happened, if a window looks at it."""
    wanted = catalog.series_by_event.get(name_in(event, catalog.events))
    if not wanted:
        return
    scope: Scope | None = None
    for series in wanted:
        if series.where is not None:
            scope = scope or event_scope(event, catalog)
            if not series.where.holds(scope):
                continue
        amount = _amount(at_path(event, series.path, catalog)) if series.path else None
        if amount == 0.0:
            continue  # it adds nothing, and would take the place of one that does
        key = series.key
        state.windows[key] = times.add(state.windows.get(key), occurred_at_ms, amount, series.n_kept)
    forget(state, catalog)


def belongs(backfilled: Backfilled, state: VisitorState) -> bool:
    """Whether the profile is still the one that was counted: not one that began after a refusal, or a log-in."""
    return 0 < state.first_ms <= backfilled.first_ms


def backfill(state: VisitorState, backfilled: Backfilled, catalog: CompiledCatalog) -> None:
    """Take in what the log held of the time before windows were declared."""
    for key, more in backfilled.times.items():
        series = catalog.series.get(key)
        if series is not None:
            kept = state.windows.get(key)
            state.windows[key] = more if kept is None else times.join(kept, more, series.n_kept)
    if backfilled.born_ms and state.first_ms == backfilled.first_ms:
        state.born_ms = backfilled.born_ms
    forget(state, catalog)


def merge(into: VisitorState, other: VisitorState, catalog: CompiledCatalog) -> None:
    """Join what both know: each event happened to the one person."""
    for key, theirs in other.windows.items():
        series = catalog.series.get(key)
        n_kept = MAX_AMOUNTS if series is None else series.n_kept  # a newer version may look at it
        ours = into.windows.get(key)
        into.windows[key] = theirs if ours is None else times.join(ours, theirs, n_kept)
    forget(into, catalog)


def holds(window: Window, series: CompiledSeries, state: VisitorState, now_ms: int) -> bool | None:
    """Whether the comparison is true at ``now_ms``; None: it is not known.

    Parameters
    ----------
    series
        What the window looks at, as the catalog keeps it.
    """
    return look(window, series, state, now_ms)[0]


def look(window: Window, series: CompiledSeries, state: VisitorState, now_ms: int) -> tuple[bool | None, float]:
    """What the comparison says at ``now_ms``, and when time alone next changes that; infinity for never.

    For a sum that may be early: each amount that falls out of the window may change it.
    """
    kept = state.windows.get(series.key)
    match window.kind:
        case "count":
            return _count(window, series, kept, state, now_ms)
        case "sum":
            return _sum(window, series, kept, state, now_ms)
        case "last":
            return _last(window, series, kept, state), math.inf
        case "since":
            return _since(window, series, kept, state, now_ms)


def _last(window: Window, series: CompiledSeries, kept: Times | None, state: VisitorState) -> bool | None:
    """The latest time seen, unless there may be a later one from before the window was declared."""
    if kept is None:
        return None  # it never happened, or nobody knows: there is no time to compare
    latest_ms = _latest_possible_ms(series, kept, state)
    return _if_both(window.operator, kept.newest_ms, latest_ms, window.constant)


def _latest_possible_ms(series: CompiledSeries, kept: Times, state: VisitorState) -> int:
    """The latest time at which it can have happened last: that seen, or just before the window was declared."""
    if reaches_back(kept.newest_ms, series, state):
        return kept.newest_ms
    return max(kept.newest_ms, series.declared_ms)


def _if_both(compared: str, one: float, other: float, constant: float) -> bool | None:
    """What a comparison says of a number between ``one`` and ``other``; None if that depends.

    >>> _if_both(">", 3, 5, 2), _if_both(">", 3, 5, 4), _if_both("==", 3, 5, 4)
    (True, None, None)
    """
    low, high = min(one, other), max(one, other)
    first, second = _COMPARE[compared](low, constant), _COMPARE[compared](high, constant)
    if compared in ("==", "!=") and low < constant < high:
        return None
    return first if first is second else None


def _count(
    window: Window, series: CompiledSeries, kept: Times | None, state: VisitorState, now_ms: int
) -> tuple[bool | None, float]:
    """A count is compared by two facts: whether it is ``n`` or more, and whether it is more than ``n``."""
    n, within_ms = int(window.constant), window.within_ms
    after_ms = -math.inf if within_ms is None else now_ms - within_ms
    nth_ms = kept.nth_ms(n) if kept is not None and n else None
    next_ms = kept.nth_ms(n + 1) if kept is not None else None
    as_many = n == 0 or (nth_ms is not None and nth_ms > after_ms)
    more = next_ms is not None and next_ms > after_ms
    changes_ms = math.inf
    if within_ms is not None:
        operator_ = window.operator
        if more and next_ms is not None and operator_ not in (">=", "<"):
            changes_ms = next_ms + within_ms
        elif as_many and nth_ms is not None and operator_ not in (">", "<="):
            changes_ms = nth_ms + within_ms
    if not reaches_back(after_ms, series, state):
        if within_ms is not None:  # from then on all of the window was seen
            changes_ms = min(changes_ms, series.declared_ms + within_ms)
        return _if_no_less(window.operator, as_many, more), changes_ms
    match window.operator:
        case ">=":
            return as_many, changes_ms
        case ">":
            return more, changes_ms
        case "<":
            return not as_many, changes_ms
        case "<=":
            return not more, changes_ms
        case "==":
            return as_many and not more, changes_ms
    return more or not as_many, changes_ms


def _sum(
    window: Window, series: CompiledSeries, kept: Times | None, state: VisitorState, now_ms: int
) -> tuple[bool | None, float]:
    within_ms = window.within_ms or 0  # a sum has one
    after_ms = now_ms - within_ms
    moments, amounts = ([], []) if kept is None else (kept.moments(), kept.amounts)
    n_inside = sum(at_ms > after_ms for at_ms in moments)
    found = math.fsum(amounts[:n_inside])
    changes_ms: float = moments[n_inside - 1] + within_ms if n_inside else math.inf
    if n_inside < MAX_AMOUNTS and reaches_back(after_ms, series, state):
        return _COMPARE[window.operator](found, window.constant), changes_ms
    if series.declared_ms > after_ms:
        changes_ms = min(changes_ms, series.declared_ms + within_ms)
    return _if_no_less(window.operator, found >= window.constant, found > window.constant), changes_ms


def _since(
    window: Window, series: CompiledSeries, kept: Times | None, state: VisitorState, now_ms: int
) -> tuple[bool | None, float]:
    if kept is None:
        return None, math.inf
    constant_ms = int(window.constant)
    moments = (kept.newest_ms, _latest_possible_ms(series, kept, state))
    says = _if_both(window.operator, now_ms - moments[0], now_ms - moments[1], constant_ms)
    # At so many milliseconds `>=`, `<` and the equalities change; one later `>`, `<=` and they again.
    turns = [at_ms + constant_ms + late for at_ms in moments for late in (0, 1)]
    return says, min((at_ms for at_ms in turns if at_ms > now_ms), default=math.inf)


def _if_no_less(compared: str, as_many: bool, more: bool) -> bool | None:
    """What a comparison says of a number that may be larger than what was seen of it; None: either may be.

    Parameters
    ----------
    as_many, more
        Whether what was seen reaches the constant, and exceeds it.

    >>> [_if_no_less(operator, True, False) for operator in (">=", ">", "<", "==")], _if_no_less("!=", True, True)
    ([True, None, False, None], True)
    """
    decided = as_many if compared in (">=", "<") else more
    return compared in (">=", ">", "!=") if decided else None


def measured(measure: Measure, series: CompiledSeries, state: VisitorState, now_ms: int) -> float | None:
    """What a feature that looks at a window is at ``now_ms``: times, an amount, or days; None: it is not known."""
    kept = state.windows.get(series.key)
    if measure.kind == "since":
        if kept is None or not reaches_back(kept.newest_ms, series, state):
            return None
        return max(0, now_ms - kept.newest_ms) / DAY_MS
    after_ms = now_ms - measure.within_ms
    n_inside = count(kept, after_ms)
    found = float(n_inside) if measure.kind == "count" or kept is None else math.fsum(kept.amounts[:n_inside])
    if found >= measure.most:
        return measure.most
    if measure.kind == "sum" and n_inside >= MAX_AMOUNTS:
        return None
    return found if reaches_back(after_ms, series, state) else None


def count(kept: Times | None, after_ms: int) -> int:
    """How many of the moments kept lie after ``after_ms``."""
    return 0 if kept is None else sum(at_ms > after_ms for at_ms in kept.moments())


def shown(state: VisitorState, name: str, now_ms: int, catalog: CompiledCatalog) -> None:
    """Keep when something was shown, if a cap that counts it looks at a length of time.

    Parameters
    ----------
    name
        Of what is counted (``catalog.caps``).
    """
    series = catalog.series.get(shown_key(name))
    if series is not None:
        kept = state.windows.get(series.key)
        state.windows[series.key] = times.add(kept, now_ms, None, series.n_kept)
        forget(state, catalog)


def reaches_back(after_ms: float, series: CompiledSeries, state: VisitorState) -> bool:
    """Whether all that happened after ``after_ms`` was seen: by the window, or since the visitor's first event."""
    declared_ms = series.declared_ms
    return after_ms >= declared_ms or not state.first_ms or state.born_ms >= declared_ms


def forget(state: VisitorState, catalog: CompiledCatalog) -> None:
    """Beyond the bound, forget what this catalog does not look at, and what nobody asks for any more.

    Not before: entries stamped with an older version may still come, and know nothing of a newer one's windows.
    """
    if len(state.windows) <= MAX_WINDOWS:
        return
    for key, kept in list(state.windows.items()):
        series = catalog.series.get(key)
        if series is None or (series.within_ms is not None and kept.newest_ms <= state.now_ms - series.within_ms):
            del state.windows[key]


def _amount(value: Any) -> float:
    """What counts of an amount: a positive number; anything else is nothing."""
    if isinstance(value, bool) or not isinstance(value, int | float) or not value > 0:
        return 0.0
    return float(min(value, MAX_MAGNITUDE))

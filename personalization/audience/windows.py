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

from personalization.catalog.compiled_catalog import CompiledCatalog, CompiledSeries
from personalization.catalog.windows import MAX_AMOUNTS, Window, shown_key
from personalization.events.event import ClientEvent, event_name
from personalization.events.event_scope import at_path, event_scope
from personalization.features import MAX_MAGNITUDE
from personalization.visitor import times
from personalization.visitor.times import Times
from personalization.visitor.visitor_state import VisitorState

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
    wanted = catalog.series_by_event.get(event_name(event))
    if not wanted:
        return
    scope = event_scope(event)
    for series in wanted:
        if series.where is not None and not series.where.holds(scope):
            continue
        amount = _amount(at_path(event, series.path)) if series.path else None
        key = series.key
        state.windows[key] = times.add(state.windows.get(key), occurred_at_ms, amount, series.n_kept)
    _forget_undeclared(state, catalog)


def merge(into: VisitorState, other: VisitorState, catalog: CompiledCatalog) -> None:
    """Join what both know: each event happened to the one person."""
    for key, theirs in other.windows.items():
        series = catalog.series.get(key)
        if series is None:
            continue
        ours = into.windows.get(key)
        into.windows[key] = theirs if ours is None else times.join(ours, theirs, series.n_kept)
    _forget_undeclared(into, catalog)


def holds(window: Window, series: CompiledSeries, state: VisitorState, now_ms: int) -> bool | None:
    """Whether the comparison is true at ``now_ms``; None: it is not known.

    Parameters
    ----------
    series
        What the window looks at, as the catalog keeps it.
    """
    kept = state.windows.get(series.key)
    compare = _COMPARE[window.operator]
    if window.kind in ("since", "last"):
        if kept is None:
            return None  # it never happened, or nobody knows: there is no time to compare
        at_ms = kept.newest_ms
        return compare(now_ms - at_ms if window.kind == "since" else at_ms, window.constant)
    after_ms = -math.inf if window.within_ms is None else now_ms - window.within_ms
    moments = [] if kept is None else kept.moments()
    inside = [index for index, at_ms in enumerate(moments) if after_ms < at_ms <= now_ms]
    known = _reaches_back(after_ms, series, state)
    if window.kind == "count":
        found: float = len(inside)
    else:
        amounts = [] if kept is None else kept.amounts
        found = math.fsum(amounts[index] for index in inside)
        known = known and len(inside) < MAX_AMOUNTS
    if known:
        return compare(found, window.constant)
    return _at_least(found, window.operator, window.constant)


def count(kept: Times | None, after_ms: int, now_ms: int) -> int:
    """How many of the moments kept lie after ``after_ms``, up to now."""
    return 0 if kept is None else sum(after_ms < at_ms <= now_ms for at_ms in kept.moments())


def shown(state: VisitorState, content: str, now_ms: int, catalog: CompiledCatalog) -> None:
    """Keep when a content was shown, if its cap looks at a length of time."""
    series = catalog.series.get(shown_key(content))
    if series is not None:
        kept = state.windows.get(series.key)
        state.windows[series.key] = times.add(kept, now_ms, None, series.n_kept)


def _at_least(found: float, compared: str, constant: float) -> bool | None:
    """What a comparison says of a number that is known to be ``found`` or more; None: either may be.

    >>> [_at_least(3, operator, 3) for operator in (">=", ">", "<", "==")], _at_least(4, "!=", 3)
    ([True, None, False, None], True)
    """
    if compared in (">=", "<"):
        return (compared == ">=") if found >= constant else None
    if compared in (">", "<=", "!=", "=="):
        return (compared in (">", "!=")) if found > constant else None
    return None


def _reaches_back(after_ms: float, series: CompiledSeries, state: VisitorState) -> bool:
    """Whether all that happened after ``after_ms`` was seen: since the window's declaration, or the first event."""
    declared_ms = series.declared_ms
    return after_ms >= declared_ms or not state.first_ms or state.first_ms >= declared_ms


def _forget_undeclared(state: VisitorState, catalog: CompiledCatalog) -> None:
    if len(state.windows) > len(catalog.series):
        for key in [key for key in state.windows if key not in catalog.series]:
            del state.windows[key]


def _amount(value: Any) -> float:
    """What counts of an amount: a positive number; anything else is nothing."""
    if isinstance(value, bool) or not isinstance(value, int | float) or not value > 0:
        return 0.0
    return float(min(value, MAX_MAGNITUDE))

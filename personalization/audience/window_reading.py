"""What a window's number is at a moment, for people: rules compare it, and nobody else sees it."""

from __future__ import annotations

import math
from typing import NamedTuple

from personalization.audience import windows
from personalization.catalog.compiled_series import CompiledSeries
from personalization.catalog.windows import Window
from personalization.visitor.visitor_state import VisitorState


class WindowReading(NamedTuple):
    """A window at a moment.

    Attributes
    ----------
    value
        How often, how much, how many milliseconds ago, or when (milliseconds since 1970), by the window's kind;
        None: it never happened, as far as anybody knows.
    at_least
        Whether it may be more: no more is kept than the rule asks for, or not all of that time was seen.
    holds
        What the comparison says; None: it is not known.
    changes_ms
        When time alone may next change that; None: never.
    """

    value: float | None
    at_least: bool
    holds: bool | None
    changes_ms: int | None


def read_window(window: Window, series: CompiledSeries, state: VisitorState, now_ms: int) -> WindowReading:
    """What a window says of a visitor, and why.

    Parameters
    ----------
    series
        What the window looks at, as the catalog keeps it.
    """
    holds, changes_ms = windows.look(window, series, state, now_ms)
    when_ms = None if math.isinf(changes_ms) else int(changes_ms)
    kept = state.windows.get(series.key)
    if window.kind in ("since", "last"):
        newest_ms = None if kept is None else kept.newest_ms
        at_ms = newest_ms if newest_ms is None or window.kind == "last" else max(0, now_ms - newest_ms)
        return WindowReading(at_ms, False, holds, when_ms)
    after_ms = -math.inf if window.within_ms is None else now_ms - window.within_ms
    moments, amounts = ([], []) if kept is None else (kept.moments(), kept.amounts)
    n_inside = sum(at_ms > after_ms for at_ms in moments)
    value = math.fsum(amounts[:n_inside]) if window.kind == "sum" else n_inside
    at_least = n_inside >= series.n_kept or not windows.reaches_back(after_ms, series, state)
    return WindowReading(value, at_least, holds, when_ms)

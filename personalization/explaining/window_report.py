"""Every window of the catalog as it stands for one visitor: how often, how much, how long ago, and until when."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from personalization.audience.variables import VisitorScope
from personalization.audience.window_reading import read_window
from personalization.catalog.windows import Window
from personalization.explaining.value_words import length_in_words, moment_in_words


@dataclass(frozen=True, slots=True)
class WindowSeen:
    """A comparison that a rule makes, or a feature that counts.

    Attributes
    ----------
    text
        As a rule writes it.
    value
        The number compared: times, an amount, milliseconds since it happened, or when it did (milliseconds since
        1970); of a feature times, an amount or days. None: it never happened, or is not known.
    at_least
        Whether it may be more: no more is kept than is asked for.
    holds
        None: it is not known, or it is a feature, which compares nothing.
    changes_ms
        When time alone may next change what the rule finds; None: never.
    """

    text: str
    event: str
    kind: str
    value: float | None
    at_least: bool = False
    holds: bool | None = None
    changes_ms: int | None = None


def windows_seen(scope: VisitorScope) -> Iterator[WindowSeen]:
    """What the windows of the catalog say of a visitor; nothing where the state is not known."""
    state, catalog = scope.state, scope.catalog
    if state is None:
        return
    for window in catalog.windows.values():
        seen = read_window(window, catalog.series[window.series.id], state, scope.now_ms)
        yield WindowSeen(
            written(window),
            window.series.event,
            window.kind,
            seen.value,
            seen.at_least,
            seen.holds,
            seen.changes_ms,
        )
    for feature, measure in catalog.measures.items():
        yield WindowSeen(feature, measure.series.event, measure.kind, scope.value(feature))


def written(window: Window) -> str:
    """A window as a rule may write it.

    >>> from personalization.catalog.cel_parser import parse
    >>> from personalization.catalog.windows import read_windows
    >>> written(read_windows(parse('3 <= count("Viewed", within="7 days", where="properties.a==1")'))[1][0])
    'count("Viewed", within="7d", where="properties.a == 1") >= 3'
    """
    series = window.series
    told = [_quoted(series.event)]
    if series.of:
        told.append(f"of={_quoted(series.of)}")
    if window.within_ms is not None:
        told.append(f"within={_quoted(length_in_words(window.within_ms).replace(' ', ''))}")
    if series.where:
        told.append(f"where={_quoted(series.where)}")
    constant = f"{window.constant:g}"
    if window.kind == "since":
        constant = f"duration({_quoted(length_in_words(window.constant).replace(' ', ''))})"
    elif window.kind == "last":
        constant = f"timestamp({_quoted(moment_in_words(window.constant))})"
    return f"{window.kind}({', '.join(told)}) {window.operator} {constant}"


def _quoted(text: str) -> str:
    return f'"{text}"' if '"' not in text else f"'{text}'"

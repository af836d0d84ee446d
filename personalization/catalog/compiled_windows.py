"""What windows look at, made ready, and the segments that are followed for them."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import chain

from personalization.bounded import short_hash
from personalization.catalog.caps import caps_by_name
from personalization.catalog.catalog import Catalog, PublishedCatalog
from personalization.catalog.cel_tree import Name
from personalization.catalog.compiled_events import CompiledEvents
from personalization.catalog.compiled_series import CompiledSeries
from personalization.catalog.measures import measures_of
from personalization.catalog.rules import EVENT_VARIABLES, Rule
from personalization.catalog.vocabulary import STEADY_VARIABLES
from personalization.catalog.walk import features_of, visitor_rules
from personalization.catalog.windows import MAX_TIMES, Series, Window, shown_key, windows_of
from personalization.errors import InvalidInput

MAX_SERIES = 32
"""Events that windows look at, conditions told apart: what is kept of each visitor grows with them."""


@dataclass(frozen=True, slots=True)
class FollowedSegment:
    """A segment that is followed: its rule, and what its windows look at.

    Attributes
    ----------
    is_window
        Whether the rule is one window and nothing else.
    turned
        What another event of such a window can do: turn it on, turn it off, or either (None).
    """

    name: str
    rule: Rule
    windows: tuple[tuple[Window, CompiledSeries], ...]
    is_window: bool
    turned: bool | None


@dataclass(slots=True)
class FollowedSegments:
    """The segments that somebody enters and leaves at a known moment.

    They look at windows, and else only at what events change.

    Attributes
    ----------
    by_event
        By the name of each event that may change them.
    hash
        Stands for all of them: what is kept of a visitor was found by these rules or by others.
    """

    by_name: dict[str, FollowedSegment] = field(default_factory=dict)
    by_event: dict[str, list[FollowedSegment]] = field(default_factory=dict)
    hash: bytes = b""


def series_of(catalog: Catalog) -> dict[Series, int]:
    """What the windows of a catalog's rules look at, and how many times of each they ask for."""
    found: dict[Series, int] = {}
    for window in windows_of(visitor_rules(catalog)):
        found[window.series] = max(window.n_kept, found.get(window.series, 1))
    for _, measure in measures_of(chain.from_iterable(names for _, names in features_of(catalog))):
        found[measure.series] = max(measure.n_kept, found.get(measure.series, 1))
    return found


def compile_series(
    catalog: Catalog, events: CompiledEvents, looking_back: Sequence[Rule], fail: Callable[[str, str, str], None]
) -> list[CompiledSeries]:
    """What the windows of rules look at, and caps over a length of time.

    Each event and condition stands once, with as many times as the rule asks for that asks for most.

    Parameters
    ----------
    looking_back
        The rules that have windows.
    fail
        Told of every mistake: where, what, and its code.
    """
    declared = catalog.declared if isinstance(catalog, PublishedCatalog) else {}
    wanted: dict[Series, tuple[int, str]] = {}
    for rule in looking_back:
        for window in rule.windows:
            n_kept, where = wanted.get(window.series, (1, rule.field))
            wanted[window.series] = max(window.n_kept, n_kept), where
    for field_, names in features_of(catalog):
        for _, measure in measures_of(names):
            n_kept, where = wanted.get(measure.series, (1, field_))
            wanted[measure.series] = max(measure.n_kept, n_kept), where
    if len(wanted) > MAX_SERIES:
        said = f"windows look at {len(wanted)} events; at most {MAX_SERIES} are kept of a visitor"
        fail("segments", said, "invalid_field")
    made = []
    for series, (n_kept, where) in wanted.items():
        path = tuple(series.of.split(".")) if series.of else ()
        if path and not (path[0] in EVENT_VARIABLES and all(path)):
            known = ", ".join(sorted(EVENT_VARIABLES))
            fail(where, f"of={series.of!r} is no path into an event; begin it with one of {known}", "invalid_field")
        condition = _condition(series, where, fail)
        declared_ms = declared.get(series.id.hex(), (0, 0))[0]
        names = events.names(series.event)
        made.append(CompiledSeries(series.id, series.event, condition, path, n_kept, declared_ms, events=names))
    for name, caps in caps_by_name(catalog).items():
        lengths_ms = [cap.within_ms for cap in caps if cap.within_ms is not None]
        if lengths_ms:
            # As many as any cap may ask for: a limit that is raised must know what was shown before.
            made.append(CompiledSeries(shown_key(name), "", None, (), MAX_TIMES, 0, max(lengths_ms)))
    return made


def _condition(series: Series, where: str, fail: Callable[[str, str, str], None]) -> Rule | None:
    if not series.where:
        return None
    try:
        rule = Rule(series.where, where, EVENT_VARIABLES)
    except InvalidInput as error:
        fail(where, f"where={series.where!r}: {error.message}", error.code)
        return None
    rule.field = f"{where}.where"  # its errors at run time are not those of the rule that it stands in
    return rule


def is_followed(rule: Rule) -> bool:
    """Whether somebody enters and leaves a segment of this rule at a known moment."""
    return bool(rule.windows) and _others(rule) <= STEADY_VARIABLES


def _others(rule: Rule) -> frozenset[str]:
    """What it looks at beside windows."""
    return frozenset(rule.variables) - {window.variable for window in rule.windows}


def follow(
    segments: Mapping[str, Rule],
    by_key: Mapping[bytes, CompiledSeries],
    by_meaning: CompiledEvents,
    found: FollowedSegments,
) -> None:
    """Enter into ``found`` the segments that can be followed."""
    for name, rule in segments.items():
        if not is_followed(rule):
            continue
        others = _others(rule)
        looked_at = tuple((window, by_key[window.series.id]) for window in rule.windows)
        is_window = rule.tree == Name(rule.windows[0].variable)
        turned = rule.windows[0].turned_by_an_event if is_window else None
        segment = found.by_name[name] = FollowedSegment(name, rule, looked_at, is_window, turned)
        events = by_meaning.all_names(window.series.event for window in rule.windows)
        for event in events | by_meaning.changing(others):
            found.by_event.setdefault(event, []).append(segment)
    if found.by_name:
        said = [
            (name, each.rule.source, [series.declared_ms for _, series in each.windows])
            for name, each in sorted(found.by_name.items())
        ]
        found.hash = short_hash(repr(said))

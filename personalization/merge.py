"""The one merge of two visitors' states: used by the fold when identities meet and by the decider in memory.

Counts, affinities and exposures add up, decayed to one moment; what can hold only one value keeps that of the
canonical side, save consent, where a refusal on either side stays a refusal.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import TypeVar

from personalization import bounded, decay
from personalization.compiled import CompiledCatalog
from personalization.visitor_state import (
    MAX_AFFINITY_KEYS,
    MAX_CART,
    MAX_CONSENTS,
    MAX_COUNTS,
    MAX_EXPOSURES,
    MAX_HOLDOUTS,
    MAX_STICKY,
    MAX_TRAITS,
    Affinity,
    Decayed,
    Exposure,
    Holdout,
    Session,
    VisitorState,
)

V = TypeVar("V")


def merge_states(into: VisitorState, other: VisitorState, catalog: CompiledCatalog) -> None:
    """Merge ``other`` into ``into`` in place.

    The fence, the clock and the redirect of ``into`` stay its own. ``revision`` becomes the sum, so that it
    never runs backwards for a client that saw both sides merged in memory.
    """
    spec = catalog.catalog
    now_ms = max(into.last_ms, other.last_ms)
    into.revision += other.revision
    into.event_count += other.event_count
    into.first_ms = min(filter(None, (into.first_ms, other.first_ms)), default=0)
    into.last_ms = now_ms
    into.revenue += other.revenue
    into.n_orders += other.n_orders
    _merge_sessions(into, other, spec.session_gap_ms)
    _merge_counts(into, other, now_ms, spec.count_half_life_ms)
    for name, affinity in other.affinities.items():
        declared = spec.affinities.get(name)
        half_life_ms = None if declared is None else declared.half_life_ms
        into.affinities[name] = _merged_affinity(into.affinities.get(name), affinity, half_life_ms)
    _fill(into.traits, other.traits.items(), MAX_TRAITS)
    _fill(into.cart, other.cart.items(), MAX_CART)
    for purpose, granted in other.consents.items():
        if purpose in into.consents or len(into.consents) < MAX_CONSENTS:
            into.consents[purpose] = granted and into.consents.get(purpose, True)
    for placement, holdout in other.holdouts.items():
        into.holdouts[placement] = merged_holdout(into.holdouts.get(placement), holdout)
    bounded.trim(into.holdouts, MAX_HOLDOUTS, lambda side: side.first_ms)


def merged_holdout(ours: Holdout | None, theirs: Holdout) -> Holdout:
    """The earliest exposure decides the side; whoever saw both sides is a crossover."""
    if ours is None:
        return theirs
    crossover = ours.crossover or theirs.crossover or ours.control != theirs.control
    first = theirs if theirs.first_ms < ours.first_ms else ours
    return Holdout(first.control, first.first_ms, crossover)


def _merge_sessions(into: VisitorState, other: VisitorState, gap_ms: int) -> None:
    """One session out of two; exposures and sticky choices of the live one move to its number."""
    ours, theirs = into.session, other.session
    later, earlier = (theirs, ours) if theirs.last_ms > ours.last_ms else (ours, theirs)
    together = earlier.number > 0 and later.started_ms - earlier.last_ms <= gap_ms
    number = max(ours.number, theirs.number)
    if later is theirs and ours.number > 0 and not together:
        number = max(ours.number + 1, theirs.number)
    live = {id(later)} | ({id(earlier)} if together else set())

    def renumbered(session: Session, old: int) -> int:
        # A number that was not the live one must not look like the merged session: 0 is none.
        return number if id(session) in live and old == session.number else min(old, number - 1)

    exposures = {
        content: _renumber_exposure(exposure, renumbered(ours, exposure.session))
        for content, exposure in into.exposures.items()
    }
    for content, exposure in other.exposures.items():
        moved = _renumber_exposure(exposure, renumbered(theirs, exposure.session))
        exposures[content] = _merged_exposure(exposures.get(content), moved)
    bounded.trim(exposures, MAX_EXPOSURES, lambda exposure: exposure.last_ms)
    for choice in into.sticky.values():
        choice.session = renumbered(ours, choice.session)
    for slot, choice in other.sticky.items():
        choice.session = renumbered(theirs, choice.session)
        kept = into.sticky.get(slot)
        if kept is None or kept.session < choice.session:
            into.sticky[slot] = choice
    bounded.trim(into.sticky, MAX_STICKY, lambda choice: choice.session)
    into.exposures = exposures
    into.session = Session(
        number,
        min(later.started_ms, earlier.started_ms) if together else later.started_ms,
        later.last_ms,
        later.n_events + (earlier.n_events if together else 0),
        later.n_views + (earlier.n_views if together else 0),
    )


def _renumber_exposure(exposure: Exposure, session: int) -> Exposure:
    return Exposure(exposure.total, exposure.day, exposure.on_day, session, exposure.in_session, exposure.last_ms)


def _merged_exposure(ours: Exposure | None, theirs: Exposure) -> Exposure:
    if ours is None:
        return theirs
    day, session = max(ours.day, theirs.day), max(ours.session, theirs.session)
    return Exposure(
        ours.total + theirs.total,
        day,
        sum(side.on_day for side in (ours, theirs) if side.day == day),
        session,
        sum(side.in_session for side in (ours, theirs) if side.session == session),
        max(ours.last_ms, theirs.last_ms),
    )


def _merge_counts(into: VisitorState, other: VisitorState, now_ms: int, half_life_ms: int) -> None:
    for name, count in other.counts.items():
        into.counts[name] = decay.add(into.counts.get(name), count.value, count.at_ms, half_life_ms)

    def worth(count: Decayed) -> float:
        return decay.decayed(count.value, count.at_ms, now_ms, half_life_ms)

    bounded.trim(into.counts, MAX_COUNTS, worth)


def _merged_affinity(ours: Affinity | None, theirs: Affinity, half_life_ms: int | None) -> Affinity:
    if ours is None:
        return theirs
    if ours.at_ms < theirs.at_ms:
        ours, theirs = theirs, ours
    fade = decay.advance(ours, theirs.at_ms, half_life_ms)
    for key, weight in theirs.weights.items():
        ours.weights[key] = ours.weights.get(key, 0.0) + weight * fade
    bounded.trim(ours.weights, MAX_AFFINITY_KEYS, abs)
    return ours


def _fill(into: dict[str, V], items: Iterable[tuple[str, V]], bound: int) -> None:
    for name, value in items:
        if name not in into and len(into) < bound:
            into[name] = value

"""The one merge of two visitors' states: used by the fold when identities meet and by the decider in memory.

Counts, affinities and exposures add up, decayed to one moment; what can hold only one value keeps that of the
canonical side, save consent, where the later word holds, and of two at once the refusal.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import TypeVar

from personalization import bounded
from personalization.audience import tallies, windows
from personalization.catalog.compiled_catalog import CompiledCatalog
from personalization.visitor import decay, purposes
from personalization.visitor.session import merged_session
from personalization.visitor.visitor_state import (
    MAX_AFFINITY_KEYS,
    MAX_CART,
    MAX_COUNTS,
    MAX_EXPOSURES,
    MAX_HOLDOUTS,
    MAX_STICKY,
    MAX_TRAITS,
    Affinity,
    Decayed,
    Exposure,
    Holdout,
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
    both_born = [side.born_ms for side in (into, other) if side.first_ms]
    into.born_ms = min(both_born, default=0)
    into.first_ms = min(filter(None, (into.first_ms, other.first_ms)), default=0)
    into.last_ms = now_ms
    into.revenue += other.revenue
    into.n_orders += other.n_orders
    _merge_sessions(into, other, catalog)
    into.unit = into.unit or other.unit
    _merge_counts(into, other, now_ms, catalog)
    for name, affinity in other.affinities.items():
        declared = spec.affinities.get(name)
        half_life_ms = None if declared is None else declared.half_life_ms
        into.affinities[name] = _merged_affinity(
            into.affinities.get(name), affinity, half_life_ms, catalog.named.affinities.get(name, frozenset())
        )
    _fill(into.traits, other.traits.items(), MAX_TRAITS, catalog.named.traits)
    _fill(into.cart, other.cart.items(), MAX_CART)
    windows.merge(into, other, catalog)
    tallies.merge(into, other, catalog)
    purposes.merge(into.consents, other.consents, catalog.named.purposes)
    for placement, holdout in other.holdouts.items():
        into.holdouts[placement] = merged_holdout(into.holdouts.get(placement), holdout)
    bounded.trim(into.holdouts, MAX_HOLDOUTS, lambda side: side.first_ms, catalog.named.held_out)


def merged_holdout(ours: Holdout | None, theirs: Holdout) -> Holdout:
    """The earliest exposure decides the side; whoever saw both sides is a crossover."""
    if ours is None:
        return theirs
    crossover = ours.crossover or theirs.crossover or ours.control != theirs.control
    first = theirs if theirs.first_ms < ours.first_ms else ours
    return Holdout(first.control, first.first_ms, crossover)


def _merge_sessions(into: VisitorState, other: VisitorState, catalog: CompiledCatalog) -> None:
    """One session out of two, and of exposures and kept choices those that belong to it."""
    into.session = merged_session(into.session, other.session, catalog.catalog.session_gap_ms)
    start_ms = into.session.started_ms
    for content, exposure in other.exposures.items():
        into.exposures[content] = _merged_exposure(into.exposures.get(content), exposure, start_ms)
    bounded.trim(into.exposures, MAX_EXPOSURES, lambda exposure: exposure.last_ms, catalog.named.capped)
    for slot, choice in other.sticky.items():
        kept = into.sticky.get(slot)
        if kept is None or (kept.at_ms < start_ms and kept.at_ms < choice.at_ms):
            into.sticky[slot] = choice
    trim_sticky(into, catalog)


def trim_sticky(state: VisitorState, catalog: CompiledCatalog) -> None:
    """Forget the oldest choices beyond the bound; never one of a placement in the catalog.

    The next draw for a slot is named by the choice it replaces: one forgotten would be drawn again with its ticket.
    """
    if len(state.sticky) <= MAX_STICKY:
        return
    gone = [slot for slot in state.sticky if slot.rpartition("/")[0] not in catalog.placements]
    for slot in sorted(gone, key=lambda slot: (state.sticky[slot].at_ms, slot))[: len(state.sticky) - MAX_STICKY]:
        del state.sticky[slot]


def _merged_exposure(ours: Exposure | None, theirs: Exposure, start_ms: int) -> Exposure:
    if ours is None:
        return theirs
    day = max(ours.day, theirs.day)
    return Exposure(
        ours.total + theirs.total,
        day,
        sum(side.on_day for side in (ours, theirs) if side.day == day),
        sum(side.in_session for side in (ours, theirs) if side.last_ms >= start_ms),
        max(ours.last_ms, theirs.last_ms),
    )


def _merge_counts(into: VisitorState, other: VisitorState, now_ms: int, catalog: CompiledCatalog) -> None:
    half_life_ms = catalog.catalog.count_half_life_ms
    for name, count in other.counts.items():
        into.counts[name] = decay.add(into.counts.get(name), count.value, count.at_ms, half_life_ms)

    def worth(count: Decayed) -> float:
        return decay.decayed(count.value, count.at_ms, now_ms, half_life_ms)

    bounded.trim(into.counts, MAX_COUNTS, worth, catalog.named.events)


def _merged_affinity(
    ours: Affinity | None, theirs: Affinity, half_life_ms: int | None, named: frozenset[str]
) -> Affinity:
    if ours is None:
        return theirs
    if ours.at_ms < theirs.at_ms:
        ours, theirs = theirs, ours
    fade = decay.advance(ours, theirs.at_ms, half_life_ms)
    for key, weight in theirs.weights.items():
        ours.weights[key] = ours.weights.get(key, 0.0) + weight * fade
    bounded.trim(ours.weights, MAX_AFFINITY_KEYS, abs, named)
    return ours


def _fill(
    into: dict[str, V], items: Iterable[tuple[str, V]], bound: int, named: frozenset[str] = frozenset()
) -> None:
    for name, value in items:
        if name not in into and (name in named or len(into) < bound):
            into[name] = value

"""What a client event does to a visitor: the part of the fold the decider also applies, to events sent along.

Sessions go by ``now_ms``, the log's order; decay and dates of visits by ``occurred_at_ms``, the client's time.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

from personalization import bounded
from personalization.audience import tallies, windows
from personalization.audience.commerce import apply_commerce
from personalization.catalog.compiled_catalog import CompiledCatalog
from personalization.catalog.rules import Scope
from personalization.events.event import ClientEvent, Group, Identify, Page, Screen, Track
from personalization.events.event_fields import name_in
from personalization.events.event_scope import at_path, event_scope
from personalization.features import MAX_CATEGORY_CHARS, MAX_MAGNITUDE
from personalization.visitor import decay
from personalization.visitor.session import continue_session
from personalization.visitor.visitor_state import (
    MAX_AFFINITY_KEYS,
    MAX_COUNTS,
    MAX_TRAIT_CHARS,
    MAX_TRAITS,
    Affinity,
    Decayed,
    Scalar,
    VisitorState,
)


def apply_event(
    state: VisitorState,
    event: ClientEvent,
    occurred_at_ms: int,
    now_ms: int,
    catalog: CompiledCatalog,
    *,
    is_known_order: bool = False,
) -> bool:
    """Apply one client event in place: counts, session, affinities, basket, traits, revision.

    Returns whether it is the first event of a session. One that is older than the gap between sessions was sent
    late: it neither begins a session nor keeps one going.

    Parameters
    ----------
    is_known_order
        Whether it tells of an order that was told of before: cart, revenue and orders stay.
    """
    spec = catalog.catalog
    state.revision += 1
    state.event_count += 1
    if not state.first_ms and catalog.series_by_event:
        state.born_ms = now_ms
    state.first_ms = min(state.first_ms or occurred_at_ms, occurred_at_ms)
    state.last_ms = max(state.last_ms, occurred_at_ms)
    first = now_ms - occurred_at_ms <= spec.session_gap_ms and continue_session(
        state, now_ms, spec.session_gap_ms, view=isinstance(event, Page | Screen)
    )
    if isinstance(event, Track | Page | Screen):
        _count(state, name_in(event, catalog.events), occurred_at_ms, now_ms, catalog)
    if isinstance(event, Track | Page | Screen):
        if not is_known_order:
            apply_commerce(state, event, catalog)
    elif isinstance(event, Identify):
        if event.traits_once:
            _apply_traits(state, _not_held(state, event.traits_once), catalog)
        _apply_traits(state, event.traits, catalog)
    elif isinstance(event, Group):
        _apply_traits(state, {"group_id": event.group_id}, catalog)
    _apply_affinities(state, event, occurred_at_ms, catalog)
    windows.observe(state, event, occurred_at_ms, catalog)
    tallies.observe(state, event, occurred_at_ms, catalog)
    return first


def _count(state: VisitorState, name: str, occurred_at_ms: int, now_ms: int, catalog: CompiledCatalog) -> None:
    half_life_ms = catalog.catalog.count_half_life_ms
    name = name[:MAX_CATEGORY_CHARS]
    held = state.counts.get(name)
    if held is None and len(state.counts) >= MAX_COUNTS and name not in catalog.named.events:

        def worth(count: Decayed) -> float:
            return decay.decayed(count.value, count.at_ms, now_ms, half_life_ms)

        # A newcomer takes the place and the worth of the least: else none would ever enter a full map.
        dropped = bounded.trim(state.counts, MAX_COUNTS - 1, worth, catalog.named.events)
        held = dropped[-1] if dropped else None
    state.counts[name] = decay.add(held, 1.0, occurred_at_ms, half_life_ms)


def _apply_affinities(
    state: VisitorState, event: ClientEvent, occurred_at_ms: int, catalog: CompiledCatalog
) -> None:
    rules = catalog.affinities_by_event.get(name_in(event, catalog.events))
    if not rules:
        return
    scope: Scope | None = None
    raised: dict[str, float] = {}
    for rule in rules:
        if rule.when is not None:
            scope = scope or event_scope(event, catalog)
            if not rule.when.holds(scope):
                continue
        keys = _keys(at_path(event, rule.path, catalog))
        if not keys:
            continue
        affinity = state.affinities.get(rule.name)
        if affinity is None:
            affinity = state.affinities[rule.name] = Affinity(occurred_at_ms)
        if rule.name not in raised:
            raised[rule.name] = decay.advance(affinity, occurred_at_ms, rule.spec.half_life_ms)
            fade = rule.spec.decay_per_event
            if fade != 1.0:
                affinity.weights = {key: weight * fade for key, weight in affinity.weights.items()}
        amount = rule.weight * raised[rule.name]
        weights = affinity.weights
        named = catalog.named.affinities.get(rule.name, frozenset())
        for key in keys:
            held = weights.get(key)
            if held is None:
                held = 0.0
                if len(weights) >= MAX_AFFINITY_KEYS and key not in named:
                    dropped = bounded.trim(weights, MAX_AFFINITY_KEYS - 1, abs, named)
                    held = dropped[-1] if dropped else 0.0
            weights[key] = max(-MAX_MAGNITUDE, min(MAX_MAGNITUDE, held + amount))


def _keys(value: Any) -> list[str]:
    values = value if isinstance(value, list) else [value]
    return [text[:MAX_CATEGORY_CHARS] for text in values[:MAX_AFFINITY_KEYS] if isinstance(text, str) and text]


def _apply_traits(state: VisitorState, traits: Mapping[str, Any], catalog: CompiledCatalog) -> None:
    named = catalog.named.traits
    for name, value in traits.items():
        name = name[:MAX_CATEGORY_CHARS]
        if value is None:
            state.traits.pop(name, None)
            continue
        scalar = _scalar(value)
        if scalar is None:
            continue
        # Written last stands last: the first of those that nobody names was not written for longest.
        state.traits.pop(name, None)
        state.traits[name] = scalar
        if len(state.traits) > MAX_TRAITS:
            others = [other for other in state.traits if other not in named]
            for other in others[: max(0, len(others) - MAX_TRAITS)]:
                del state.traits[other]


def _not_held(state: VisitorState, traits: Mapping[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in traits.items() if name[:MAX_CATEGORY_CHARS] not in state.traits}


def _scalar(value: Any) -> Scalar | None:
    if isinstance(value, str):
        return value[:MAX_TRAIT_CHARS]
    if isinstance(value, bool):
        return value
    if isinstance(value, int) or (isinstance(value, float) and math.isfinite(value)):
        return value
    return None

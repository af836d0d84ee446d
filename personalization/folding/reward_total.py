"""What several rewards of one decision add up to.

Each reward has a name (``click``, ``purchase``, ``revenue``) and is multiplied by the placement's weight for it.
Rewards of one name combine as the placement says (``sum``, ``max``, ``first``), and names add up:

    total = Σ over names of combine(weight(name) · value of each reward of that name)

held within ``reward_range`` when the decision closes. A name that the placement's ``weights`` do not list weighs 1
and counts, together with every other such name, as the one nameless kind: what callers make up cannot grow a state.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import TypeAlias

from personalization.catalog.catalog import Placement
from personalization.features import NO_FEATURES
from personalization.visitor.folder_state import OpenDecision

Worth: TypeAlias = float | dict[str, float]
"""Weighted rewards of one moment by name; a number alone is nameless."""

NAMELESS = ""


def weighted(name: str, value: float, placement: Placement | None) -> tuple[str, float]:
    """The name a reward counts under, and what it counts.

    >>> from personalization.catalog.catalog import Placement
    >>> hero = Placement(content=("a",), default="a", weights={"click": 0.25})
    >>> weighted("click", 2.0, hero), weighted("smile", 2.0, hero), weighted("click", 2.0, None)
    (('click', 0.5), ('', 2.0), ('', 2.0))
    """
    weight = None if placement is None else placement.weights.get(name)
    return (NAMELESS, value) if weight is None else (name, weight * value)


def worth_of(values: Mapping[str, float]) -> Worth | None:
    """Weighted rewards by name as they are kept; None where there is nothing, or nothing finite."""
    finite = {name: value for name, value in values.items() if math.isfinite(value)}
    if not finite:
        return None
    return finite[NAMELESS] if finite.keys() == {NAMELESS} else finite


def names_of(worth: Worth) -> list[str]:
    """The names under which it is a success: a penalty is none.

    >>> names_of(1.0), names_of({"click": 1.0, "return": -2.0})
    ([''], ['click'])
    """
    by_name = worth if isinstance(worth, dict) else {NAMELESS: worth}
    return [name for name, value in by_name.items() if value > 0.0]


def add_reward(decision: OpenDecision, worth: Worth) -> None:
    """Add what one event or call brought; it counts as one reward, whatever names it has."""
    decision.n_rewards += 1
    for name, value in worth.items() if isinstance(worth, dict) else ((NAMELESS, worth),):
        if not decision.terms.combine:
            decision.reward += value
            continue
        known = decision.by_name.get(name)
        if known is None:
            decision.by_name[name] = value
        elif decision.terms.combine == "max":
            decision.by_name[name] = max(known, value)
    if decision.by_name:
        decision.reward = sum(decision.by_name.values())


def unite(decision: OpenDecision, other: OpenDecision) -> None:
    """Add what the same trial was credited, and when it was shown, under another key of its visitor."""
    shown = [each.exposed_at_ms for each in (decision, other) if each.exposed_at_ms is not None]
    if shown:
        decision.exposed_at_ms = min(shown)
        decision.due_ms = decision.exposed_at_ms + decision.terms.window_ms
    decision.by_reward = (
        min(decision.by_reward, other.by_reward) if len(shown) == 2 else max(decision.by_reward, other.by_reward)
    )
    decision.trains = decision.trains or other.trains
    if decision.features == NO_FEATURES:
        decision.features, decision.arm_features = other.features, other.arm_features
    n_rewards = decision.n_rewards + other.n_rewards
    if other.n_rewards:
        add_reward(decision, other.by_name or other.reward)
    decision.n_rewards = n_rewards
    decision.rewarded_from = decision.rewarded_from or other.rewarded_from
    decision.trace = decision.trace or other.trace
    decision.called = sorted({*decision.called, *other.called})
    decision.sample_weight = max(decision.sample_weight, other.sample_weight)


def total_reward(decision: OpenDecision) -> float:
    """What the decision is worth as it stands, within its range."""
    total = decision.reward if decision.n_rewards else decision.terms.default_reward
    return max(decision.terms.low, min(decision.terms.high, total))

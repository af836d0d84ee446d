"""What of a page's word on rewards counts: everybody has a page's key, and calls as often as they like."""

from __future__ import annotations

import math

from personalization.catalog.catalog import Placement
from personalization.folding.reward_total import weighted
from personalization.visitor.folder_state import HeldReward, OpenDecision

NOT_BY_SERVER = "not_by_server"
"""The placement takes a server's word alone."""

REPEATED = "reward_repeated"
"""A page has said so before: each name counts once a decision."""


def most_by_page(placement: Placement | None) -> float:
    """What a reward that a page calls is worth at most: as much as the best of the placement's rules.

    >>> from personalization.catalog.catalog import RewardRule
    >>> rules = (RewardRule(event="Clicked", value=0.2), RewardRule(event="Shared", value=0.5))
    >>> most_by_page(Placement(rewards=rules)), most_by_page(Placement())
    (0.5, inf)
    """
    values = [rule.value for rule in placement.rewards] if placement is not None else []
    numbers = [value for value in values if not isinstance(value, str)]
    return max(numbers) if values and len(numbers) == len(values) else math.inf


def refused_of_page(decision: OpenDecision, placement: Placement | None, held: HeldReward) -> str | None:
    """Why a reward by call does not count; None: it does."""
    if not held.by_page:
        return None
    if placement is not None and placement.rewards_by == "server":
        return NOT_BY_SERVER
    name, _ = weighted(held.name, 0.0, placement)
    return REPEATED if name in decision.called else None

"""A decision as OFREP has flags: value, variant, reason, and flat metadata."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from api.evaluating import value_of
from api.reading.notice import Notice
from personalization.deciding.decider_catalog import PreparedCatalog, PreparedPlacement
from personalization.deciding.decision import Decision, Tier

_REASONS = {
    Tier.PERSONALISED: "SPLIT",
    Tier.CONTEXTUAL: "SPLIT",
    Tier.RULES: "TARGETING_MATCH",
    Tier.DEFAULT: "DISABLED",
}
"""OFREP knows no others but ``STATIC`` and ``UNKNOWN``, and a client may fail at one that it does not know."""


def flag_of(decision: Decision, catalog: PreparedCatalog, notices: Sequence[Notice]) -> dict[str, Any]:
    """The flag that a decision is.

    Parameters
    ----------
    catalog
        The version it was made under.
    notices
        What the caller is to be told: OFREP has no other place for it than the metadata.
    """
    metadata: dict[str, Any] = {
        "decisionId": decision.decision_id,
        "propensity": decision.probability,
        "tier": decision.tier,
    }
    if decision.variant:
        metadata["placementVariant"] = decision.variant
    if notices:
        metadata["warning"] = "; ".join(f"{notice.field} {notice.message}" for notice in notices)
    return {
        "key": decision.placement,
        "value": value_of(decision.content),
        "variant": decision.content_id,
        "reason": reason_of(decision, catalog.placements[decision.placement]),
        "metadata": metadata,
    }


def reason_of(decision: Decision, placement: PreparedPlacement) -> str:
    """Why the value is what it is: ``STATIC`` where it can be no other."""
    may_differ = placement.candidates.conditional or placement.variants or decision.holdout
    certain = len(placement.candidates.arms) == 1 and not may_differ
    if certain and decision.tier is not Tier.DEFAULT:
        return "STATIC" if placement.compiled.when is None else "TARGETING_MATCH"
    return _REASONS[decision.tier]

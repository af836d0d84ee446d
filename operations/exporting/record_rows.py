"""Records of the log as rows."""

from __future__ import annotations

import base64
import binascii
from collections.abc import Mapping
from typing import Any

from operations.exporting.columns import ARM_FEATURE, FEATURE, Row
from personalization.deciding.distribution import SCALE
from personalization.events.decision_id import trial_of
from personalization.events.decision_record import DecisionRecord
from personalization.events.outcome import Outcome
from personalization.visitor.choice import Choice

_KEYS = (b"u:", b"a:")
_KEY_AT = 18


def decision_row(record: DecisionRecord, visitor_id: str | None = None) -> Row:
    """A decision as a row.

    Parameters
    ----------
    visitor_id
        Whose it is, where that is to be told.
    """
    eligible = record.eligible()
    return {
        **_choice(record.choice, record.unit, visitor_id),
        "request_id": record.answered_as or record.request_id,
        "decided_at_ms": record.decided_at_ms,
        "tier": record.tier,
        "tier_reason": record.reason,
        "exposed": record.exposed,
        "sticky": record.sticky,
        "trains": record.trains,
        "crawler": record.crawler,
        "session": record.session,
        "state_revision": record.state_revision,
        "state_age_ms": record.state_age_ms,
        "eligible_arms": list(record.arms),
        "eligible_propensities": [each.weight / SCALE for each in eligible],
        "eligible_means": [each.mean for each in eligible],
        "eligible_sds": [each.sd for each in eligible],
        "placed_above": list(record.above),
        "filtered": record.filtered,
        "arm_features": record.arm_features,
        **_named(FEATURE, record.features),
    }


def outcome_row(outcome: Outcome, visitor_id: str | None = None) -> Row:
    """A closed decision as a row; see ``decision_row``."""
    return {
        **_choice(outcome.choice, outcome.unit, visitor_id),
        "reward": outcome.reward,
        "n_rewards": outcome.n_rewards,
        "closed_because": outcome.reason.value,
        "decided_at_ms": outcome.decided_at_ms,
        "exposed_at_ms": outcome.exposed_at_ms,
        "closed_at_ms": outcome.closed_at_ms,
        "trains": outcome.trains,
        "training_weight": outcome.training_weight,
        "sample_weight": outcome.sample_weight,
        "predicted": outcome.predicted,
        "registered": outcome.key_class == "u" if outcome.key_class else None,
        "key_class": outcome.by or None,
        "shown_by_reward": outcome.shown_by_reward,
        **_named(FEATURE, outcome.features),
        **_named(ARM_FEATURE, outcome.arm_features),
    }


def shown_id(decision_id: str) -> str:
    """A decision's id as others may see it: one that releases before made tells its visitor's, and is cut short.

    >>> shown_id(base64.urlsafe_b64encode(bytes(18) + b"u:ann").decode().rstrip("="))
    'AAAAAAAAAAAA'
    """
    try:
        raw = base64.urlsafe_b64decode(decision_id + "=" * (-len(decision_id) % 4))
    except (binascii.Error, ValueError):
        return trial_of(decision_id)
    return trial_of(decision_id) if raw[_KEY_AT:].startswith(_KEYS) else decision_id


def _choice(choice: Choice, unit: bytes, visitor_id: str | None) -> Row:
    told = {} if visitor_id is None else {"visitor_id": visitor_id or None}
    return {
        "decision_id": shown_id(choice.decision_id),
        "visitor": unit.hex() or None,
        **told,
        "placement": choice.placement,
        "slot": choice.slot,
        "arm": choice.arm,
        "propensity": choice.weight / SCALE,
        "policy": choice.policy,
        "policy_arm": choice.policy_arm or None,
        "model_version": choice.model_version,
        "catalog_version": choice.catalog_version,
        "holdout": choice.holdout,
        "variant": choice.variant,
    }


def _named(prefix: str, features: Mapping[str, Any]) -> Row:
    return {prefix + name: features[name] for name in sorted(features)}

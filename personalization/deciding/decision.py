"""What the decider answers: per slot one content, how probable it was and why."""

from __future__ import annotations

from enum import StrEnum
from typing import Any

import msgspec

from personalization.deciding.distribution import ArmDistribution
from personalization.events.decision_record import DecisionRecord
from personalization.events.entry import Entry


class Tier(StrEnum):
    """Which rung of the ladder answered."""

    PERSONALISED = "personalised"
    """Visitor state and model; an empty state or the prior count."""
    CONTEXTUAL = "contextual"
    """The model with the request's context alone: the state could not be read."""
    RULES = "rules"
    """Eligibility and priority alone: no model, no time, or no consent."""
    DEFAULT = "default"
    """The placement's default content: nothing else may be shown."""


class Decision(msgspec.Struct, frozen=True):
    """The choice for one slot.

    Attributes
    ----------
    content
        Ready to show: ``{"type": "html", "html": …}``, ``{"type": "json", "json": …}`` or
        ``{"type": "redirect", "url": …}``.
    probability
        Of this choice, given the arms above it; exactly what was drawn from.
    sticky
        It is kept for the session: the same choice, with the same id, at the next call.
    variant
        The placement's variant that the visitor is in; empty: none.
    model
        The key of the model there.
    policy_arm
        Of an apprentice, what the policy would have shown; empty: what is shown it chose.
    """

    placement: str
    slot: int
    decision_id: str
    content_id: str
    content: dict[str, Any]
    probability: float
    policy: str
    tier: Tier
    reason: str
    holdout: bool = False
    sticky: bool = False
    variant: str = ""
    model: str = ""
    policy_arm: str = ""


class Answer(msgspec.Struct):
    """Everything one call decided, and what has to be logged of it.

    Attributes
    ----------
    key
        The visitor's key, which everything here is logged under.
    entries
        For the visitor log, in order.
    records
        For the decisions topic, in the same order.
    distributions
        What the choices were drawn from, in their order; nothing for one that the session kept.
    events_kept
        Whether events sent along, and that two ids are one person, may be logged; without consent nothing is.
    state_revision
        Of the state as read, events sent along not counted; None where it could not be read.
    state_age_ms
        Since the last entry folded into it; None where the visitor is unknown or could not be read.
    session
        The number of the visitor's session that this answer belongs to; 0 where the state could not be read.
    faults
        Models that failed to answer, as (key of the model, error).
    words
        What the request says of purposes and is not recorded yet, though without it something else would be done:
        to be logged before anything else.
    """

    key: str
    decisions: list[Decision]
    entries: list[Entry]
    records: list[DecisionRecord]
    events_kept: bool = True
    state_revision: int | None = None
    state_age_ms: int | None = None
    session: int = 0
    faults: list[tuple[str, Exception]] = []
    words: dict[str, bool] = {}
    distributions: list[ArmDistribution] = []

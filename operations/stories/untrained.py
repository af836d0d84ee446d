"""Why no model learns from a decision, in words."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType

from personalization.deciding.decision import Tier
from personalization.events.decision_record import DecisionRecord
from personalization.events.outcome import ClosingReason, Outcome

_BY_REASON: Mapping[ClosingReason, str] = MappingProxyType(
    {
        ClosingReason.EVICTED: "too many were open, and others count for it",
        ClosingReason.WITHDRAWN: "the visitor refused",
        ClosingReason.UNEXPOSED: "it was never shown",
    }
)


def why_untrained(outcome: Outcome, record: DecisionRecord | None) -> str:
    """Why no model learns from ``outcome``; empty: one does.

    Parameters
    ----------
    record
        What is recorded of the decision; None: the log is past it.
    """
    if outcome.trains:
        return ""
    if outcome.reason in _BY_REASON:
        return _BY_REASON[outcome.reason]
    if outcome.choice.holdout:
        return "the visitor is held out"
    if outcome.shown_by_reward:
        return "only a reward says that it was shown"
    return _of_record(record)


def _of_record(record: DecisionRecord | None) -> str:
    if record is None:
        return "its decision taught nothing, and the log is past what was recorded of it"
    if record.crawler:
        return "it was made for a program that reads pages"
    if record.tier != Tier.PERSONALISED:
        return f"it was chosen by the tier {record.tier}{f' ({record.reason})' if record.reason else ''}"
    if record.ticket is None:
        return "nothing was drawn: there was one choice"
    return "its placement had left the catalog, or a call at the same time had chosen another for the session"

"""How long what is known of visitors is kept."""

from __future__ import annotations

from personalization.catalog.check import Check
from personalization.catalog.duration import DAY_MS, MINUTE_MS
from personalization.catalog.sections.privacy import Privacy
from personalization.catalog.spec import Spec
from personalization.visitor.purposes import PERSONALISING

SHORTEST_MS = MINUTE_MS
"""Less is a slip of the unit: a visitor would be forgotten while they read a page."""


class Retention(Spec, frozen=True, kw_only=True):
    """How long after it was last heard of something is forgotten; never while a decision of it can be rewarded.

    Attributes
    ----------
    one_event_ms
        An anonymous id of which no more than one event came, and nothing after its first minute.
    anonymous_ms
        Any other anonymous id.
    known_ms
        A user, and browsers that are known to be a user's.
    records_ms
        What somebody said of consent, and on which side of an experiment they are: it outlives their profile.
    """

    one_event_ms: int = DAY_MS
    anonymous_ms: int = 30 * DAY_MS
    known_ms: int = 395 * DAY_MS
    records_ms: int = 395 * DAY_MS


def promised_ms(privacy: Privacy | None) -> int | None:
    """For how long receipts say that a profile is kept, which serves personalization; None: they say nothing."""
    purpose = privacy.purpose(PERSONALISING) if privacy is not None else None
    return None if purpose is None else purpose.retention_ms


def check_retention(check: Check, retention: Retention, privacy: Privacy | None) -> None:
    """Demand lengths of time that make sense together, and that keep what receipts promise.

    A profile serves personalization: it is kept no longer than that purpose says.
    """
    promised = promised_ms(privacy)
    for name in ("one_event", "anonymous", "known"):
        check.demand(
            promised is None or getattr(retention, f"{name}_ms") <= promised,
            f"retention.{name}",
            "is longer than privacy.purposes.personalization.retention, which receipts promise: shorten it, or say "
            "there for how long profiles are kept",
        )
    for name in ("one_event", "anonymous", "known", "records"):
        length_ms = getattr(retention, f"{name}_ms")
        check.demand(length_ms >= SHORTEST_MS, f"retention.{name}", "is a minute or more, as in 30d")
    check.demand(
        retention.one_event_ms <= retention.anonymous_ms,
        "retention.one_event",
        "is no longer than retention.anonymous: more is known of whoever comes twice",
    )

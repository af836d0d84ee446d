"""Which arms may be shown: schedule, rule, cap; each refusal has a word for the record."""

from __future__ import annotations

from collections.abc import Iterable

from personalization.audience import windows
from personalization.audience.variables import VisitorScope
from personalization.catalog.catalog import Cap
from personalization.catalog.compiled_catalog import Arm
from personalization.catalog.duration import DAY_MS
from personalization.catalog.windows import shown_key
from personalization.visitor.visitor_state import VisitorState

NOT_STARTED = "not_started"
ENDED = "ended"
RULE = "rule"
CAP = "cap"
NO_STATE = "no_state"
"""Capped, or for certain visitors only, and the visitor's state could not be read."""
TAKEN = "taken"
"""Shown already by an earlier placement or slot of the same call."""


def refusal(arm: Arm, scope: VisitorScope, session_start_ms: int) -> str | None:
    """Why ``arm`` may not be shown to this visitor now, None where it may."""
    content = arm.content
    if content.starts_ms is not None and scope.now_ms < content.starts_ms:
        return NOT_STARTED
    if content.ends_ms is not None and scope.now_ms >= content.ends_ms:
        return ENDED
    if arm.when is not None and not scope.holds(arm.when):
        return RULE if scope.state is not None else NO_STATE
    if content.cap is not None:
        if scope.state is None:
            return NO_STATE
        if shown(arm.id, content.cap, scope.state, scope.now_ms, session_start_ms) >= content.cap.limit:
            return CAP
    return None


def shown(arm: str, cap: Cap, state: VisitorState, now_ms: int, session_start_ms: int) -> int:
    """How often the visitor saw ``arm`` within what the cap counts over."""
    if cap.within_ms is not None:
        return windows.count(state.windows.get(shown_key(arm)), now_ms - cap.within_ms)
    exposure = state.exposures.get(arm)
    if exposure is None:
        return 0
    if cap.per == "session":
        return exposure.in_session if exposure.last_ms >= session_start_ms else 0
    if cap.per == "day":
        return exposure.on_day if exposure.day == now_ms // DAY_MS else 0
    return exposure.total


def refusals(arms: Iterable[Arm], scope: VisitorScope, session_start_ms: int) -> dict[str, str]:
    """Which of ``arms`` may not be shown, and why."""
    found = {}
    for arm in arms:
        reason = refusal(arm, scope, session_start_ms)
        if reason is not None:
            found[arm.id] = reason
    return found

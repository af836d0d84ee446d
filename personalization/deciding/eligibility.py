"""Which arms may be shown: by conditions (schedule, rule, cap), each of which has words for the record.

A new condition is a class here and a word in ``conditions``. An arm to which none applies is always eligible, and
is never asked about.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import NamedTuple, Protocol, TypeAlias

from personalization.audience import windows
from personalization.audience.variables import VisitorScope
from personalization.catalog.caps import counted_by
from personalization.catalog.catalog import Cap
from personalization.catalog.compiled_catalog import Arm
from personalization.catalog.duration import DAY_MS
from personalization.catalog.windows import shown_key
from personalization.visitor.visitor_state import VisitorState

NOT_STARTED = "not_started"
ENDED = "ended"
RULE = "rule"
CAP = "cap"
STOCK = "stock"
TYPE = "type"
"""Of another type than can be shown where it is asked for."""
EXCLUDED = "excluded"
"""By the caller, who brought it."""
NO_STATE = "no_state"
"""Capped, or for certain visitors only, and the visitor's state could not be read."""
TAKEN = "taken"
"""Shown already by an earlier placement or slot of the same call."""

Refusal: TypeAlias = Callable[[Arm, VisitorScope, int], str | None]
"""Why an arm may not be shown to this visitor now, None if it may; the number is when the session began, in ms."""


class Condition(Protocol):
    """Something that keeps arms from being shown."""

    def applies(self, arm: Arm) -> bool:
        """Whether the catalog asks for it: an arm without it is never refused by it."""
        ...

    def refusal(self, arm: Arm, scope: VisitorScope, session_start_ms: int) -> str | None:
        """Why ``arm``, to which it applies, may not be shown to this visitor now, None if it may."""
        ...


class ScheduleCondition:
    """The content has not started yet, or has ended."""

    def applies(self, arm: Arm) -> bool:
        """Whether it has a start or an end."""
        return arm.content.starts_ms is not None or arm.content.ends_ms is not None

    def refusal(self, arm: Arm, scope: VisitorScope, session_start_ms: int) -> str | None:
        """Shown in [start, end) alone."""
        content = arm.content
        if content.starts_ms is not None and scope.now_ms < content.starts_ms:
            return NOT_STARTED
        return ENDED if content.ends_ms is not None and scope.now_ms >= content.ends_ms else None


class StockCondition:
    """The item may not be shown at all for now."""

    def applies(self, arm: Arm) -> bool:
        """Whether it is out of stock."""
        return not arm.in_stock

    def refusal(self, arm: Arm, scope: VisitorScope, session_start_ms: int) -> str | None:
        """Shown to nobody."""
        return STOCK


class RuleCondition:
    """The content's rule does not hold for the visitor."""

    def applies(self, arm: Arm) -> bool:
        """Whether it has a rule."""
        return arm.when is not None

    def refusal(self, arm: Arm, scope: VisitorScope, session_start_ms: int) -> str | None:
        """Shown only to those for whom the rule holds."""
        if arm.when is None or scope.holds(arm.when):
            return None
        return RULE if scope.state is not None else NO_STATE


class CapCondition:
    """The visitor saw the content, or what it is counted with, as often as they may.

    Parameters
    ----------
    placement
        Where it would be shown.
    """

    def __init__(self, placement: str) -> None:
        self._placement = placement

    def applies(self, arm: Arm) -> bool:
        """Whether it has a cap."""
        return bool(arm.content.cap)

    def refusal(self, arm: Arm, scope: VisitorScope, session_start_ms: int) -> str | None:
        """Shown only to those who saw it less often than each of its caps says."""
        if scope.state is None:
            return NO_STATE
        for cap in arm.content.cap:
            name = counted_by(cap, arm.id, arm.content, self._placement)
            if shown(name, cap, scope.state, scope.now_ms, session_start_ms) >= cap.limit:
                return CAP
        return None


def conditions(placement: str) -> tuple[Condition, ...]:
    """All of them, in the order in which they are asked: the first that refuses gives the reason."""
    return (ScheduleCondition(), StockCondition(), RuleCondition(), CapCondition(placement))


class ConditionalArm(NamedTuple):
    """An arm with all that may keep it from being shown."""

    arm: Arm
    refusals: tuple[Refusal, ...]


def conditional(arms: Iterable[Arm], placement: str) -> tuple[ConditionalArm, ...]:
    """The arms that any condition applies to in a placement; the others are eligible always."""
    asked = conditions(placement)
    found = (ConditionalArm(arm, tuple(each.refusal for each in asked if each.applies(arm))) for arm in arms)
    return tuple(each for each in found if each.refusals)


def refusals(arms: Iterable[ConditionalArm], scope: VisitorScope, session_start_ms: int) -> dict[str, str]:
    """Which of ``arms`` may not be shown, and why."""
    found = {}
    for arm, conditions in arms:
        for refusal in conditions:
            reason = refusal(arm, scope, session_start_ms)
            if reason is not None:
                found[arm.id] = reason
                break
    return found


class SharedCaps(NamedTuple):
    """The caps of an arm that count other contents too, each with the name of what it counts."""

    arm: str
    caps: tuple[tuple[Cap, str], ...]


def shared_caps(arms: Iterable[Arm], placement: str) -> tuple[SharedCaps, ...]:
    """The arms with such caps: what was shown in a slot counts for the next."""
    found = []
    for arm in arms:
        caps = [cap for cap in arm.content.cap if cap.of != "content"]
        if caps:
            named = tuple((cap, counted_by(cap, arm.id, arm.content, placement)) for cap in caps)
            found.append(SharedCaps(arm.id, named))
    return tuple(found)


def capped_together(
    shared: Iterable[SharedCaps], in_answer: Mapping[str, int], scope: VisitorScope, session_start_ms: int
) -> set[str]:
    """The arms that may not be shown beside what the answer shows already.

    Parameters
    ----------
    in_answer
        How often the answer shows what is counted together, by its name.
    """
    state = scope.state
    if state is None or not in_answer:
        return set()
    return {
        arm
        for arm, caps in shared
        if any(
            name in in_answer
            and shown(name, cap, state, scope.now_ms, session_start_ms) + in_answer[name] >= cap.limit
            for cap, name in caps
        )
    }


def shown(name: str, cap: Cap, state: VisitorState, now_ms: int, session_start_ms: int) -> int:
    """How often the visitor saw what a cap counts, within what it counts over.

    Parameters
    ----------
    name
        Of what it counts (``catalog.caps``).
    """
    if cap.within_ms is not None:
        return windows.count(state.windows.get(shown_key(name)), now_ms - cap.within_ms)
    exposure = state.exposures.get(name)
    if exposure is None:
        return 0
    if cap.per == "day":
        return exposure.on_day if exposure.day == now_ms // DAY_MS else 0
    if cap.per == "visitor":
        return exposure.total
    return exposure.in_session if exposure.last_ms >= session_start_ms else 0

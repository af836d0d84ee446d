"""Why an arm could not be shown: the rule as it is written, what it looked at, and the same in plain words."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, TypeAlias

from personalization.audience.variables import VisitorScope
from personalization.catalog.caps import counted_by
from personalization.catalog.compiled_catalog import Arm
from personalization.catalog.duration import DAY_MS
from personalization.catalog.rules import Rule
from personalization.catalog.sections.content import Cap
from personalization.deciding.eligibility import (
    CAP,
    ENDED,
    EXCLUDED,
    NO_STATE,
    NOT_STARTED,
    RULE,
    STOCK,
    TAKEN,
    TYPE,
    shown,
)
from personalization.explaining.explanation import AsOf, RefusedArm
from personalization.explaining.number_words import length, listed, moment, times
from personalization.explaining.rule_reasons import explain_rule

CLOSED = "placement_rule"
"""The rule of the placement itself does not hold: none of its arms may be shown."""

OF_REQUEST = frozenset({"context", "device", "hour", "known", "weekday"})
"""Variables of a request, which no record holds."""

Values: TypeAlias = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Circumstances:
    """What refusals are explained by.

    Attributes
    ----------
    as_of
        Whether ``scope`` is what decided, or the visitor as they are now.
    lacks_request
        The rule that refused read something of the request, and there is none in ``scope``.
    counted
        How often the answer showed before what caps count together, by its name.
    missing
        The purpose that lacks consent; None: none does.
    of_type
        The only type that can be shown where it is asked for; None: any.
    """

    placement: str
    scope: VisitorScope
    session_start_ms: int
    as_of: AsOf = "decision"
    lacks_request: bool = False
    counted: Mapping[str, int] = field(default_factory=dict)
    missing: str | None = None
    of_type: str | None = None


def refused_arm(name: str, reason: str, arm: Arm | None, found: Circumstances) -> RefusedArm:
    """Why an arm was refused for ``reason``.

    Parameters
    ----------
    arm
        It, as the catalog has it; None: it is not there any more.
    """
    if arm is not None:
        content = arm.content
        if reason == NOT_STARTED and content.starts_ms is not None:
            values: Values = {"startsMs": content.starts_ms}
            return _refused(name, reason, f"it starts on {moment(content.starts_ms)}", values=values)
        if reason == ENDED and content.ends_ms is not None:
            return _refused(
                name, reason, f"it ended on {moment(content.ends_ms)}", values={"endsMs": content.ends_ms}
            )
        if reason == RULE and arm.when is not None:
            return _by_rule(name, reason, arm.when, "its rule", found)
        if reason == CAP and content.cap:
            return _by_caps(name, arm, found)
        if reason == TYPE:
            types: Values = {"type": content.type, "asked": found.of_type}
            return _refused(name, reason, f"it is {content.type}, and another type was asked for", values=types)
        if reason == NO_STATE:
            if arm.when is not None and not found.lacks_request and arm.when.variables <= OF_REQUEST:
                return _by_rule(name, reason, arm.when, "its rule", found)
            rule = None if arm.when is None else arm.when.source
            asked = "it has a cap" if rule is None else f"its rule asks for {rule}"
            return _refused(name, reason, f"{asked}, and {_unknown(found.missing)}", rule=rule)
    return _refused(name, reason, _PLAIN.get(reason, f"the reason is {reason}"))


def closed_placement(rule: Rule, found: Circumstances) -> RefusedArm:
    """Why the rule of the placement itself does not hold; the arm is empty, as all are refused."""
    return _by_rule("", CLOSED, rule, "its rule", found)


def refused_by_placement(name: str, closed: RefusedArm) -> RefusedArm:
    """An arm of such a placement."""
    return _refused(name, CLOSED, "the placement's own rule does not hold", rule=closed.rule, as_of=closed.as_of)


_PLAIN = {
    STOCK: "it is out of stock",
    EXCLUDED: "whoever asked excluded it",
    TAKEN: "the same answer shows it already",
    RULE: "its rule does not hold, and the catalog that is told of here does not have it",
    CAP: "the visitor saw it as often as its cap allows, and the catalog that is told of here does not have it",
    NOT_STARTED: "it had not started",
    ENDED: "it had ended",
    NO_STATE: "the visitor's state could not be read, and it is not for everybody",
    TYPE: "another type was asked for",
}


def _refused(
    name: str,
    reason: str,
    words: str,
    *,
    rule: str | None = None,
    values: Values | None = None,
    failing: Sequence[str] = (),
    as_of: AsOf | None = None,
) -> RefusedArm:
    return RefusedArm(
        arm=name,
        reason=reason,
        rule=rule,
        values=values or {},
        failing=list(failing),
        as_of=as_of,
        words=words,
    )


def _unknown(missing: str | None) -> str:
    if missing is None:
        return "the visitor's state could not be read"
    return f"without consent to {missing} nothing of the visitor may be looked at"


def _by_rule(name: str, reason: str, rule: Rule, whose: str, found: Circumstances) -> RefusedArm:
    asks = f"{whose} asks for {rule.source}"
    if found.scope.state is None and not rule.variables <= OF_REQUEST:
        return _refused(name, reason, f"{asks}, and {_unknown(found.missing)}", rule=rule.source)
    if found.lacks_request:
        words = f"{asks}; that looks at the request too, which no record holds"
        return _refused(name, reason, words, rule=rule.source)
    why = explain_rule(rule, found.scope)
    if why.holds:  # of a record: since then it came to hold
        words = f"{asks}; that holds now, and did not then"
    elif found.as_of == "now":
        words = f"{asks}; as the visitor is now, {_because(rule, why.failing)}"
    else:
        words = f"{asks}, and {_because(rule, why.failing)}"
    return _refused(name, reason, words, rule=why.text, values=why.values, failing=why.failing, as_of=found.as_of)


def _because(rule: Rule, failing: Sequence[str]) -> str:
    """The conditions that failed; where the rule is a single one it is not said twice."""
    whole = f"{rule.source} does not hold: "
    if len(failing) == 1 and failing[0].startswith(whole):
        return failing[0].removeprefix(whole)
    return listed(failing, 3) if failing else "that does not hold"


def _by_caps(name: str, arm: Arm, found: Circumstances) -> RefusedArm:
    state = found.scope.state
    if state is None:
        return _refused(name, CAP, f"it has a cap, and {_unknown(found.missing)}")
    for cap in arm.content.cap:
        counts = counted_by(cap, arm.id, arm.content, found.placement)
        n_before = shown(counts, cap, state, found.scope.now_ms, found.session_start_ms)
        n_here = found.counted.get(counts, 0) if cap.of != "content" else 0
        if n_before + n_here < cap.limit:
            continue
        since_ms = _since_ms(cap, found)
        values: Values = {"limit": cap.limit, "counted": n_before, "inThisAnswer": n_here, "of": cap.of}
        values |= {"per": cap.per or "session"} if cap.within_ms is None else {"withinMs": cap.within_ms}
        values |= {} if since_ms is None else {"sinceMs": since_ms}
        over = _over(cap)
        saw = f"the visitor saw {_what(cap, arm)} {times(n_before)} {over}"
        if n_here:
            saw += f", this answer shows them {times(n_here)}"
        saw += f", and its cap allows {'it' if cap.of == 'content' else 'that'} {times(cap.limit)}"
        words = f"as the visitor is now, {saw}" if found.as_of == "now" else saw
        return _refused(name, CAP, words, values=values, as_of=found.as_of)
    caps = listed([f"{times(cap.limit)} {_over(cap)}{_together(cap, arm)}" for cap in arm.content.cap])
    return _refused(name, CAP, f"the visitor had seen it as often as its cap allowed ({caps})")


def _together(cap: Cap, arm: Arm) -> str:
    return "" if cap.of == "content" else f" for {_what(cap, arm)}"


def _since_ms(cap: Cap, found: Circumstances) -> int | None:
    now_ms = found.scope.now_ms
    if cap.within_ms is not None:
        return now_ms - cap.within_ms
    if cap.per == "day":
        return now_ms // DAY_MS * DAY_MS
    return None if cap.per == "visitor" else found.session_start_ms


def _over(cap: Cap) -> str:
    if cap.within_ms is not None:
        return f"within {length(cap.within_ms)}"
    return {"day": "today (UTC)", "visitor": "so far"}.get(cap.per or "", "in this session")


def _what(cap: Cap, arm: Arm) -> str:
    if cap.of == "placement":
        return "contents with such a cap in this placement"
    if cap.of == "group" and arm.content.group is not None:
        return f"contents of the group {arm.content.group}"
    return "it"

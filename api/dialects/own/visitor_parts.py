"""What is told of a visitor, windows, session, exposures, caps, and why each segment has them or not."""

from __future__ import annotations

from typing import Any

from api.http.answer import Answer
from api.limits.slices import Slices
from personalization.audience.segment_lists import why_of_requests
from personalization.audience.variables import VisitorScope
from personalization.catalog.rules import Rule
from personalization.explaining.exposure_report import caps_used, exposures_of
from personalization.explaining.rule_reasons import explain_rule
from personalization.explaining.window_report import windows_seen
from personalization.visitor.session import is_running


class WindowAnswer(Answer, frozen=True, kw_only=True):
    """A window of the catalog as it stands for a visitor.

    Attributes
    ----------
    window
        As a rule writes it: `count("Viewed", within="7d") >= 3`, or as a feature does.
    value
        The number compared: times, an amount, milliseconds since it happened, or when it did; of a feature times,
        an amount or days. Null: it never happened, or is not known.
    at_least
        Whether it may be more: no more is kept than is asked for.
    holds
        Null: it is not known, or it is a feature.
    changes_ms
        When time alone may next change that; null: never.
    """

    window: str
    event: str
    kind: str
    value: float | None
    at_least: bool
    holds: bool | None
    changes_ms: int | None


class SessionAnswer(Answer, frozen=True, kw_only=True):
    """The visit going on.

    Attributes
    ----------
    until_ms
        When it ends if nothing more happens.
    """

    number: int
    since_ms: int
    until_ms: int
    n_events: int
    n_views: int


class ExposureAnswer(Answer, frozen=True, kw_only=True):
    """How often something was shown to a visitor.

    Attributes
    ----------
    of
        `content`; or what is counted together: the capped ones of a `placement`, or a `group`.
    today
        Since midnight, UTC.
    """

    of: str
    name: str
    total: int
    today: int
    in_session: int
    last_ms: int


class CapAnswer(Answer, frozen=True, kw_only=True):
    """A cap of which a visitor has used some.

    Attributes
    ----------
    per
        `session`, `day` or `visitor`; null: over `withinMs`.
    of
        What it counts: the `content`, or those of its `placement` or `group`.
    left
        How often it may still be shown to them.
    """

    content: str
    placement: str
    limit: int
    per: str | None
    within_ms: int | None
    of: str
    shown: int
    left: int


class ReasonAnswer(Answer, frozen=True, kw_only=True):
    """What a rule says of a visitor, and why.

    Attributes
    ----------
    holds
        Null: only a request of the visitor tells.
    why_unknown
        Why `holds` is null, in words; null: it is known.
    values
        What it looked at, by name as it is written there; null: that is missing.
    failing
        Each of the smallest conditions for which it does not hold, in words; none where `holds` is null.
    """

    holds: bool | None
    why_unknown: str | None
    rule: str
    values: dict[str, Any]
    failing: list[str]


def reason_answer(rule: Rule, scope: VisitorScope) -> ReasonAnswer:
    """What a rule says of a visitor without a request of theirs, and why."""
    reason, why_unknown = explain_rule(rule, scope), why_of_requests(rule)
    known = why_unknown is None
    return ReasonAnswer(
        holds=reason.holds if known else None,
        why_unknown=why_unknown,
        rule=reason.text,
        values=reason.values,
        failing=reason.failing if known else [],
    )


def window_answers(scope: VisitorScope) -> list[WindowAnswer]:
    """Every window of the catalog."""
    return [
        WindowAnswer(
            window=seen.text,
            event=seen.event,
            kind=seen.kind,
            value=seen.value,
            at_least=seen.at_least,
            holds=seen.holds,
            changes_ms=seen.changes_ms,
        )
        for seen in windows_seen(scope)
    ]


def session_answer(scope: VisitorScope) -> SessionAnswer | None:
    """The visit going on, None if there is none."""
    state, gap_ms = scope.state, scope.catalog.catalog.session_gap_ms
    if state is None or not is_running(state.session, scope.now_ms, gap_ms):
        return None
    session = state.session
    return SessionAnswer(
        number=session.number,
        since_ms=session.started_ms,
        until_ms=session.last_ms + gap_ms,
        n_events=session.n_events,
        n_views=session.n_views,
    )


def exposure_answers(scope: VisitorScope) -> list[ExposureAnswer]:
    """What was shown to the visitor, the latest first."""
    found = sorted(exposures_of(scope), key=lambda seen: -seen.last_ms)
    return [
        ExposureAnswer(
            of=seen.of,
            name=seen.name,
            total=seen.total,
            today=seen.today,
            in_session=seen.in_session,
            last_ms=seen.last_ms,
        )
        for seen in found
    ]


def cap_answers(scope: VisitorScope) -> list[CapAnswer]:
    """The caps that the visitor has used some of, those with least left first."""
    return [
        CapAnswer(
            content=used.content,
            placement=used.placement,
            limit=used.cap.limit,
            per=None if used.cap.within_ms is not None else used.cap.per,
            within_ms=used.cap.within_ms,
            of=used.cap.of,
            shown=used.shown,
            left=used.left,
        )
        for used in sorted(caps_used(scope), key=lambda used: used.left)
    ]


async def segment_answers(scope: VisitorScope, slices: Slices) -> dict[str, ReasonAnswer]:
    """Why the visitor is in each segment of the catalog or is not, in its order."""
    found = {}
    for name, rule in scope.catalog.segments.items():
        found[name] = reason_answer(rule, scope)
        if slices.is_over:
            await slices.pause()
    return found

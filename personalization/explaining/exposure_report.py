"""What a visitor was shown, as caps count it, and how much room each cap leaves."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from personalization.audience.variables import VisitorScope
from personalization.catalog.caps import counted_by
from personalization.catalog.catalog import Cap
from personalization.catalog.duration import DAY_MS
from personalization.deciding.eligibility import shown
from personalization.visitor.session import session_at
from personalization.visitor.visitor_state import VisitorState


@dataclass(frozen=True, slots=True)
class Shown:
    """How often something was shown to the visitor.

    Attributes
    ----------
    of
        ``content``, or what is counted together: the capped ones of a ``placement``, or a ``group``.
    name
        Its id or name.
    today
        Since midnight, UTC.
    """

    of: str
    name: str
    total: int
    today: int
    in_session: int
    last_ms: int


@dataclass(frozen=True, slots=True)
class CapUsed:
    """A cap of a content that the visitor has used up in part, or wholly.

    Attributes
    ----------
    placement
        Where the content would be shown.
    left
        How often it may still be shown to them.
    """

    content: str
    placement: str
    cap: Cap
    shown: int
    left: int


def exposures_of(scope: VisitorScope) -> Iterator[Shown]:
    """What was shown to the visitor, as far as it is kept."""
    state = scope.state
    if state is None:
        return
    today, (_, session_start_ms) = scope.now_ms // DAY_MS, _session(scope, state)
    for key, seen in state.exposures.items():
        of, name = _named(key)
        yield Shown(
            of,
            name,
            seen.total,
            seen.on_day if seen.day == today else 0,
            seen.in_session if seen.last_ms >= session_start_ms else 0,
            seen.last_ms,
        )


def caps_used(scope: VisitorScope) -> Iterator[CapUsed]:
    """The caps of contents that the visitor was shown lately, in the placements that list them."""
    state = scope.state
    if state is None:
        return
    _, session_start_ms = _session(scope, state)
    told = set()
    for placement in scope.catalog.placements.values():
        for arm in placement.arms:
            for cap in arm.content.cap:
                name = counted_by(cap, arm.id, arm.content, placement.name)
                n_shown = shown(name, cap, state, scope.now_ms, session_start_ms)
                # One that counts in a placement is another one in each; any other is one wherever it is shown.
                which = (arm.id, cap, placement.name if cap.of == "placement" else "")
                if n_shown and which not in told:
                    told.add(which)
                    yield CapUsed(arm.id, placement.name, cap, n_shown, max(0, cap.limit - n_shown))


def _session(scope: VisitorScope, state: VisitorState) -> tuple[int, int]:
    return session_at(state.session, scope.now_ms, scope.catalog.catalog.session_gap_ms)


def _named(key: str) -> tuple[str, str]:
    """What a key of exposures counts (``catalog.caps``).

    >>> from personalization.catalog.caps import of_group
    >>> _named("sale"), _named(of_group("promos"))
    (('content', 'sale'), ('group', 'promos'))
    """
    if not key.startswith("\x1f"):
        return "content", key
    _, of, name = key.split("\x1f", 2)
    return of, name

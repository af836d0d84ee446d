"""Sessions: a visit ends when the visitor was silent for longer than the gap (30 minutes by habit)."""

from __future__ import annotations

from personalization.visitor_state import Session, VisitorState


def session_number(state: VisitorState, now_ms: int, gap_ms: int) -> int:
    """The number of the session that something happening now belongs to; the first is 1."""
    session = state.session
    if session.number == 0 or now_ms - session.last_ms > gap_ms:
        return session.number + 1
    return session.number


def continue_session(state: VisitorState, now_ms: int, gap_ms: int, *, view: bool) -> None:
    """Count an event into the session going on, or begin the next one."""
    number = session_number(state, now_ms, gap_ms)
    if number != state.session.number:
        state.session = Session(number, now_ms, now_ms)
    session = state.session
    session.last_ms = max(session.last_ms, now_ms)
    session.n_events += 1
    session.n_views += view

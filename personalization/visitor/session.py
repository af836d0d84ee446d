"""Sessions: a visit is an interval, and ends when the visitor was silent for longer than the gap (30 minutes).

Whatever happened at or after the running session's start belongs to it, by the fold's clock. So two sessions that
meet by a merge need no numbers to agree: the earlier start takes in what belonged to either.
"""

from __future__ import annotations

from personalization.visitor.visitor_state import Session, VisitorState


def is_running(session: Session, now_ms: int, gap_ms: int) -> bool:
    """Whether something happening now still belongs to it.

    >>> [is_running(Session(1, 0, 100), now_ms, 50) for now_ms in (150, 151)], is_running(Session(), 0, 50)
    ([True, False], False)
    """
    return session.number > 0 and now_ms - session.last_ms <= gap_ms


def session_at(session: Session, now_ms: int, gap_ms: int) -> tuple[int, int]:
    """Number and start of the session that something happening now belongs to; the first is 1.

    What is older than its start belongs to another.

    >>> session_at(Session(3, 100, 200), 250, 50), session_at(Session(3, 100, 200), 251, 50)
    ((3, 100), (4, 251))
    """
    if is_running(session, now_ms, gap_ms):
        return session.number, session.started_ms
    return session.number + 1, now_ms


def begin_if_over(state: VisitorState, now_ms: int, gap_ms: int) -> None:
    """Begin the next session if the last one is over: a decision may do that, shown or not."""
    if not is_running(state.session, now_ms, gap_ms):
        state.session = Session(state.session.number + 1, now_ms, now_ms)


def prolong(state: VisitorState, now_ms: int, gap_ms: int) -> None:
    """Something happened that keeps the session going: an event, or something shown."""
    begin_if_over(state, now_ms, gap_ms)
    session = state.session
    if session.last_ms < now_ms:
        session.last_ms = now_ms


def continue_session(state: VisitorState, now_ms: int, gap_ms: int, *, view: bool) -> bool:
    """Count an event into the session going on, or begin the next one; whether it is the session's first event."""
    prolong(state, now_ms, gap_ms)
    session = state.session
    session.n_events += 1
    session.n_views += view
    return session.n_events == 1


def merged_session(ours: Session, theirs: Session, gap_ms: int) -> Session:
    """One session out of two: those that overlap, or lie within the gap, are one; else the later one runs.

    >>> merged_session(Session(2, 100, 200, 3, 1), Session(1, 150, 250, 2, 2), 50)
    Session(number=2, started_ms=100, last_ms=250, n_events=5, n_views=3)
    >>> merged_session(Session(2, 100, 200, 3, 1), Session(1, 300, 350, 2, 2), 50).started_ms
    300
    """
    if not (ours.number and theirs.number):
        return ours if ours.number else theirs
    earlier, later = sorted((ours, theirs), key=lambda session: (session.started_ms, session.last_ms))
    if later.started_ms - earlier.last_ms <= gap_ms:
        return Session(
            max(ours.number, theirs.number),
            earlier.started_ms,
            max(ours.last_ms, theirs.last_ms),
            ours.n_events + theirs.n_events,
            ours.n_views + theirs.n_views,
        )
    number = max(later.number, earlier.number + 1)
    return Session(number, later.started_ms, later.last_ms, later.n_events, later.n_views)

"""How long a visitor is kept: forgotten by a time-out in their own log, so that every fold of it says the same.

A visitor has one such time-out, however often they are heard of: when it comes, it is found from when they were
heard of last whether they go, or when to look again.
"""

from __future__ import annotations

import math
from collections.abc import Iterator

from personalization.catalog.duration import DAY_MS, MINUTE_MS
from personalization.catalog.retention import Retention
from personalization.visitor.folder_state import FolderState, Kept
from personalization.visitor.visitor import Visitor
from personalization.visitor.visitor_key import is_registered
from personalization.visitor.visitor_state import VisitorState, record_of

SINGLE_MS = MINUTE_MS
"""What comes so soon after a visitor's first event belongs to the same page."""


def hear(visitor: Visitor, key: str, retention: Retention) -> int | None:
    """The visitor did something, or something was done for them; when to look, if that is new."""
    folder, now_ms = visitor.folder, visitor.state.now_ms
    kept = folder.kept
    if kept is None:
        folder.kept = Kept(now_ms, now_ms, now_ms + length_ms(visitor, key, retention))
        return folder.kept.due_ms
    kept.heard_ms = now_ms
    if not kept.is_record:
        return None
    kept.is_record = False
    kept.due_ms = now_ms + length_ms(visitor, key, retention)
    return kept.due_ms


def note_link(visitor: Visitor) -> None:
    """Somebody has logged in, whom the key's redirect leads to."""
    kept = visitor.folder.kept
    if kept is not None and visitor.state.redirect is not None:
        kept.linked_ms = visitor.state.now_ms


def look(visitor: Visitor, key: str, retention: Retention, promised_ms: int | None = None) -> int | None:
    """Time has passed: forget the visitor if nothing was heard of them for long enough; else when to look next.

    A visitor from before there was a retention, or of whom the catalog says now that they go sooner, has their
    time-out set here. None: it stands, or nothing is left to look at.

    Parameters
    ----------
    promised_ms
        For how long receipts say that a profile is kept.
    """
    folder, now_ms = visitor.folder, visitor.state.now_ms
    kept = folder.kept
    if kept is None:
        kept = folder.kept = Kept(visitor.state.first_ms or now_ms, _last_ms(visitor.state) or now_ms, 0)
    _let_redirect_go(visitor, kept, retention)
    until_ms = max(kept.heard_ms + length_ms(visitor, key, retention), *_open_until(folder, promised_ms))
    if until_ms > now_ms:
        if kept.due_ms > now_ms and kept.due_ms <= until_ms:
            return None
        kept.due_ms = until_ms
        return until_ms
    if kept.is_record or not _outlives(visitor):
        visitor.forget()
        return None
    _leave_record(visitor)
    return look(visitor, key, retention, promised_ms)


def is_looked_for(folder: FolderState, due_ms: int) -> bool:
    """Whether a time-out with this time is the one by which the visitor is to be forgotten."""
    return folder.kept is not None and folder.kept.due_ms == due_ms


def is_behind(visitor: Visitor, key: str, retention: Retention, promised_ms: int | None = None) -> bool:
    """Whether today's retention would look at the visitor sooner than they have a time-out for."""
    kept = visitor.folder.kept
    if kept is None:
        return visitor.is_known
    length = length_ms(visitor, key, retention)
    return kept.due_ms > max(kept.heard_ms + length, *_open_until(visitor.folder, promised_ms))


def length_ms(visitor: Visitor, key: str, retention: Retention) -> int:
    """How long after they were heard of last the visitor is kept."""
    kept = visitor.folder.kept
    if kept is not None and kept.is_record:
        return retention.records_ms
    if _is_known_person(visitor, key):
        return retention.known_ms
    return retention.one_event_ms if _is_single(visitor) else retention.anonymous_ms


def net_ms(visitor: Visitor, key: str, retention: Retention, promised_ms: int | None = None) -> int:
    """After how long of silence a state may vanish by itself, a day after its time-out: 0 for never."""
    kept = visitor.folder.kept
    if kept is None:
        return 0
    length = length_ms(visitor, key, retention)
    longest_ms = max(length, retention.records_ms) if _outlives(visitor) else length
    until_ms = max(kept.heard_ms + longest_ms, kept.due_ms, *_open_until(visitor.folder, promised_ms))
    return max(until_ms - visitor.state.now_ms, 0) + DAY_MS


def _let_redirect_go(visitor: Visitor, kept: Kept, retention: Retention) -> None:
    """A user who has not logged in for as long as users are kept is forgotten: so is that a browser was theirs."""
    state = visitor.state
    if state.redirect is None or not is_registered(state.redirect):
        return
    if not kept.linked_ms:
        kept.linked_ms = state.now_ms  # of a release that did not note it
    elif state.now_ms - kept.linked_ms >= retention.known_ms:
        state.redirect, state.proven_ms = None, 0


def _is_known_person(visitor: Visitor, key: str) -> bool:
    redirect = visitor.state.redirect
    return is_registered(key) or (redirect is not None and is_registered(redirect))


def _is_single(visitor: Visitor) -> bool:
    state, kept = visitor.state, visitor.folder.kept
    if state.redirect is not None or state.event_count > 1:
        return False
    return kept is None or kept.heard_ms - kept.since_ms < SINGLE_MS


def _outlives(visitor: Visitor) -> bool:
    """Whether something is left when the profile goes.

    The side of somebody who came once is not: it follows from their id, as it did the first time.
    """
    state = visitor.state
    return bool(state.consents) or (bool(state.holdouts) and not _is_single(visitor))


def _leave_record(visitor: Visitor) -> None:
    folder = visitor.folder
    visitor.state = record_of(visitor.state)
    kept = folder.kept
    assert kept is not None
    kept.is_record = True
    visitor.folder = FolderState(sources=folder.sources, kept=kept, erased_ms=folder.erased_ms)


def _open_until(folder: FolderState, promised_ms: int | None) -> Iterator[int]:
    """When what is open closes, and when time alone changes who they are: nobody is forgotten before.

    What is followed keeps nobody beyond what receipts promise: points may fade for years.
    """
    yield 0
    latest_ms = math.inf if promised_ms is None or folder.kept is None else folder.kept.heard_ms + promised_ms
    for decision in folder.open:
        yield decision.due_ms
    for held in folder.held:
        yield held.until_ms
    if folder.conversions is not None:
        for example in folder.conversions.open:
            yield example.due_ms
    if folder.participations is not None:
        for participation in folder.participations.open:
            yield participation.due_ms
    for watched in (folder.memberships, folder.tiers):
        if watched is not None:
            yield from (int(min(due_ms, latest_ms)) for due_ms in watched.due_ms.values())


def _last_ms(state: VisitorState) -> int:
    return max(state.last_ms, state.session.last_ms)

"""What of a visitor's log came before they were erased, though it was appended a moment after."""

from __future__ import annotations

import pytest

from eventlog.port import LogEntry
from personalization.events.entry import Entry, encode_entry
from personalization.events.event import Event, TimedOut, Track
from state.erasure_store import Erasure
from stream.folding.eraser import _Work

KEY, FENCE, ERASED_MS, TIMERS_GONE_MS = "u:1", 5, 100, 130
VIEWED = Track(message_id="m1", user_id="1", event="Viewed")


@pytest.fixture
def work() -> _Work:
    work = _Work(Erasure("e1", ERASED_MS))
    work.fences, work.erased_ms, work.timers_gone_ms = {KEY: FENCE}, ERASED_MS, TIMERS_GONE_MS
    return work


def entry(event: Event, received_at_ms: int, offset: int = FENCE + 1) -> LogEntry:
    stored = Entry(received_at_ms=received_at_ms, occurred_at_ms=received_at_ms, catalog_version=1, event=event)
    return LogEntry(offset, KEY, encode_entry(stored))


@pytest.mark.parametrize(("due_ms", "is_before"), [(90, True), (TIMERS_GONE_MS, True), (TIMERS_GONE_MS + 1, False)])
def test_a_time_out_of_a_timer_that_was_theirs_goes_with_them(work: _Work, due_ms: int, is_before: bool) -> None:
    assert work.is_before(entry(TimedOut(due_ms=due_ms), received_at_ms=ERASED_MS + 20)) is is_before


def test_what_somebody_does_after_they_were_erased_stays(work: _Work) -> None:
    assert not work.is_before(entry(VIEWED, received_at_ms=ERASED_MS + 20))
    assert work.is_before(entry(VIEWED, received_at_ms=ERASED_MS))
    assert work.is_before(entry(VIEWED, received_at_ms=ERASED_MS + 20, offset=FENCE))

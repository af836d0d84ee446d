"""What happened to a visitor, told from what is recorded."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import msgspec
import pytest
from msgspec import structs

from operations.stories.moments import Moment
from operations.stories.request_story import decisions_of, story
from operations.stories.time_outs import UNTOLD
from operations.stories.visitor_timeline import timeline
from personalization.events.decision_record import DecisionRecord
from personalization.events.entry import Entry
from personalization.events.event import (
    Activated,
    DecisionMade,
    Event,
    Identify,
    Rewarded,
    SegmentChanged,
    TierChanged,
    TimedOut,
    Track,
)
from personalization.events.logged_entry import LoggedEntry
from personalization.events.outcome import ClosingReason, Outcome
from personalization.visitor.choice import Choice
from tracing.trace_context import carried

TRACE = bytes(range(16))
CHOICE = Choice("d1", "hero", 0, "red", 2**30, "default", 3, 1)


def record(**more: Any) -> DecisionRecord:
    told: dict[str, Any] = {
        "message_id": "d1",
        "request_id": "r1",
        "key": "a:1",
        "tier": "personalised",
        "reason": "",
    }
    return DecisionRecord(choice=CHOICE, decided_at_ms=20, **{**told, **more})


@dataclass
class FakeRecords:
    """Holds what a projector would find."""

    entries: list[LoggedEntry] = field(default_factory=list)
    records: list[DecisionRecord] = field(default_factory=list)
    outcomes: dict[str, Outcome] = field(default_factory=dict)

    def happened(self, at_ms: int, event: Event, trace: bytes = b"") -> None:
        entry = Entry(received_at_ms=at_ms, occurred_at_ms=at_ms, catalog_version=1, event=event, trace=trace)
        self.entries.insert(0, LoggedEntry(2, len(self.entries), "a:1", entry))

    async def decision(self, decision_id: str) -> DecisionRecord | None:
        return next((each for each in self.records if each.choice.decision_id == decision_id), None)

    async def decisions_of(self, keys: Sequence[str], limit: int) -> list[DecisionRecord]:
        return [each for each in self.records if each.key in keys][:limit]

    async def decisions_of_request(self, request_id: str) -> list[DecisionRecord]:
        return [each for each in self.records if each.request_id == request_id]

    async def outcome(self, decision_id: str) -> Outcome | None:
        return self.outcomes.get(decision_id)

    async def entries_of(self, keys: Sequence[str], limit: int) -> list[LoggedEntry]:
        return [each for each in self.entries if each.key in keys][:limit]


def one_visit() -> FakeRecords:
    found = FakeRecords(records=[record()])
    found.happened(10, Identify(message_id="m0", anonymous_id="1", traits={"email": "jane@example.com", "age": 30}))
    found.happened(20, DecisionMade(message_id="d1", choice=CHOICE), carried(TRACE, bytes(8)))
    found.happened(30, Track(message_id="m1", anonymous_id="1", event="Clicked", properties={"note": "secret"}))
    found.happened(31, Rewarded(message_id="m2", decision_id="d1", value=0.5, name="click"))
    found.happened(40, TimedOut(due_ms=40))
    found.outcomes["d1"] = Outcome(CHOICE, 0.5, ClosingReason.WINDOW, 20, 40)
    return found


async def test_a_visit_is_told_in_order_up_to_what_was_learned() -> None:
    moments = await timeline(one_visit(), ["a:1"], 50)
    assert [(moment.at_ms, moment.kind, moment.words) for moment in moments] == [
        (10, "event", "identified, with age, email"),
        (20, "decision", "red was chosen at hero with probability 0.25: personalised"),
        (30, "event", "Clicked"),
        (31, "reward", "red at hero was rewarded by click: 0.5"),
        (40, "time_out", "time was up for red at hero"),
        (40, "outcome", "red at hero closed, as its window ended: reward 0.5; the model learns from it"),
    ]
    decision = moments[1]
    assert (decision.request_id, decision.trace_id, decision.decision_id) == ("r1", TRACE.hex(), "d1")
    assert (decision.partition, decision.offset) == (2, 1)


async def test_what_was_shown_and_rewarded_is_named_as_long_as_its_record_is_there() -> None:
    found = one_visit()
    found.happened(25, Activated(decision_id="d1"))
    found.happened(26, Activated(decision_id="gone"))
    shown = [moment for moment in await timeline(found, ["a:1"], 50) if moment.kind == "shown"]
    assert [(moment.words, moment.placement, moment.arm) for moment in shown] == [
        ("red at hero was shown", "hero", "red"),
        ("a decision was shown", "", ""),
    ]


async def test_a_time_out_says_what_ended_by_it_and_what_it_may_have_been_where_nothing_shows() -> None:
    found = FakeRecords()
    found.happened(50, TimedOut(due_ms=50))
    found.happened(50, SegmentChanged(segment="sleepers", entered=True))
    found.happened(50, TierChanged(score="heat", tier="cold", before="warm"))
    found.happened(90, TimedOut(due_ms=90))
    words = [moment.words for moment in await timeline(found, ["a:1"], 50) if moment.kind == "time_out"]
    assert words == ["time was up for the segment sleepers, the score heat", UNTOLD]


HELD_OUT = structs.replace(CHOICE, holdout=True)


@pytest.mark.parametrize(
    ("outcome", "recorded", "why"),
    [
        (Outcome(CHOICE, 0.0, ClosingReason.UNEXPOSED, 20, 40), record(), "it was never shown"),
        (Outcome(CHOICE, 0.0, ClosingReason.WITHDRAWN, 20, 40), record(), "the visitor refused"),
        (
            Outcome(CHOICE, 0.0, ClosingReason.EVICTED, 20, 40),
            record(),
            "too many were open, and others count for it",
        ),
        (Outcome(HELD_OUT, 0.0, ClosingReason.WINDOW, 20, 40), record(), "the visitor is held out"),
        (
            Outcome(CHOICE, 1.0, ClosingReason.WINDOW, 20, 40, shown_by_reward=True),
            record(ticket=1),
            "only a reward says that it was shown",
        ),
        (
            Outcome(CHOICE, 0.0, ClosingReason.WINDOW, 20, 40),
            record(crawler=True),
            "it was made for a program that reads pages",
        ),
        (
            Outcome(CHOICE, 0.0, ClosingReason.WINDOW, 20, 40),
            record(tier="rules", reason="no time"),
            "it was chosen by the tier rules (no time)",
        ),
        (
            Outcome(CHOICE, 0.0, ClosingReason.WINDOW, 20, 40),
            record(),
            "nothing was drawn: there was one choice",
        ),
        (
            Outcome(CHOICE, 0.0, ClosingReason.WINDOW, 20, 40),
            record(ticket=1),
            "its placement had left the catalog, or a call at the same time had chosen another for the session",
        ),
        (
            Outcome(CHOICE, 0.0, ClosingReason.WINDOW, 20, 40),
            None,
            "its decision taught nothing, and the log is past what was recorded of it",
        ),
    ],
)
async def test_why_no_model_learns_is_said(outcome: Outcome, recorded: DecisionRecord | None, why: str) -> None:
    found = one_visit()
    found.records = [] if recorded is None else [recorded]
    found.outcomes["d1"] = structs.replace(outcome, trains=False)
    (closed,) = [moment for moment in await timeline(found, ["a:1"], 50) if moment.kind == "outcome"]
    assert closed.words.endswith(f"; no model learns from it, because {why}")
    if recorded is not None:
        told = await story(found, recorded, yes, yes)
        assert (told.learned, told.why_untrained) == (False, why)


async def test_what_somebody_typed_is_not_told() -> None:
    text = msgspec.json.encode(await timeline(one_visit(), ["a:1"], 50))
    assert b"jane" not in text
    assert b"secret" not in text


async def test_a_visitor_has_as_many_moments_as_are_asked_for_the_latest_ones() -> None:
    moments = await timeline(one_visit(), ["a:1"], 2)
    # The outcome is among them, though its decision is not.
    assert [(moment.at_ms, moment.kind) for moment in moments] == [(40, "time_out"), (40, "outcome")]


async def test_an_outcome_that_was_told_is_not_looked_up_again() -> None:
    found = one_visit()
    assert "outcome" not in {moment.kind for moment in await timeline(found, ["a:1"], 50, {"d1"})}


async def test_of_a_moment_seen_twice_it_can_be_told_that_it_is_the_same() -> None:
    found = one_visit()
    first = {moment.identity for moment in await timeline(found, ["a:1"], 50)}
    found.happened(50, Track(message_id="m3", anonymous_id="1", event="Clicked"))
    new = [moment for moment in await timeline(found, ["a:1"], 50) if moment.identity not in first]
    assert [(moment.at_ms, moment.words) for moment in new] == [(50, "Clicked")]
    assert all(isinstance(moment, Moment) for moment in new)


async def yes(_: Any) -> bool:
    return True


async def no(_: Any) -> bool:
    return False


async def test_a_request_is_told_up_to_its_model() -> None:
    found = one_visit()
    told = await story(found, record(trace=carried(TRACE, bytes(8))), yes, no)
    assert (told.placement, told.arm, told.probability, told.tier) == ("hero", "red", 0.25, "personalised")
    assert (told.partition, told.offset, told.folded) == (2, 1, True)
    assert (told.reward, told.closed, told.trains, told.learned) == (0.5, "window", True, False)
    assert told.trace_id == TRACE.hex()


async def test_an_open_decision_has_no_outcome_and_one_that_the_log_let_go_no_place() -> None:
    told = await story(FakeRecords(), record(), yes, yes)
    assert (told.offset, told.folded, told.reward, told.learned) == (None, None, None, None)


async def test_what_trains_nothing_is_not_learned() -> None:
    found = one_visit()
    found.outcomes["d1"] = Outcome(CHOICE, 0.0, ClosingReason.UNEXPOSED, 20, 40, trains=False)
    assert (await story(found, record(), yes, yes)).learned is False


async def test_a_request_is_found_by_its_id_or_by_the_trace_that_ends_in_it() -> None:
    trace = TRACE.hex()
    mine = record(request_id=trace[16:], trace=carried(TRACE, bytes(8)))
    others = record(request_id=trace[16:], trace=carried(b"x" * 16, bytes(8)))
    found = FakeRecords(records=[mine, others, record(request_id="proxy-1")])
    assert await decisions_of(found, trace) == [mine]
    assert await decisions_of(found, trace[16:]) == [mine, others]
    assert [each.request_id for each in await decisions_of(found, "proxy-1")] == ["proxy-1"]
    assert await decisions_of(found, "nobody") == []


async def test_a_decision_is_found_by_its_own_id_as_by_that_of_its_request() -> None:
    """A request that shows again what the visit keeps has no record: its answer has this id."""
    found = one_visit()
    assert await decisions_of(found, "d1") == await decisions_of(found, "r1") == found.records

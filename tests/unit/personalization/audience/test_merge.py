"""The one merge: what adds up, what is kept, what is bounded."""

from __future__ import annotations

import copy

import pytest

from personalization.audience.merge import merge_states
from personalization.visitor.visitor_state import (
    Affinity,
    Decayed,
    Exposure,
    Session,
    Sticky,
    VisitorState,
    decode_visitor,
    encode_visitor,
)
from tests.unit.personalization.world import MINUTE, START, shop

HOUR = 60 * MINUTE


def merged(into: VisitorState, other: VisitorState) -> VisitorState:
    into, other = copy.deepcopy(into), copy.deepcopy(other)
    merge_states(into, other, shop())
    return into


def test_counts_and_affinities_add_up_as_of_the_later_moment() -> None:
    left = VisitorState(affinities={"category": Affinity(START, {"shoes": 2.0})})
    right = VisitorState(affinities={"category": Affinity(START + HOUR, {"shoes": 1.0, "hats": 1.0})})
    for a, b in ((left, right), (right, left)):
        both = merged(a, b).affinities["category"]
        assert both.at_ms == START + HOUR
        assert both.weights == pytest.approx({"shoes": 2.0, "hats": 1.0})


def test_sums_and_extremes() -> None:
    left = VisitorState(event_count=3, revision=3, revenue=10.0, n_orders=1, first_ms=5, last_ms=9, cart={"p": 1.0})
    right = VisitorState(event_count=2, revision=4, revenue=2.5, n_orders=2, first_ms=2, last_ms=7, cart={"q": 2.0})
    both = merged(left, right)
    assert (both.event_count, both.revision, both.revenue, both.n_orders) == (5, 7, 12.5, 3)
    assert (both.first_ms, both.last_ms, both.cart) == (2, 9, {"p": 1.0, "q": 2.0})


def test_a_visitor_never_seen_does_not_move_the_first_moment() -> None:
    assert merged(VisitorState(first_ms=5), VisitorState()).first_ms == 5
    assert merged(VisitorState(), VisitorState(first_ms=5)).first_ms == 5


def test_traits_of_the_canonical_side_win_and_gaps_are_filled() -> None:
    both = merged(VisitorState(traits={"name": "Ada"}), VisitorState(traits={"name": "guest", "plan": "free"}))
    assert both.traits == {"name": "Ada", "plan": "free"}


def test_the_fence_and_clock_stay() -> None:
    both = merged(VisitorState(epoch=2, offset=7, now_ms=9), VisitorState(epoch=3, offset=99, now_ms=999))
    assert (both.epoch, both.offset, both.now_ms) == (2, 7, 9)


def sessions(number: int, started: int, last: int, n_events: int = 1) -> VisitorState:
    state = VisitorState(last_ms=START + last, session=Session(number, START + started, START + last, n_events))
    state.exposures = {"red": Exposure(1, 0, 1, 1, START + last)}
    state.sticky = {"hero/0": Sticky(f"d{number}-{started}", "red", 1, START + started)}
    return state


def test_one_visit_on_two_ids_is_one_session() -> None:
    known, anonymous = sessions(5, 0, 10 * MINUTE, 3), sessions(1, 20 * MINUTE, 25 * MINUTE, 2)
    both = merged(known, anonymous)
    assert (both.session.number, both.session.n_events) == (5, 5)
    assert both.session.started_ms == START
    assert both.exposures["red"].in_session == 2
    assert both.sticky["hero/0"].decision_id == "d5-0", "the canonical side's choice of this session"


def test_a_visit_after_a_long_silence_is_a_session_of_its_own() -> None:
    known, anonymous = sessions(5, 0, 0, 3), sessions(1, 24 * HOUR, 24 * HOUR, 2)
    both = merged(known, anonymous)
    assert (both.session.number, both.session.n_events) == (6, 2)
    assert both.exposures["red"].total == 2
    assert both.exposures["red"].in_session == 1
    assert both.sticky["hero/0"].decision_id == f"d1-{24 * HOUR}", "the live session's choice"


def test_an_old_anonymous_visit_does_not_end_the_session_going_on() -> None:
    known, anonymous = sessions(5, 24 * HOUR, 24 * HOUR, 3), sessions(1, 0, 0, 2)
    both = merged(known, anonymous)
    assert (both.session.number, both.session.n_events) == (5, 3)
    assert both.exposures["red"].in_session == 1
    assert both.sticky["hero/0"].decision_id == f"d5-{24 * HOUR}"


def test_bounds_hold_after_a_merge() -> None:
    left = VisitorState(counts={f"l{n}": Decayed(1.0, START) for n in range(32)})
    right = VisitorState(counts={f"r{n}": Decayed(2.0, START) for n in range(32)})
    assert set(merged(left, right).counts) == {f"r{n}" for n in range(32)}


def test_a_state_survives_storage() -> None:
    state = sessions(3, 0, 5)
    assert decode_visitor(encode_visitor(state)) == state

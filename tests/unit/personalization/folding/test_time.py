"""Rule *Time*: the log's order is the fold's clock; the client's own time weighs decay and dates visits."""

from __future__ import annotations

import pytest

from personalization.events.event import Track
from personalization.visitor.decay import add, decayed
from personalization.visitor.visitor_state import Decayed
from tests.unit.personalization.world import MINUTE, START, World


def test_the_clock_never_runs_backwards() -> None:
    world = World()
    world.track("a:1", "Viewed", after_ms=10 * MINUTE)
    world.track("a:1", "Viewed", after_ms=-5 * MINUTE)
    assert world.visitors["a:1"].state.now_ms == START + 10 * MINUTE


def test_occurred_at_weighs_decay() -> None:
    late, early = World(), World()
    for world, order in ((late, (0, 30)), (early, (30, 0))):
        for minutes in order:
            event = Track(message_id=world.message(), event="Viewed", properties={"category": "shoes"})
            world.append("a:1", event, occurred_ms=START + minutes * MINUTE)
        world.pump()
    left, right = late.visitors["a:1"].state, early.visitors["a:1"].state
    assert left.session == right.session
    assert left.affinities["category"].at_ms == right.affinities["category"].at_ms == START + 30 * MINUTE
    # Half an hour at a half-life of one hour: 1 + 2^-½, in either order.
    assert left.affinities["category"].weights["shoes"] == pytest.approx(1 + 2**-0.5)
    assert right.affinities["category"].weights["shoes"] == pytest.approx(1 + 2**-0.5)


@pytest.mark.parametrize("order", [(0, 30, 60), (60, 0, 30), (30, 60, 0)])
def test_first_and_last_visit_are_dated_by_the_client(order: tuple[int, ...]) -> None:
    world = World()
    for minutes in order:
        event = Track(message_id=world.message(), event="Viewed")
        world.append("a:1", event, occurred_ms=START + minutes * MINUTE)
    world.pump()
    state = world.visitors["a:1"].state
    assert (state.first_ms, state.last_ms) == (START, START + 60 * MINUTE)


def test_decay_is_exact_at_read() -> None:
    number = add(add(None, 3.0, 0, 1000), 1.0, 1000, 1000)
    assert number == Decayed(2.5, 1000)
    assert decayed(number.value, number.at_ms, 3000, 1000) == 0.625


@pytest.mark.parametrize(
    ("gaps_minutes", "number", "n_events"),
    [([1, 1, 1], 1, 3), ([1, 30, 30], 1, 3), ([1, 31], 2, 1), ([1, 31, 1, 90], 3, 1)],
)
def test_a_session_ends_after_half_an_hour_of_silence(gaps_minutes: list[int], number: int, n_events: int) -> None:
    world = World()
    for minutes in gaps_minutes:
        world.track("a:1", "Viewed", after_ms=minutes * MINUTE)
    session = world.visitors["a:1"].state.session
    assert (session.number, session.n_events) == (number, n_events)

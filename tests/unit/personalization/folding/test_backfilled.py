"""What the log held of the time before a window was declared is taken in where it belongs, and nowhere else."""

from __future__ import annotations

import pytest
from msgspec import structs

from personalization.catalog.compiled_catalog import CompiledCatalog, compile_catalog
from personalization.events.entry import LOGGED_OUT, Sender
from personalization.events.event import Backfilled, Track
from personalization.folding.folded import Status
from personalization.visitor import times
from personalization.visitor.times import Times
from personalization.visitor.visitor_state import VisitorState
from tests.unit.personalization.world import START, World, shop

HERE = Sender("site", "write", after_login=LOGGED_OUT)


def looking() -> CompiledCatalog:
    plain = structs.replace(shop().catalog, segments={"keen": 'known && count("Viewed", within="30d") >= 2'})
    return compile_catalog(plain, 1)


@pytest.fixture
def world() -> World:
    return World(looking())


def backfilled(world: World, first_ms: int, *moments: int, born_ms: int = 0) -> Backfilled:
    (series,) = world.catalog.series
    return Backfilled(
        times={series: times.times_of(moments)} if moments else {}, first_ms=first_ms, born_ms=born_ms
    )


def moments(state: VisitorState) -> list[int]:
    (kept,) = state.windows.values() or (Times(0),)
    return kept.moments()


def test_it_joins_what_was_seen_since(world: World) -> None:
    world.track("a:1", "Viewed")
    seen_ms = world.now_ms
    done = world.send("a:1", backfilled(world, seen_ms, seen_ms - 5, seen_ms - 9))
    assert done.status is Status.APPLIED
    assert moments(world.visitors["a:1"].state) == [seen_ms, seen_ms - 5, seen_ms - 9]


def test_no_more_is_kept_than_the_catalog_asks_for(world: World) -> None:
    world.track("a:1", "Viewed")
    first_ms = world.now_ms
    world.send("a:1", backfilled(world, first_ms, *range(first_ms - 1, first_ms - 20, -1)))
    assert moments(world.visitors["a:1"].state) == [first_ms, first_ms - 1, first_ms - 2]


def test_when_somebody_was_born_is_taken_over_with_their_first_event_alone(world: World) -> None:
    world.track("a:1", "page")
    first_ms = world.now_ms
    state = world.visitors["a:1"].state
    state.born_ms = 0  # as if no window had been looked at then
    world.send("a:1", backfilled(world, first_ms + 1, born_ms=first_ms + 1))
    assert state.born_ms == 0, "somebody came before who was not counted"
    world.send("a:1", backfilled(world, first_ms, born_ms=first_ms + 3))
    assert state.born_ms == first_ms + 3


def test_of_who_refused_nothing_is_taken_in(world: World) -> None:
    world.track("a:1", "Viewed")
    first_ms = world.now_ms
    world.consent("a:1", {"personalization": False})
    done = world.send("a:1", backfilled(world, first_ms, first_ms))
    assert (done.status, done.reason) == (Status.DROPPED, "consent")
    world.consent("a:1", {"personalization": True})
    world.track("a:1", "page")
    done = world.send("a:1", backfilled(world, first_ms, first_ms))
    assert (done.status, done.reason) == (Status.DROPPED, "another_profile"), "what was deleted does not come back"
    assert world.visitors["a:1"].state.windows == {}


def test_nobody_comes_into_being_by_it(world: World) -> None:
    done = world.send("a:1", backfilled(world, START, START))
    assert (done.status, done.reason) == (Status.DROPPED, "another_profile")


def test_it_follows_whoever_it_is_about_through_redirects(world: World) -> None:
    world.track("a:1", "Viewed")
    first_ms = world.now_ms
    world.link("a:1", "u:7")
    assert world.send("a:1", backfilled(world, first_ms, first_ms - 3)).status is Status.FORWARDED
    assert moments(world.visitors["u:7"].state) == [first_ms, first_ms - 3]


def test_beside_a_redirect_it_is_theirs_who_came_after_the_log_in(world: World) -> None:
    world.track("a:1", "page")
    world.link("a:1", "u:7")
    world.send("a:1", Track(message_id="next", event="page"), sender=HERE)
    first_ms = world.now_ms
    world.send("a:1", backfilled(world, first_ms, first_ms - 3))
    assert moments(world.visitors["a:1"].state) == [first_ms - 3]
    assert world.visitors["u:7"].state.windows == {}
    world.link("a:1", "u:7")  # they log in as well
    world.send("a:1", backfilled(world, first_ms, first_ms - 4))
    assert moments(world.visitors["u:7"].state) == [first_ms - 3, first_ms - 4]

"""Rule *Rewards*: everybody has a page's key: calls count once a name, or not at all."""

from __future__ import annotations

import pytest

from personalization.catalog.catalog import RewardRule
from personalization.catalog.compiled_catalog import CompiledCatalog
from personalization.events.entry import Sender
from personalization.events.event import Activated, Link, Rewarded, Track
from tests.unit.personalization.world import MINUTE, World, shop

PAGE, SERVER = Sender("web", "write"), Sender("web", "server")
KEY = "a:1"


def called(
    world: World, value: float, name: str = "", sender: Sender | None = PAGE, decision_id: str = "d1"
) -> None:
    event = Rewarded(message_id=world.message(), decision_id=decision_id, value=value, name=name)
    world.send(KEY, event, sender=sender)


def clicked(world: World, sender: Sender | None) -> None:
    event = Track(message_id=world.message(), event="Clicked", properties={"contentId": "red"})
    world.send(KEY, event, sender=sender)


def earned(world: World) -> float:
    world.time_out(KEY, after_ms=31 * MINUTE)
    (outcome,) = world.outcomes
    return outcome.reward


def notes(world: World) -> list[str]:
    return [kind for folded in world.folded for kind, _, _ in folded.notes]


def wide(rewards_by: str = "anyone") -> CompiledCatalog:
    return shop(
        reward_range=(0.0, 100.0),
        rewards=(RewardRule(event="Clicked", value=1.0),),
        weights={"click": 1.0, "read": 2.0},
        rewards_by=rewards_by,
    )


def test_calls_of_a_page_count_once_a_name() -> None:
    world = World(wide())
    world.decide(KEY, "d1")
    for name in ("click", "read", "click", "read", "", "made up", "made up too"):
        called(world, 1.0, name)
    assert earned(world) == 1.0 + 2.0 + 1.0, "names that nobody listed are one"
    assert notes(world).count("reward_repeated") == 4


@pytest.mark.parametrize(("sender", "worth"), [(PAGE, 0.25), (SERVER, 1.0)])
def test_a_page_calls_for_no_more_than_the_best_of_the_rules(sender: Sender, worth: float) -> None:
    world = World(shop(rewards=(RewardRule(event="Clicked", value=0.25), RewardRule(event="Viewed", value=0.1))))
    world.decide(KEY, "d1")
    called(world, 1.0, sender=sender)
    assert earned(world) == worth


def test_calls_of_a_server_count_as_often_as_they_come() -> None:
    world = World(wide())
    world.decide(KEY, "d1")
    for sender in (SERVER, SERVER, None):
        called(world, 1.0, "click", sender)
    assert earned(world) == 3.0


def test_what_a_page_called_before_its_decision_counts_once_too() -> None:
    world = World(wide())
    called(world, 1.0, "click")
    called(world, 1.0, "click")
    called(world, 1.0, "click", SERVER)
    world.decide(KEY, "d1")
    called(world, 1.0, "click")
    assert earned(world) == 2.0


def test_what_was_called_under_either_id_counts_once() -> None:
    world = World(wide())
    world.decide(KEY, "d1")
    called(world, 1.0, "click")
    world.link(KEY, "u:7")
    world.send("u:7", Rewarded(message_id="again", decision_id="d1", value=1.0, name="click"), sender=PAGE)
    world.time_out("u:7", after_ms=31 * MINUTE)
    assert [outcome.reward for outcome in world.outcomes] == [1.0]


def test_events_add_up_as_declared() -> None:
    world = World(wide())
    world.decide(KEY, "d1")
    clicked(world, PAGE)
    clicked(world, PAGE)
    assert earned(world) == 2.0


@pytest.mark.parametrize(("sender", "worth"), [(PAGE, 0.0), (SERVER, 2.0), (None, 2.0)])
def test_where_servers_alone_say_what_it_was_worth_pages_do_not(sender: Sender | None, worth: float) -> None:
    world = World(wide("server"))
    world.decide(KEY, "d1")
    clicked(world, sender)
    called(world, 1.0, "click", sender)
    assert earned(world) == worth
    assert ("not_by_server" in notes(world)) is (sender is PAGE)


@pytest.mark.parametrize("early", [False, True])
def test_who_rewards_a_servers_decision_from_a_page_is_who_it_comes_from(early: bool) -> None:
    """Sites decide on their server and track in the page: what a page says is bounded whoever decided."""
    world = World(wide())
    page = Sender("web", "write", origin=b"network1")
    if early:
        called(world, 1.0, sender=page)
    world.decide(KEY, "d1", sender=Sender("web", "server", origin=b"ourserver"))
    if not early:
        clicked(world, page)
    world.time_out(KEY, after_ms=31 * MINUTE)
    (outcome,) = world.outcomes
    assert (outcome.by, outcome.origin) == ("write", b"network1")


@pytest.mark.parametrize(
    ("clicker", "comes_from"),
    [
        (Sender("web", "write", origin=b"network1"), ("write", b"network1")),
        (SERVER, ("server", b"ourserver")),
    ],
    ids=["a page", "a server"],
)
@pytest.mark.parametrize("by_merge", [False, True], ids=["shown later", "found by a log-in"])
def test_a_click_that_waited_for_its_decision_is_whoever_sent_it(
    clicker: Sender, comes_from: tuple[str, bytes], by_merge: bool
) -> None:
    """Not whoever brought what it waited for: else nobody would bound a page's word on a server's decision."""
    world = World(wide())
    decider = Sender("web", "server", origin=b"ourserver")
    shown = Sender("web", "write", origin=b"network2") if clicker is SERVER else SERVER
    world.decide("u:7" if by_merge else KEY, "d1", exposed=by_merge, sender=decider)
    clicked(world, clicker)
    assert [credit.origin for credit in world.visitors[KEY].folder.recent] == [clicker.origin]
    if by_merge:
        world.send(KEY, Link(canonical="u:7"), sender=shown)
    else:
        world.send(KEY, Activated(decision_id="d1"), sender=shown)
    world.time_out("u:7" if by_merge else KEY, after_ms=31 * MINUTE)
    (outcome,) = world.outcomes
    assert outcome.reward == 1.0
    assert (outcome.by, outcome.origin) == comes_from


def test_what_no_page_rewarded_is_the_servers() -> None:
    world = World(wide())
    world.decide(KEY, "d1", sender=Sender("web", "server", origin=b"ourserver"))
    called(world, 1.0, sender=Sender("web", "server", origin=b"ourserver"))
    world.time_out(KEY, after_ms=31 * MINUTE)
    (outcome,) = world.outcomes
    assert (outcome.by, outcome.origin) == ("server", b"ourserver")


@pytest.mark.parametrize(("rewards_by", "closes"), [("anyone", True), ("server", False)])
def test_a_page_says_that_nothing_more_will_come_where_its_word_counts(rewards_by: str, closes: bool) -> None:
    """Though what it calls beside that was said before; where servers tell, theirs may still come."""
    world = World(wide(rewards_by))
    world.decide(KEY, "d1")
    called(world, 1.0)
    world.send(KEY, Rewarded(message_id="last", decision_id="d1", value=0.0, final=True), sender=PAGE)
    assert [outcome.reward for outcome in world.outcomes] == ([1.0] if closes else [])

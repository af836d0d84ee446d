"""Rule *Who is speaking*, in the fold: links say whether the user proved them, and a server takes a link back."""

from __future__ import annotations

from personalization.events.entry import SAME_PERSON, Sender
from personalization.events.event import Link, Track, Unlinked
from personalization.folding.folded import Status
from personalization.visitor.visitor_state import VisitorState, decode_visitor, encode_visitor
from tests.unit.personalization.world import World

PAGE = Sender("web", "write", after_login=SAME_PERSON)
PROVEN = Sender("web", "write", verified=True, after_login=SAME_PERSON)
SERVER = Sender("web", "server")


def link(world: World, user: str, sender: Sender) -> int:
    """Link the browser to a user; when that was."""
    world.append("a:1", Link(canonical=user), sender=sender)
    world.pump()
    return world.now_ms


def browser(world: World) -> VisitorState:
    return world.visitors["a:1"].state


def test_a_link_is_proven_if_its_sender_is_believed() -> None:
    world = World()
    assert link(world, "u:7", PAGE)
    assert (browser(world).redirect, browser(world).proven_ms) == ("u:7", 0)
    proven_ms = link(world, "u:7", PROVEN)
    assert browser(world).proven_ms == proven_ms
    link(world, "u:7", PAGE)
    assert browser(world).proven_ms == proven_ms, "who names the user again without proof changes nothing"
    assert link(world, "u:7", SERVER) == browser(world).proven_ms > proven_ms
    assert decode_visitor(encode_visitor(browser(world))).proven_ms == browser(world).proven_ms


def test_another_user_ends_what_the_first_had_proven() -> None:
    world = World()
    link(world, "u:7", PROVEN)
    link(world, "u:8", PAGE)
    assert (browser(world).redirect, browser(world).proven_ms) == ("u:8", 0)
    at_ms = link(world, "u:7", PROVEN)
    assert (browser(world).redirect, browser(world).proven_ms) == ("u:7", at_ms)


def test_what_came_in_between_moves_with_a_link_that_stays_proven() -> None:
    """The state beside the redirect moves to whoever logs in again; the proof stays with the redirect."""
    world = World()
    world.track("a:1", "Viewed")
    proven_ms = link(world, "u:7", PROVEN)
    world.append(
        "a:1", Track(message_id="m", event="Viewed"), sender=Sender("web", "write", after_login="logged_out")
    )
    link(world, "u:7", PAGE)
    assert world.visitors["u:7"].state.event_count == 2
    assert (browser(world).redirect, browser(world).proven_ms) == ("u:7", proven_ms)
    assert world.visitors["u:7"].state.proven_ms == 0, "a proof is a redirect's, and moves nowhere"


def unlink(world: World, canonical: str = "", message_id: str = "n1") -> Status:
    return world.send("a:1", Unlinked(message_id=message_id, canonical=canonical)).status


def test_a_browser_taken_away_from_a_user_is_somebody_new() -> None:
    world = World()
    world.track("a:1", "Viewed", category="shoes")
    link(world, "u:7", PROVEN)
    assert unlink(world) is Status.APPLIED
    assert (browser(world).redirect, browser(world).proven_ms, browser(world).event_count) == (None, 0, 0)
    world.track("a:1", "Viewed", category="hats")
    assert set(browser(world).affinities["category"].weights) == {"hats"}
    assert set(world.visitors["u:7"].state.affinities["category"].weights) == {"shoes"}, "what moved stays"


def test_a_browser_is_taken_away_from_the_user_named_alone() -> None:
    world = World()
    link(world, "u:7", PAGE)
    assert unlink(world, "u:8") is Status.DROPPED
    assert browser(world).redirect == "u:7"
    assert unlink(world, "u:7", "n2") is Status.APPLIED
    assert unlink(world, "u:7", "n3") is Status.DROPPED, "there is nothing to take away any more"


def test_an_unlink_sent_again_takes_no_later_link_away() -> None:
    world = World()
    link(world, "u:7", PAGE)
    unlink(world)
    link(world, "u:7", PROVEN)
    assert unlink(world) is Status.DUPLICATE
    assert browser(world).redirect == "u:7"


def test_whoever_logs_in_after_an_unlink_takes_along_what_came_since() -> None:
    world = World()
    link(world, "u:7", PAGE)
    unlink(world)
    world.track("a:1", "Viewed")
    link(world, "u:8", PROVEN)
    assert world.visitors["u:8"].state.event_count == 1
    assert "u:7" not in world.visitors


def test_a_past_that_is_somebody_elses_is_taken_along_by_nobody() -> None:
    """An alias of a proven user names a browser: whose that was, nobody has proven."""
    world = World()
    link(world, "u:7", PROVEN)
    status = world.send("a:1", Link(canonical="u:8", if_nobodys=True), sender=PAGE).status
    assert (status, browser(world).redirect) == (Status.DROPPED, "u:7")
    world.track("a:2", "Viewed")
    world.send("a:2", Link(canonical="u:8", if_nobodys=True), sender=PAGE)
    assert world.visitors["u:8"].state.event_count == 1, "one that is nobody's is"


def test_what_is_proven_of_one_key_is_not_proven_of_another() -> None:
    """A link that is sent on, since its key leads to somebody already, is no proof where it arrives."""
    world = World()
    world.append("a:2", Link(canonical="u:7"), sender=PROVEN)
    world.append("a:2", Link(canonical="a:1"), sender=PROVEN)
    world.pump()
    assert world.visitors["a:1"].state.redirect == "u:7"
    assert world.visitors["a:1"].state.proven_ms == 0

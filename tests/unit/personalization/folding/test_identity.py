"""Rule *Identity*: two ids, two partitions; links, redirects, merges, chains."""

from __future__ import annotations

import itertools

import pytest
from hypothesis import given
from hypothesis import strategies as st

from personalization.events.entry import Sender
from personalization.events.event import Link, Merged, Page, Track
from personalization.folding.folded import Status
from personalization.visitor.folder_state import FolderState
from personalization.visitor.visitor_key import is_registered
from personalization.visitor.visitor_state import VisitorState
from tests.unit.personalization.world import MINUTE, World, shop


def canonical(world: World, key: str) -> str:
    while (visitor := world.visitors.get(key)) is not None and visitor.state.redirect:
        key = visitor.state.redirect
    return key


def test_an_anonymous_past_moves_to_the_registered_id() -> None:
    world = World()
    world.track("a:1", "Viewed", category="shoes")
    world.track("u:7", "Viewed", category="hats")
    world.link("a:1", "u:7")
    known, redirect = world.visitors["u:7"].state, world.visitors["a:1"].state
    assert known.event_count == 2
    assert set(known.affinities["category"].weights) == {"shoes", "hats"}
    assert known.revision == 3, "1 + 1 + the merge"
    assert (redirect.redirect, redirect.event_count, redirect.counts) == ("u:7", 0, {})


def test_events_behind_the_redirect_are_forwarded() -> None:
    world = World()
    world.track("a:1", "Viewed")
    world.link("a:1", "u:7")
    assert world.track("a:1", "Viewed", category="bags").status is Status.FORWARDED
    assert world.visitors["u:7"].state.event_count == 2
    assert "bags" in world.visitors["u:7"].state.affinities["category"].weights


def test_a_link_is_no_event() -> None:
    world = World()
    world.link("a:1", "u:7")
    assert world.visitors["a:1"].state.redirect == "u:7"
    assert "u:7" not in world.visitors, "nothing was known, nothing moved"


def test_the_fence_belongs_to_the_key() -> None:
    world = World()
    for _ in range(5):
        world.track("a:1", "Viewed")
    world.track("u:7", "Viewed")
    world.link("a:1", "u:7")
    assert world.visitors["a:1"].state.offset == 6, "the link"
    assert world.visitors["u:7"].state.offset == 7, "the merge"
    for offset in range(5):
        assert world.fold_at(offset, *world.log[offset]).status is Status.REDELIVERED
    assert world.visitors["u:7"].state.event_count == 6


def test_emissions_sent_twice_are_applied_once() -> None:
    world = World()
    world.track("a:1", "Viewed")
    world.link("a:1", "u:7")
    world.track("a:1", "Viewed")
    derived = [(key, raw) for key, raw in world.log if key == "u:7"]
    before = world.visitors["u:7"].state.event_count
    world.log.extend(derived)  # crash after emitting, before writing: the same emissions again
    world.pump()
    assert [folded.status for folded in world.folded[-len(derived) :]] == [Status.DUPLICATE] * len(derived)
    assert world.visitors["u:7"].state.event_count == before == 2


def test_a_second_person_on_a_device_ends_the_forwarding_to_the_first() -> None:
    world = World()
    world.track("a:1", "Viewed")
    world.link("a:1", "u:7")
    world.link("a:1", "u:8")
    assert world.visitors["a:1"].state.redirect == "u:8"
    assert world.visitors["u:7"].state.event_count == 1, "what the first did stays theirs"
    world.track("a:1", "Viewed")
    assert (world.visitors["u:7"].state.event_count, world.visitors["u:8"].state.event_count) == (1, 1)


LOGGED_OUT = Sender("shop", "write", after_login="logged_out")
SAME_PERSON = Sender("shop", "write", after_login="same_person")


def viewed(world: World, message_id: str, sender: Sender, user_id: str | None = None) -> None:
    event = Track(message_id=message_id, anonymous_id="1", user_id=user_id, event="Viewed", properties={})
    world.send("a:1", event, sender=sender)


def test_after_a_log_out_the_next_person_is_somebody_else() -> None:
    world = World()
    world.track("a:1", "Viewed")
    world.link("a:1", "u:alice")
    unit = world.visitors["a:1"].state.unit
    for n in range(3):
        viewed(world, f"bob{n}", LOGGED_OUT)
    world.decide("a:1", "d1", "red", sender=LOGGED_OUT)
    world.reward("a:1", "d1", 1.0)
    alice, tablet = world.visitors["u:alice"], world.visitors["a:1"]
    assert alice.state.event_count == 1
    assert (tablet.state.redirect, tablet.state.event_count) == ("u:alice", 3)
    assert tablet.folder.open[0].reward == 1.0, "a reward finds its decision where that was made"
    assert tablet.state.unit == unit != alice.state.unit
    world.link("a:1", "u:bob")
    bob = world.visitors["u:bob"]
    assert (bob.state.event_count, bob.folder.open[0].reward) == (3, 1.0)
    assert world.visitors["a:1"].state.redirect == "u:bob"
    assert world.visitors["a:1"].state.unit not in (unit, b"")


def test_who_logs_in_again_is_joined_with_what_they_did_in_between() -> None:
    world = World()
    world.track("a:1", "Viewed")
    world.link("a:1", "u:alice")
    viewed(world, "between", LOGGED_OUT)
    viewed(world, "named", LOGGED_OUT, user_id="alice")
    assert world.visitors["u:alice"].state.event_count == 2, "an event that names her is hers at once"
    world.link("a:1", "u:alice")
    assert world.visitors["u:alice"].state.event_count == 3
    assert world.visitors["a:1"].state.event_count == 0


def clicked(world: World, arm: str, message_id: str = "click", **properties: str) -> None:
    about = {"contentId": arm, **properties}
    event = Track(message_id=message_id, anonymous_id="1", event="Clicked", properties=about)
    world.send("a:1", event, sender=LOGGED_OUT)


def rewards(world: World, key: str) -> dict[str, float]:
    return {each.choice.decision_id: each.reward for each in world.visitors[key].folder.open}


@pytest.mark.parametrize("order", ["decision first", "click first"])
def test_a_click_on_what_was_shown_to_who_logged_in_is_its_reward_and_no_more(order: str) -> None:
    """The page decides for both ids while its events name the browser alone: nobody logged out in between."""
    world = World()
    world.link("a:1", "u:7")
    if order == "decision first":
        world.decide("u:7", "d1", "red")
        clicked(world, "red")
    else:
        decided_ms = world.now_ms + 1
        world.now_ms += 5
        clicked(world, "red")
        world.decide("u:7", "d1", "red", received_ms=decided_ms)
    assert rewards(world, "u:7") == {"d1": 1.0}
    assert world.visitors["u:7"].state.event_count == 0, "whose profile it is, nobody said"
    assert world.visitors["a:1"].state.event_count == 1
    world.link("a:1", "u:7")
    assert rewards(world, "u:7") == {"d1": 1.0}, "once"
    assert world.visitors["u:7"].folder.recent == []
    assert world.visitors["u:7"].state.event_count == 1


def test_what_the_next_person_was_shown_is_theirs_to_reward() -> None:
    world = World()
    world.link("a:1", "u:7")
    world.decide("u:7", "d1", "red")
    world.decide("a:1", "d2", "red", sender=LOGGED_OUT)
    clicked(world, "red")
    assert (rewards(world, "a:1"), rewards(world, "u:7")) == ({"d2": 1.0}, {"d1": 0.0})


@pytest.mark.parametrize("attribution", ["same_arm", "last_exposed", "any_exposed"])
def test_a_click_on_something_else_is_no_reward_of_who_logged_in(attribution: str) -> None:
    world = World(shop(attribution=attribution))
    world.link("a:1", "u:7")
    world.decide("u:7", "d1", "red")
    clicked(world, "green")
    event = Track(message_id="nothing named", anonymous_id="1", event="Clicked", properties={})
    world.send("a:1", event, sender=LOGGED_OUT)
    world.decide("u:7", "d2", "blue", received_ms=world.now_ms - 1)
    assert rewards(world, "u:7") == {"d1": 0.0, "d2": 0.0}
    world.decide("u:7", "d3", "red")
    clicked(world, "blue", "by id", decisionId="d1")
    assert rewards(world, "u:7") == {"d1": 1.0, "d2": 0.0, "d3": 0.0}


def test_an_impression_finds_its_decision_whoever_it_names() -> None:
    world = World()
    world.link("a:1", "u:7")
    world.decide("u:7", "d1", "red", exposed=False)
    world.decide("a:1", "d2", "red", exposed=False, sender=LOGGED_OUT)
    for decision_id in ("d1", "d2"):
        shown = Track(
            message_id=f"shown {decision_id}",
            anonymous_id="1",
            event="Content Viewed",
            properties={"decisionId": decision_id},
        )
        world.send("a:1", shown, sender=LOGGED_OUT)
    for key in ("u:7", "a:1"):
        (decision,) = world.visitors[key].folder.open
        assert decision.exposed_at_ms is not None
    assert [held.decision_id for held in world.visitors["u:7"].folder.held] == []


def test_whoever_refuses_after_a_log_out_leaves_the_redirect_where_it_is() -> None:
    """What was shown before the log-in, and whoever merges into this key, still finds its way."""
    world = World()
    world.decide("a:1", "d1", "red")
    world.track("a:2", "Viewed")
    world.link("a:1", "u:7")
    refusal = Track(
        message_id="no", anonymous_id="1", event="Consent Updated", properties={"personalization": False}
    )
    world.send("a:1", refusal, sender=LOGGED_OUT)
    tablet = world.visitors["a:1"].state
    assert (tablet.redirect, tablet.consents["personalization"].granted) == ("u:7", False)
    assert "personalization" not in world.visitors["u:7"].state.consents, (
        "it is not the word of who was here before"
    )
    world.reward("a:1", "d1", 1.0)
    assert rewards(world, "u:7") == {"d1": 1.0}
    viewed(world, "nothing", LOGGED_OUT)
    assert world.visitors["a:1"].state.event_count == 0
    world.link("a:2", "a:1")
    assert world.visitors["u:7"].state.event_count == 1


def test_nothing_is_offered_to_who_refused() -> None:
    world = World(shop(consent=()))
    world.link("a:1", "u:7")
    world.track("u:7", "Consent Updated", personalization=False)
    world.decide("u:7", "d1", "red")
    clicked(world, "red")
    assert (world.folded[-1].reason, rewards(world, "u:7")) == ("consent", {"d1": 0.0})


def test_a_site_that_only_has_the_cookie_says_that_it_is_the_same_person() -> None:
    world = World()
    world.link("a:1", "u:alice")
    viewed(world, "m", SAME_PERSON)
    assert world.visitors["u:alice"].state.event_count == 1


def test_time_outs_after_a_log_out_reach_both() -> None:
    world = World()
    world.decide("a:1", "before", "red")
    world.link("a:1", "u:alice")
    world.decide("a:1", "after", "red", sender=LOGGED_OUT)
    world.time_out("a:1", after_ms=31 * MINUTE)
    assert {outcome.choice.decision_id for outcome in world.outcomes} == {"before", "after"}


def test_a_chain_ends_at_the_registered_id_and_is_rewritten() -> None:
    world = World()
    world.track("a:2", "Viewed")
    world.link("a:2", "a:1")
    world.track("a:1", "Viewed")
    world.link("a:1", "u:7")
    assert world.visitors["u:7"].state.event_count == 2
    # Something that still comes by a:2 finds its way, and once a merge has passed, straight.
    world.track("a:2", "Viewed")
    assert world.visitors["u:7"].state.event_count == 3


def test_a_merge_that_reaches_a_redirect_goes_on_and_straightens_the_chain() -> None:
    world = World()
    world.track("a:1", "Viewed")
    world.track("a:2", "Viewed")
    world.append("a:2", Link(canonical="a:1"))
    world.append("a:1", Link(canonical="u:7"))  # folded before the merge of a:2 arrives
    world.pump()
    assert world.visitors["u:7"].state.event_count == 2
    assert world.visitors["a:2"].state.redirect == "u:7"


def test_a_link_that_reaches_a_redirect_links_where_it_points() -> None:
    world = World()
    world.track("a:2", "Viewed")
    world.track("a:1", "Viewed")
    world.link("a:2", "a:1")
    world.link("a:2", "u:7")
    assert canonical(world, "a:1") == canonical(world, "a:2") == "u:7"
    assert world.visitors["u:7"].state.event_count == 2


def test_open_decisions_move_and_are_rewarded_by_their_old_key() -> None:
    world = World()
    world.decide("a:1", "d1", "red")
    merged = world.link("a:1", "u:7")
    assert merged.due_ms is None
    (arrival,) = world.visitors["u:7"].folder.open
    assert world.folded[-1].due_ms == arrival.due_ms, "the canonical key takes over the timer"
    world.reward("a:1", "d1", 1.0)
    assert world.time_out("a:1", after_ms=30 * MINUTE).status is Status.FORWARDED
    (outcome,) = world.outcomes
    assert (outcome.choice.decision_id, outcome.reward) == ("d1", 1.0)


def test_log_in_then_buy_credits_the_decision_that_arrives_by_the_merge() -> None:
    world = World()
    world.decide("a:1", "d1", "red")
    world.track("u:7", "Clicked", contentId="red")
    world.link("a:1", "u:7")
    assert world.visitors["u:7"].folder.open[0].reward == 1.0
    assert world.visitors["u:7"].folder.recent == []


@pytest.mark.parametrize("order", ["decision first", "merge first"])
def test_a_click_that_overtook_its_link_is_credited(order: str) -> None:
    """A decide with both ids logs decision and link behind its answer: what comes next may be in the log before."""
    world = World()
    if order == "decision first":
        world.decide("u:7", "d1", "red")
        decided_ms = world.now_ms
        world.track("a:1", "Clicked", contentId="red")
        world.link("a:1", "u:7")
    else:
        decided_ms = world.now_ms + 1
        world.track("a:1", "Clicked", after_ms=5, contentId="red")
        world.link("a:1", "u:7")
        world.decide("u:7", "d1", "red", received_ms=decided_ms)
    (decision,) = world.visitors["u:7"].folder.open
    assert (decision.decided_at_ms, decision.reward, decision.n_rewards) == (decided_ms, 1.0, 1)
    assert world.visitors["u:7"].folder.recent == []


def test_credits_that_come_by_a_merge_credit_once_and_only_what_they_fit() -> None:
    world = World()
    world.decide("u:7", "d1", "red")
    world.track("a:1", "Clicked", contentId="green")
    world.track("a:1", "Clicked", contentId="red")
    world.decide("u:7", "d2", "red")
    world.link("a:1", "u:7")
    world.link("a:1", "u:7")
    rewards = {each.choice.decision_id: each.reward for each in world.visitors["u:7"].folder.open}
    assert rewards == {"d1": 1.0, "d2": 0.0}, "not the decision made after the click"
    assert [credit.arm for credit in world.visitors["u:7"].folder.recent] == ["green"], "it may still come"
    world.time_out("u:7", after_ms=31 * MINUTE)
    assert sorted(outcome.reward for outcome in world.outcomes) == [0.0, 1.0]


def test_a_credit_older_than_the_decision_or_a_minute_is_not_offered() -> None:
    world = World()
    world.track("u:7", "Clicked", contentId="red")
    world.decide("a:1", "d1", "red")
    world.link("a:1", "u:7")
    world.track("u:9", "Clicked", contentId="blue")
    world.decide("a:3", "d2", "blue", after_ms=-10)
    world.append("a:3", Link(canonical="u:9"), after_ms=2 * MINUTE)
    world.pump()
    assert world.visitors["u:7"].folder.open[0].reward == 0.0
    assert world.visitors["u:9"].folder.open[0].reward == 0.0


@pytest.mark.parametrize("refused_last", [True, False])
def test_of_two_words_that_meet_by_a_merge_the_later_holds(refused_last: bool) -> None:
    world = World()
    for key, granted in (("a:1", refused_last), ("u:7", not refused_last)):
        world.send(key, Page(message_id=key, context={"consent": {"personalization": granted}}))
    world.link("a:1", "u:7")
    assert world.visitors["u:7"].state.consents["personalization"].granted is not refused_last


@pytest.mark.parametrize(("first", "second"), [(True, False), (False, True)])
def test_holdout_after_a_merge_is_the_side_first_shown_and_marked(first: bool, second: bool) -> None:
    world = World(shop(holdout=0.5))
    world.decide("a:1", "d1", holdout=first)
    world.decide("u:7", "d2", holdout=second)
    world.link("a:1", "u:7")
    side = world.visitors["u:7"].state.holdouts["hero"]
    assert (side.control, side.crossover) == (first, True)


def test_an_empty_merge_changes_nothing_but_revision() -> None:
    world = World()
    world.track("u:7", "Viewed", category="hats")
    before = world.visitors["u:7"].state.counts
    world.send("u:7", Merged(source="a:9", state=VisitorState(), folder=FolderState()))
    assert world.visitors["u:7"].state.counts == before


KEYS = ("a:1", "a:2", "a:3", "u:7", "u:8")


@given(
    st.lists(
        st.one_of(
            st.tuples(st.just("track"), st.sampled_from(KEYS), st.just("")),
            st.tuples(st.just("link"), st.sampled_from(KEYS), st.sampled_from(KEYS)),
        ),
        max_size=25,
    )
)
def test_no_event_is_lost_or_doubled_and_chains_never_close(steps: list[tuple[str, str, str]]) -> None:
    """Whatever is linked in whatever order, and however the log interleaves it."""
    world = World()
    n_events = 0
    for what, left, right in steps:
        if what == "track":
            world.append(left, Track(message_id=world.message(), event="Viewed"))
            n_events += 1
        else:
            world.append(left, Link(canonical=right))
    world.pump()
    assert sum(visitor.state.event_count for visitor in world.visitors.values()) == n_events
    for key, visitor in world.visitors.items():
        seen = set()
        at = key
        while (here := world.visitors.get(at)) is not None and here.state.redirect is not None:
            assert at not in seen, "a ring of redirects"
            seen.add(at)
            at = here.state.redirect
        if visitor.state.redirect is not None:
            assert visitor.state.event_count == 0
    for left, right in itertools.combinations([key for key in KEYS if is_registered(key)], 2):
        assert left == right or canonical(world, left) != canonical(world, right)

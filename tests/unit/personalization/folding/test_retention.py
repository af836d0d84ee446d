"""The rules *Retention* and *Erasure*: how a state goes, what outlives it, and what never comes back."""

from __future__ import annotations

from typing import Any

import pytest
from msgspec import structs

from personalization.catalog.catalog import Catalog, Content, Conversion, Placement
from personalization.catalog.compiled_catalog import CompiledCatalog, InvalidCatalog, compile_catalog
from personalization.catalog.duration import DAY_MS
from personalization.catalog.retention import Retention
from personalization.catalog.sections.privacy import Controller, Privacy, Purpose
from personalization.catalog.sections.scores import EventPoints, Score
from personalization.events.entry import LOGGED_OUT, Sender, decode_entry
from personalization.events.event import (
    Activated,
    Erased,
    Identify,
    Link,
    Merged,
    Offered,
    Rewarded,
    TimedOut,
    Track,
)
from personalization.events.outcome import ClosingReason
from personalization.folding import retention
from personalization.folding.folded import Folded, Status
from personalization.visitor.purposes import PERSONALISING
from personalization.visitor.visitor_state import VisitorState
from tests.unit.personalization.world import MINUTE, World, shop

KEY = "a:1"
HOUR = 60 * MINUTE
SITE = Sender("site", "write", after_login=LOGGED_OUT)


def due(world: World, key: str = KEY) -> int:
    kept = world.visitors[key].folder.kept
    assert kept is not None
    return kept.due_ms


def wake(world: World, key: str = KEY) -> Folded:
    """The clock appends the time-out that the visitor has."""
    due_ms = due(world, key)
    return world.send(key, TimedOut(due_ms=due_ms), after_ms=due_ms - world.now_ms)


def is_known(world: World, key: str = KEY) -> bool:
    return world.visitors[key].is_known


def until_forgotten(world: World, key: str = KEY) -> int:
    """How long after its last event the visitor goes, milliseconds; each time-out is asked for by the fold."""
    kept = world.visitors[key].folder.kept
    assert kept is not None
    heard_ms = kept.heard_ms
    for _ in range(20):
        done = wake(world, key)
        if not is_known(world, key):
            assert done.look_ms is None
            return world.now_ms - heard_ms
        assert done.look_ms == due(world, key) > world.now_ms
    raise AssertionError("is never forgotten")


def test_an_id_of_one_event_goes_after_a_day() -> None:
    world = World()
    assert world.track(KEY, "Viewed").look_ms == world.now_ms + DAY_MS
    assert until_forgotten(world) == DAY_MS


def test_whoever_comes_twice_goes_after_a_month_of_silence_by_one_time_out_at_a_time() -> None:
    world = World()
    world.track(KEY, "Viewed")
    for _ in range(5):
        assert world.track(KEY, "Viewed", after_ms=HOUR).look_ms is None, "one is there already"
    assert until_forgotten(world) == 30 * DAY_MS


def test_who_only_asks_for_decisions_has_come_twice_too() -> None:
    world = World()
    world.decide(KEY, "d1")
    world.decide(KEY, "d2", after_ms=2 * HOUR)
    assert until_forgotten(world) == 30 * DAY_MS


def test_users_and_browsers_known_to_be_theirs_are_kept_for_thirteen_months() -> None:
    world = World()
    world.track(KEY, "Viewed")
    world.link(KEY, "u:7")
    for key in (KEY, "u:7"):
        assert until_forgotten(world, key) == 395 * DAY_MS


def test_the_time_out_of_a_redirect_is_no_business_of_whom_it_leads_to() -> None:
    world = World()
    world.link(KEY, "u:7")
    assert wake(world).emissions == []


def test_nobody_goes_before_what_is_open_closes() -> None:
    world = World(shop(window_ms=3 * DAY_MS))
    world.decide(KEY, "d1")
    assert until_forgotten(world) == 3 * DAY_MS
    assert [outcome.reason for outcome in world.outcomes] == [ClosingReason.WINDOW], "and is learned"


def test_nobody_goes_before_their_example_closes() -> None:
    catalog = Catalog(
        placements={"hero": Placement(content=("a",), default="a")},
        content={"a": Content(body="a")},
        conversions={"buy": Conversion(event="Ordered", horizon_ms=14 * DAY_MS)},
    )
    world = World(compile_catalog(catalog, 1))
    world.track(KEY, "Viewed")
    assert until_forgotten(world) == 14 * DAY_MS


def promising() -> Privacy:
    """Profiles are kept for 90 days."""
    purpose = Purpose(description="We show what fits.", retention_ms=90 * DAY_MS, pii=("pages viewed",))
    return Privacy(
        controller=Controller(name="Shop", contact="privacy@shop.example"),
        notice="https://shop.example/privacy",
        jurisdiction="EU",
        storage_locations=("EU",),
        purposes={PERSONALISING: purpose},
    )


FADING = Score(
    events=(EventPoints(event="Viewed", points=1_000),), half_life_ms=30 * DAY_MS, tiers={"cold": 0, "hot": 10}
)


def test_a_tier_that_falls_by_and_by_keeps_nobody_longer_than_receipts_promise() -> None:
    catalog = structs.replace(shop().catalog, scores={"lead": FADING})
    unpromised = World(compile_catalog(catalog, 1))
    unpromised.track(KEY, "Viewed")
    assert until_forgotten(unpromised) > 200 * DAY_MS, "until it is cold"
    private = structs.replace(catalog, privacy=promising(), retention=Retention(known_ms=90 * DAY_MS))
    promised = World(compile_catalog(private, 1))
    promised.track(KEY, "Viewed")
    assert until_forgotten(promised) == 90 * DAY_MS


def test_who_is_there_when_a_promise_is_made_is_looked_at_again() -> None:
    catalog = structs.replace(shop().catalog, scores={"lead": FADING}, retention=Retention(known_ms=90 * DAY_MS))
    world = World(compile_catalog(catalog, 1))
    world.track(KEY, "Viewed")
    wake(world)
    private = compile_catalog(structs.replace(catalog, privacy=promising()), 2)
    visitor, kept = world.visitors[KEY], private.catalog.retention
    assert not retention.is_behind(visitor, KEY, kept, None)
    assert retention.is_behind(visitor, KEY, kept, private.promised_ms)
    assert private.told_of != world.catalog.told_of, "the sweep begins"


def test_what_was_said_of_consent_outlives_the_profile() -> None:
    world = World()
    world.consent(KEY, {PERSONALISING: True})
    world.track(KEY, "Viewed", after_ms=HOUR)
    wake(world)
    wake(world)
    state = world.visitors[KEY].state
    assert state.consents[PERSONALISING].granted
    assert state == VisitorState(
        state.epoch, state.offset, state.now_ms, state.revision, consents=state.consents, unit=state.unit
    )
    assert until_forgotten(world) == 395 * DAY_MS


def test_whoever_comes_back_has_their_say_still_and_goes_again() -> None:
    world = World()
    world.consent(KEY, {PERSONALISING: True})
    world.track(KEY, "Viewed", after_ms=HOUR)
    wake(world)
    wake(world)
    back = world.track(KEY, "Viewed", after_ms=100 * DAY_MS)
    assert back.look_ms == world.now_ms + 30 * DAY_MS, "not in a year, when the record was to go"
    state = world.visitors[KEY].state
    assert (state.event_count, state.consents[PERSONALISING].granted) == (1, True)


def test_sides_outlive_the_profile_of_whoever_came_twice() -> None:
    world = World(shop(holdout=0.5))
    world.decide(KEY, "d1", holdout=True)
    world.decide(KEY, "d2", holdout=True, after_ms=HOUR)
    world.time_out(KEY, after_ms=HOUR)
    wake(world)
    wake(world)
    assert world.visitors[KEY].state.holdouts["hero"].control
    assert not world.visitors[KEY].state.exposures
    assert until_forgotten(world) == 395 * DAY_MS


def test_what_comes_again_from_before_brings_nobody_back() -> None:
    world = World()
    world.track(KEY, "Viewed")
    wake(world)
    n_before = len(world.log)
    for offset, (key, data) in enumerate(world.log[:n_before]):
        assert world.fold_at(offset, key, data).status is Status.REDELIVERED
    assert not is_known(world)


def test_a_stray_time_out_brings_nobody_back() -> None:
    world = World()
    world.track(KEY, "Viewed")
    wake(world)
    done = world.time_out(KEY, after_ms=HOUR)
    assert (done.status, done.reason, is_known(world)) == (Status.DROPPED, "nobody", False)


def test_who_comes_back_is_new() -> None:
    world = World()
    world.identify(KEY, email="jane@example.com")
    wake(world)
    world.track(KEY, "Viewed", after_ms=HOUR)
    state = world.visitors[KEY].state
    assert (state.event_count, state.traits, state.first_ms) == (1, {}, world.now_ms)


def test_whoever_was_stored_before_there_was_a_retention_gets_a_time_out() -> None:
    world = World()
    world.track(KEY, "Viewed")
    world.track(KEY, "Viewed", after_ms=HOUR)
    last_ms = world.now_ms
    visitor = world.visitors[KEY]
    visitor.folder.kept = None
    assert retention.is_behind(visitor, KEY, Retention())
    world.time_out(KEY, after_ms=DAY_MS)
    assert due(world) == last_ms + 30 * DAY_MS
    assert not retention.is_behind(visitor, KEY, Retention())


def test_a_shorter_retention_holds_for_those_who_are_there() -> None:
    world = World()
    world.track(KEY, "Viewed")
    world.track(KEY, "Viewed", after_ms=HOUR)
    wake(world)
    shorter = Retention(anonymous_ms=7 * DAY_MS)
    assert retention.is_behind(world.visitors[KEY], KEY, shorter)
    world.catalog = _keeping(shorter)
    assert until_forgotten_now(world) == 7 * DAY_MS


def _keeping(kept: Retention) -> CompiledCatalog:
    return compile_catalog(structs.replace(shop().catalog, retention=kept), 1)


def until_forgotten_now(world: World) -> int:
    """As the sweep wakes whoever is behind."""
    kept = world.visitors[KEY].folder.kept
    assert kept is not None
    heard_ms = kept.heard_ms
    world.time_out(KEY, after_ms=1)
    if is_known(world):
        wake(world)
    assert not is_known(world)
    return world.now_ms - heard_ms


def test_the_net_below_a_lost_time_out_is_never_in_the_past() -> None:
    world = World()
    world.track(KEY, "Viewed")
    visitor = world.visitors[KEY]
    assert retention.net_ms(visitor, KEY, Retention()) == 2 * DAY_MS
    visitor.state.now_ms += 100 * DAY_MS
    assert retention.net_ms(visitor, KEY, Retention()) == DAY_MS


@pytest.mark.parametrize(
    ("lengths", "field"),
    [
        ({"anonymous_ms": 10}, "retention.anonymous"),
        ({"one_event_ms": 60 * DAY_MS}, "retention.one_event"),
        ({"known_ms": 0}, "retention.known"),
        ({"records_ms": -DAY_MS}, "retention.records"),
    ],
)
def test_lengths_that_make_no_sense_are_refused(lengths: dict[str, Any], field: str) -> None:
    with pytest.raises(InvalidCatalog) as caught:
        _keeping(Retention(**lengths))
    assert field in [error.field for error in caught.value.errors]


def test_no_profile_is_kept_longer_than_its_purpose_promises() -> None:
    catalog = structs.replace(shop().catalog, privacy=promising())
    with pytest.raises(InvalidCatalog) as caught:
        compile_catalog(catalog, 1)
    assert [error.field for error in caught.value.errors] == ["retention.known"]
    kept = Retention(known_ms=90 * DAY_MS)
    assert compile_catalog(structs.replace(catalog, retention=kept), 1).catalog.retention == kept


# Erasure


def erase(world: World, key: str = KEY, after_ms: int = 1) -> Folded:
    return world.send(key, Erased(), after_ms=after_ms)


def test_whoever_is_erased_leaves_nothing_and_what_was_open_is_not_learned() -> None:
    world = World()
    world.identify(KEY, email="jane@example.com")
    world.consent(KEY, {PERSONALISING: True})
    world.decide(KEY, "d1", features=b"\x81\xa1a\x01")
    erase(world)
    visitor = world.visitors[KEY]
    assert not visitor.is_known
    assert visitor.state == VisitorState(visitor.state.epoch, visitor.state.offset)
    (outcome,) = world.outcomes
    assert (outcome.reason, outcome.trains, outcome.features) == (ClosingReason.WITHDRAWN, False, {})
    assert outcome.unit == b""


@pytest.mark.parametrize(
    "event",
    [Track(message_id="m", event="Viewed"), Identify(message_id="m", traits={"a": 1}), Link(canonical="u:7")],
    ids=["an event", "traits", "a link"],
)
def test_what_was_received_before_an_erasure_never_counts_however_late_it_comes(event: Any) -> None:
    world = World()
    world.track(KEY, "Viewed")
    received_ms = world.now_ms
    erase(world)
    late = world.send(KEY, event, after_ms=HOUR, received_ms=received_ms)
    assert (late.status, late.reason, is_known(world)) == (Status.DROPPED, "erased", False)
    world.track(KEY, "Viewed", message_id="new")
    late = world.send(KEY, structs.replace(event), after_ms=HOUR, received_ms=received_ms)
    assert late.reason == "erased", "nor once they are back"
    assert world.visitors[KEY].state.event_count == 1


def test_an_event_dated_2100_revives_nobody() -> None:
    world = World()
    world.track(KEY, "Viewed")
    received_ms = world.now_ms
    erase(world)
    world.append(KEY, Track(message_id="m", event="V"), occurred_ms=4_102_444_800_000, received_ms=received_ms)
    world.pump()
    assert world.folded[-1].reason == "erased"


def test_a_merge_on_its_way_brings_nothing_to_who_was_erased() -> None:
    world = World()
    world.track(KEY, "Viewed")
    world.append(KEY, Link(canonical="u:7"))
    erase(world, "u:7")  # it stands in the log before the link was folded, and so before the merge
    assert world.log[-1][0] == "u:7"
    assert isinstance(decode_entry(world.log[-1][1]).event, Merged)
    assert (world.folded[-1].reason, world.visitors["u:7"].is_known) == ("erased", False)


def test_who_was_erased_and_comes_back_is_new_and_may_be_erased_again() -> None:
    world = World()
    world.identify(KEY, email="jane@example.com")
    erase(world)
    world.track(KEY, "Viewed", after_ms=HOUR)
    assert (world.visitors[KEY].state.event_count, world.visitors[KEY].state.traits) == (1, {})
    erase(world)
    assert not is_known(world)


def test_a_redirect_is_erased_itself_and_forwards_nothing_of_it() -> None:
    world = World()
    world.link(KEY, "u:7")
    assert erase(world).emissions == []
    assert not is_known(world)
    world.send(KEY, Track(message_id="n", event="Viewed"), sender=SITE)
    assert world.visitors[KEY].state.redirect is None


@pytest.mark.parametrize("event", [
    Activated(decision_id="d1"),
    Rewarded(message_id="m", decision_id="d1", value=1.0),
    Offered(credits=[]),
], ids=["an activation", "a reward", "credits"])  # fmt: skip
def test_an_old_decision_brings_nobody_back_who_was_erased(event: Any) -> None:
    world = World()
    world.decide(KEY, "d1", exposed=False)
    erase(world)
    done = world.send(KEY, event, after_ms=HOUR)
    assert (done.status, done.reason, is_known(world)) == (Status.DROPPED, "erased", False)


def test_a_browser_in_use_does_not_name_a_user_for_longer_than_users_are_kept() -> None:
    world = World()
    world.track(KEY, "Viewed")
    world.link(KEY, "u:7")
    world.send(KEY, Track(message_id="n1", event="Viewed"), sender=SITE, after_ms=HOUR)
    for n in range(14):
        world.send(KEY, Track(message_id=f"m{n}", event="Viewed"), sender=SITE, after_ms=30 * DAY_MS)
        if due(world) <= world.now_ms:
            world.time_out(KEY, after_ms=1)
    state = world.visitors[KEY].state
    assert (state.redirect, state.event_count) == (None, 15)


def test_a_log_in_renews_that_a_browser_is_a_users() -> None:
    world = World()
    world.link(KEY, "u:7")
    for _ in range(14):
        world.link(KEY, "u:7")
        world.now_ms += 30 * DAY_MS
        world.time_out(KEY, after_ms=1)
    assert world.visitors[KEY].state.redirect == "u:7"

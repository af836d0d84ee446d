"""The rule *Consent* in the fold: one gate, later words win, and no refusal is ever forgotten."""

from __future__ import annotations

import pytest
from msgspec import structs

from personalization.catalog.catalog import Source
from personalization.catalog.compiled_catalog import CompiledCatalog, compile_catalog
from personalization.events.entry import Entry, Position, Sender
from personalization.events.event import Activated, Page, Track
from personalization.events.outcome import ClosingReason
from personalization.features import pack
from personalization.folding.fold import fold
from personalization.folding.folded import Status
from personalization.visitor.purposes import MAX_PURPOSES, Word, add, may, merge
from personalization.visitor.visitor import Visitor
from personalization.visitor.visitor_state import VisitorState, encode_visitor
from tests.unit.personalization.world import MINUTE, START, World, shop

KEY = "a:1"
VENDORS = {f"vendor_{n}": True for n in range(100)}


def test_a_refusal_always_has_a_place() -> None:
    """A cookie banner's vendor list comes first, in an event or in the same one."""
    world = World()
    world.consent(KEY, VENDORS)
    world.track(KEY, "Consent Updated", personalization=False)
    assert not world.visitors[KEY].state.consents["personalization"].granted
    at_once = World()
    at_once.consent(KEY, {**VENDORS, "personalization": False})
    assert not at_once.visitors[KEY].state.consents["personalization"].granted
    words = {name: Word(True, 1) for name in VENDORS}
    merge(words, {"personalization": Word(False, 2)}, {"personalization"})
    assert not may(words, "personalization", default=True)


def test_refusals_beyond_the_bound_hold_for_all_that_nobody_else_named() -> None:
    words: dict[str, Word] = {}
    for n in range(5 * MAX_PURPOSES):
        add(words, f"vendor {n}", Word(False, n))
    assert len(words) == MAX_PURPOSES + 1
    assert not any(may(words, f"vendor_{n}", default=True) for n in range(5 * MAX_PURPOSES))


def test_purposes_are_compared_in_one_form() -> None:
    world = World()
    world.consent(KEY, {" Personalization": False})
    assert world.track(KEY, "Viewed").reason == "consent"


@pytest.mark.parametrize(("first", "second", "holds"), [(False, True, True), (True, False, False)])
def test_the_later_word_holds(first: bool, second: bool, holds: bool) -> None:
    world = World()
    world.track(KEY, "Consent Updated", personalization=first)
    world.track(KEY, "Consent Updated", personalization=second)
    assert (world.track(KEY, "Viewed").status is Status.APPLIED) is holds


def test_who_refused_is_neither_profiled_nor_forgotten_to_have_refused() -> None:
    world = World()
    world.track(KEY, "Viewed", category="shoes")
    world.identify(KEY, email="eve@example.org")
    world.decide(KEY, "d0")
    assert world.track(KEY, "Consent Updated", personalization=False).status is Status.APPLIED
    for _ in range(3):
        assert world.track(KEY, "Viewed", category="shoes").status is Status.DROPPED
    assert world.identify(KEY, email="eve@example.org").reason == "consent"
    state = world.visitors[KEY].state
    assert (state.event_count, state.traits, state.affinities, state.exposures) == (0, {}, {}, {})
    assert b"eve@example.org" not in encode_visitor(state)
    assert not state.consents["personalization"].granted


def test_an_event_that_carries_the_refusal_leaves_the_refusal_alone() -> None:
    world = World()
    carried = {"consent": {"personalization": False}}
    world.send(KEY, Track(message_id="m", event="Viewed", properties={"category": "hats"}, context=carried))
    state = world.visitors[KEY].state
    assert (state.event_count, state.affinities) == (0, {})
    assert not state.consents["personalization"].granted


def test_withdrawal_closes_what_is_open_untrained_and_without_features() -> None:
    world = World()
    features = pack({"affinities.category.shoes": 3.0})
    world.decide(KEY, "d1", "red", features=features)
    world.track(KEY, "Consent Updated", personalization=False)
    in_flight = world.decide(KEY, "d2", "red", features=features)  # decided a moment before, folded after
    assert in_flight.reason == "consent"
    world.time_out(KEY, after_ms=31 * MINUTE)
    (outcome,) = world.outcomes
    assert (outcome.choice.decision_id, outcome.reason) == ("d1", ClosingReason.WITHDRAWN)
    assert (outcome.trains, outcome.features) == (False, {})


def test_withdrawal_of_one_purpose_closes_what_needed_it_and_no_more() -> None:
    world = World(shop(consent=("ads",)))
    world.decide(KEY, "d1")
    world.track(KEY, "Consent Updated", ads=False)
    assert [o.reason for o in world.outcomes] == [ClosingReason.WITHDRAWN]
    assert world.track(KEY, "Viewed").status is Status.APPLIED


def test_what_needs_no_consent_goes_on() -> None:
    world = World(shop(consent=()))
    world.decide(KEY, "d1")
    world.track(KEY, "Consent Updated", personalization=False)
    world.decide(KEY, "d2")
    world.reward(KEY, "d2", 1.0)
    world.time_out(KEY, after_ms=31 * MINUTE)
    assert {(o.choice.decision_id, o.reward, o.trains) for o in world.outcomes} == {
        ("d1", 0.0, True),
        ("d2", 1.0, True),
    }


def sources() -> CompiledCatalog:
    catalog = shop().catalog
    asked = {"strict": Source(consent_default="denied"), "open": Source(consent_default="granted")}
    return compile_catalog(structs.replace(catalog, sources=asked), 1)


def tell(
    visitor: Visitor, key: str, offset: int, event: object, sender: Sender, catalog: CompiledCatalog
) -> object:
    at_ms = START + offset
    entry = Entry(received_at_ms=at_ms, occurred_at_ms=at_ms, catalog_version=1, event=event, sender=sender)  # type: ignore[arg-type]
    return fold(visitor, key, Position(1, offset), entry, catalog)


def test_where_nothing_is_granted_by_default_nothing_is_profiled_before_a_grant() -> None:
    visitor, catalog, sender = Visitor.new(), sources(), Sender("strict", "write")
    for offset, message_id in enumerate("abc"):
        tell(visitor, KEY, offset, Page(message_id=message_id), sender, catalog)
    assert visitor.state.event_count == 0
    granted = Page(message_id="yes", context={"consent": {"personalization": True}})
    tell(visitor, KEY, 9, granted, sender, catalog)
    tell(visitor, KEY, 10, Page(message_id="more"), sender, catalog)
    assert visitor.state.event_count == 2


@pytest.mark.parametrize(
    "sender", [Sender("open", "write"), Sender("open", "server"), Sender("open", "write", True)]
)
def test_a_public_key_alone_deletes_no_registered_person(sender: Sender) -> None:
    visitor, catalog = Visitor.new(), sources()
    tell(visitor, "u:7", 0, Page(message_id="a"), Sender("open", "write"), catalog)
    refusal = Track(message_id="no", event="Consent Updated", properties={"personalization": False})
    tell(visitor, "u:7", 1, refusal, sender, catalog)
    proven = sender.by == "server" or sender.verified
    assert visitor.state.event_count == (0 if proven else 1)
    assert visitor.state.consents["personalization"].verified is proven
    tell(visitor, "u:7", 2, Page(message_id="b"), Sender("open", "write"), catalog)
    assert visitor.state.event_count == (0 if proven else 1), "not processed"
    grant = Track(message_id="yes", event="Consent Updated", properties={"personalization": True})
    tell(visitor, "u:7", 3, grant, Sender("open", "server"), catalog)
    tell(visitor, "u:7", 4, Page(message_id="c"), Sender("open", "write"), catalog)
    assert visitor.state.event_count == (2 if proven else 3), "the verified person undoes it"


def test_what_became_of_a_decision_is_nothing_any_more_once_they_refused() -> None:
    """An answer that comes before its decision would wait for it, under the key of somebody who refused."""
    world = World()
    world.decide(KEY, "d1")
    world.track(KEY, "Consent Updated", personalization=False)
    assert world.reward(KEY, "d1", 1.0).reason == "consent"
    assert world.send(KEY, Activated(decision_id="d2")).reason == "consent"
    assert world.visitors[KEY].folder.held == []


def test_words_by_a_source_that_must_ask_delete_nothing_that_another_was_granted() -> None:
    """Nobody refused: what one source may do without asking is not undone by what another may not."""
    visitor, catalog = Visitor.new(), sources()
    tell(visitor, KEY, 0, Page(message_id="a"), Sender("open", "write"), catalog)
    words = Track(message_id="ads", event="Consent Updated", properties={"ads": False})
    tell(visitor, KEY, 1, words, Sender("strict", "write"), catalog)
    assert visitor.state.event_count == 1
    assert not visitor.state.consents["ads"].granted
    tell(visitor, KEY, 2, Page(message_id="b"), Sender("open", "write"), catalog)
    assert visitor.state.event_count == 2


def test_what_was_agreed_to_elsewhere_is_profiled_before_the_word_comes() -> None:
    """The door knew a grant that stands under another id, or is behind this event in the log."""
    catalog, sender = sources(), Sender("strict", "write")
    for agreed, n_events in ((True, 1), (False, 0)):
        visitor = Visitor.new()
        entry = Entry(
            received_at_ms=START,
            occurred_at_ms=START,
            catalog_version=1,
            event=Page(message_id="a"),
            sender=sender,
            agreed=agreed,
        )
        fold(visitor, "u:7", Position(1, 0), entry, catalog)
        assert visitor.state.event_count == n_events
    entry.agreed = True
    refused = VisitorState(consents={"personalization": Word(False, START)})
    visitor = Visitor(refused, Visitor.new().folder)
    assert fold(visitor, "u:7", Position(1, 0), entry, catalog).reason == "consent", "a refusal holds all the same"


def test_a_refusal_survives_a_merge_with_nothing_else_known() -> None:
    world = World()
    world.track(KEY, "Consent Updated", personalization=False)
    world.link(KEY, "u:7")
    assert not world.visitors["u:7"].state.consents["personalization"].granted
    assert world.track("u:7", "Viewed").reason == "consent"
    assert isinstance(world.visitors["u:7"].state, VisitorState)

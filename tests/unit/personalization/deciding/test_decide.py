"""Rule *Decision*: consent, eligibility, the ladder, and what is written down."""

from __future__ import annotations

from dataclasses import replace

import msgspec
import pytest

from personalization.catalog.catalog import Content, Placement
from personalization.deciding.decision import Tier
from personalization.deciding.distribution import SCALE
from personalization.deciding.recompute import recompute
from personalization.deciding.request import PlacementRequest, SentEvent
from personalization.errors import InvalidInput
from personalization.events.decision_id import key_of
from personalization.events.decision_record import decode_record, encode_record
from personalization.events.entry import Position, decode_entry, encode_entry
from personalization.events.event import DecisionMade, Identify, Track
from personalization.folding.fold import fold
from personalization.visitor.purposes import Word
from personalization.visitor.visitor import Visitor
from personalization.visitor.visitor_key import NOBODY
from personalization.visitor.visitor_state import Exposure, Session, VisitorState
from tests.unit.personalization.scenes import (
    KEYS,
    NOW,
    Broken,
    Likes,
    ask,
    capped,
    catalog,
    made,
    run,
    with_receipt,
)


def test_the_probability_answered_is_the_one_drawn_from_and_logged() -> None:
    model = Likes(red=1, green=2, blue=1)
    answer = run(catalog(), models={"hero": model})
    (decision,) = answer.decisions
    record = answer.records[0]
    assert decision.tier is Tier.PERSONALISED
    assert decision.probability == record.choice.weight / SCALE == {"green": 0.5}.get(decision.content_id, 0.25)
    assert made(answer)[0].choice.weight == record.choice.weight
    assert key_of(KEYS.ids, decision.decision_id) == "a:a1" == answer.key


def test_the_record_recomputes_bit_for_bit() -> None:
    shop = catalog()
    for user in range(50):
        answer = run(shop, ask(user_id=f"u{user}"), models={"hero": Likes(red=1, green=5)})
        record = decode_record(encode_record(answer.records[0]))
        again = recompute(record, shop.catalog, Likes(red=1, green=5), KEYS)
        assert (again.arm, again.ticket) == (record.choice.arm, record.ticket)
        assert again.distribution.weights == record.weights
        assert [arm.arm for arm in record.eligible()] == list(record.arms)
        assert record.eligible()[1].mean == pytest.approx(0.5)


def test_recompute_refuses_another_version() -> None:
    shop = catalog()
    record = run(shop).records[0]
    with pytest.raises(InvalidInput, match="model 7"):
        recompute(record, shop.catalog, Likes(version=8), KEYS)
    with pytest.raises(InvalidInput, match="catalog 3"):
        recompute(record, replace(shop.catalog, version=4), Likes(), KEYS)


def test_entries_survive_the_log() -> None:
    answer = run(catalog())
    for entry in answer.entries:
        assert decode_entry(encode_entry(entry)) == entry


def test_an_unknown_visitor_has_an_empty_state_and_is_personalised() -> None:
    answer = run(catalog(), states=[])
    assert (answer.state_revision, answer.state_age_ms) == (0, None)
    assert answer.decisions[0].tier is Tier.PERSONALISED
    assert made(answer)[0].trains


def test_events_sent_along_are_applied_to_this_very_answer() -> None:
    contents = {"a": Content(body="a"), "b": Content(body="b", when="counts['Viewed'] > 0.5 && traits.vip")}
    shop = catalog(contents, hero=Placement(content=("a", "b"), default="a", features=("counts", "session")))
    model = Likes(a=1e-12, b=1.0)
    events = (
        SentEvent(Track(message_id="m1", anonymous_id="a1", event="Viewed"), NOW),
        SentEvent(Identify(message_id="m2", anonymous_id="a1", traits={"vip": True}), NOW),
    )
    assert run(shop, ask(), models={"hero": model}).decisions[0].content_id == "a"
    answer = run(shop, ask(events=events), models={"hero": model})
    assert answer.decisions[0].content_id == "b"
    assert answer.state_revision == 0, "the revision is that of the state as read"
    assert answer.records[0].features["counts.Viewed"] == 1.0
    assert answer.records[0].features["session.n_events"] == 2.0


def test_states_of_all_ids_are_merged_in_memory() -> None:
    contents = {"a": Content(body="a"), "b": Content(body="b", when="n_orders == 3 && known")}
    shop = catalog(contents, hero=Placement(content=("b", "a"), default="a"))
    states = [VisitorState(revision=4, n_orders=1), VisitorState(revision=2, n_orders=2)]
    answer = run(shop, ask(user_id="u1"), states, models={"hero": Likes(b=1, a=1e-12)})
    assert answer.decisions[0].content_id == "b"
    assert answer.state_revision == 6
    assert answer.key == "u:u1"


# Eligibility.


def test_filtered_arms_are_recorded_with_their_reasons() -> None:
    contents = {
        "plain": Content(body=1),
        "later": Content(body=1, starts_ms=NOW + 1),
        "over": Content(body=1, ends_ms=NOW),
        "vips": Content(body=1, when="traits.vip == true"),
        "often": capped(2),
    }
    shop = catalog(contents)
    state = VisitorState(
        session=Session(3, NOW - 1000, NOW - 1000, 1, 1),
        exposures={"often": Exposure(9, 0, 0, 2, NOW - 5)},
        last_ms=NOW - 1000,
    )
    record = run(shop, states=[state]).records[0]
    assert record.arms == ("plain",)
    assert record.filtered == {"later": "not_started", "over": "ended", "vips": "rule", "often": "cap"}


@pytest.mark.parametrize(
    ("per", "exposure", "served"),
    [
        ("session", Exposure(9, 0, 0, 1, NOW - 5), False),
        ("session", Exposure(9, 0, 0, 1, NOW - 11), True),
        ("day", Exposure(9, NOW // 86_400_000, 1, 0, 0), False),
        ("day", Exposure(9, NOW // 86_400_000 - 1, 1, 9, 0), True),
        ("visitor", Exposure(1, 0, 0, 0, 0), False),
    ],
)
def test_a_cap_counts_per_session_day_or_visitor(per: str, exposure: Exposure, served: bool) -> None:
    shop = catalog({"a": capped(1, per), "b": Content(body="b")}, hero=Placement(content=("a", "b"), default="b"))
    state = VisitorState(session=Session(3, NOW - 10, NOW, 1, 1), exposures={"a": exposure})
    arms = run(shop, states=[state]).records[0].arms
    assert ("a" in arms) is served


def test_a_session_that_ended_lifts_the_cap_per_session() -> None:
    shop = catalog({"a": capped(1), "b": Content(body="b")}, hero=Placement(content=("a", "b"), default="b"))
    state = VisitorState(
        session=Session(3, 0, NOW - 31 * 60_000, 1, 1), exposures={"a": Exposure(1, 0, 0, 1, NOW - 31 * 60_000)}
    )
    record = run(shop, states=[state]).records[0]
    assert "a" in record.arms
    assert record.session == 4


def test_where_the_placements_rule_does_not_hold_the_default_is_served() -> None:
    shop = catalog(hero=Placement(content=("green", "blue"), default="red", when="cart_value > 0"))
    answer = run(shop)
    (decision,) = answer.decisions
    assert (decision.content_id, decision.tier, decision.probability) == ("red", Tier.DEFAULT, 1.0)
    assert "rule" in decision.reason
    assert not made(answer)[0].trains


def test_nothing_eligible_serves_the_default() -> None:
    contents = {"a": Content(body="a", when="false"), "d": Content(body="d")}
    decision = run(catalog(contents, hero=Placement(content=("a",), default="d"))).decisions[0]
    assert (decision.content_id, decision.tier) == ("d", Tier.DEFAULT)


# The ladder.


def test_without_state_the_model_decides_by_the_request_alone_and_never_trains() -> None:
    contents = {
        "plain": Content(body=1),
        "mobile": Content(body=1, when="device == 'mobile'"),
        "capped": capped(5),
        "gated": Content(body=1, when="!('vip' in segments)"),
    }
    shop = catalog(contents)
    asked = Likes()
    answer = run(shop, ask(context={"device": {"type": "mobile"}}), None, {"hero": asked})
    assert answer.decisions[0].tier is Tier.CONTEXTUAL
    assert answer.decisions[0].content_id in ("plain", "mobile")
    arms, features, _ = asked.asked[0]
    assert arms == ("plain", "mobile"), "capped and gated contents need the state"
    assert "event_count" not in features
    assert features["device"] == "mobile"


def test_without_state_a_decision_is_nobodys() -> None:
    answer = run(catalog(), states=None)
    assert key_of(KEYS.ids, answer.decisions[0].decision_id) == NOBODY
    assert (answer.entries, answer.records) == ([], [])


@pytest.mark.parametrize(
    ("default", "word", "tier"),
    [
        (True, None, Tier.CONTEXTUAL),
        (True, False, Tier.RULES),
        (False, None, Tier.RULES),
        (False, True, Tier.CONTEXTUAL),
        (False, False, Tier.RULES),
    ],
)
def test_without_state_the_request_and_the_sources_default_say_whether_a_model_may_look(
    default: bool, word: bool | None, tier: Tier
) -> None:
    context = {} if word is None else {"consent": {"personalization": word}}
    answer = run(catalog(), ask(context=context, consent_default=default), states=None)
    assert answer.decisions[0].tier is tier
    assert ("no consent" in answer.decisions[0].reason) is (tier is Tier.RULES)
    assert (answer.entries, answer.records) == ([], [])


def test_without_a_model_rules_decide_by_priority() -> None:
    contents = {"a": Content(body=1), "b": Content(body=1, priority=5), "c": Content(body=1, priority=5)}
    answer = run(catalog(contents), models={})
    (decision,) = answer.decisions
    assert (decision.content_id, decision.tier, decision.policy) == ("b", Tier.RULES, "rules")
    assert not made(answer)[0].trains


def test_past_the_deadline_rules_decide_the_rest() -> None:
    shop = catalog(
        one=Placement(content=("red", "green"), default="red"),
        two=Placement(content=("blue", "green"), default="red"),
    )
    late = iter([False, True])
    answer = run(shop, ask("one", "two"), out_of_time=lambda: next(late))
    assert [decision.tier for decision in answer.decisions] == [Tier.PERSONALISED, Tier.RULES]


def test_a_model_that_fails_is_reported_and_rules_decide() -> None:
    answer = run(catalog(), models={"hero": Broken()})
    assert answer.decisions[0].tier is Tier.RULES
    assert [placement for placement, _ in answer.faults] == ["hero"]


# Consent.


@pytest.mark.parametrize(
    ("recorded", "said", "default", "granted"),
    [
        (None, None, True, True),
        (None, None, False, False),
        (None, True, False, True),
        (None, False, True, False),
        (True, None, False, True),
        (True, False, True, False),
        (False, None, True, False),
        (False, True, True, False),
    ],
)
def test_consent_is_what_the_visitor_said_last_where_it_can_be_known(
    recorded: bool | None, said: bool | None, default: bool, granted: bool
) -> None:
    state = VisitorState(consents={} if recorded is None else {"personalization": Word(recorded, NOW - 9)})
    context = {} if said is None else {"consent": {"personalization": said}}
    answer = run(catalog(), ask(context=context, consent_default=default), [state])
    assert (answer.decisions[0].tier is Tier.PERSONALISED) is granted
    assert bool(answer.entries) is granted


@pytest.mark.parametrize(("at_ms", "tier"), [(NOW - 1, Tier.PERSONALISED), (NOW - 9, Tier.RULES)])
def test_a_receipt_outweighs_an_older_refusal_and_no_later_one(at_ms: int, tier: Tier) -> None:
    state = VisitorState(consents={"personalization": Word(False, NOW - 9)})
    assert run(catalog(), with_receipt(at_ms), [state]).decisions[0].tier is tier


def test_without_consent_nothing_is_keyed_by_a_stable_id() -> None:
    contents = {
        "secret": Content(type="html", body="for {{traits.name|you}}", when="traits.vip == true", priority=9),
        "plain": Content(type="html", body="hello {{traits.name|you}}"),
    }
    shop = catalog(contents)
    state = VisitorState(consents={"personalization": Word(False, NOW - 9)}, traits={"vip": True, "name": "Ada"})
    events = (SentEvent(Track(message_id="m", anonymous_id="a1", event="Viewed"), NOW),)
    answer = run(shop, ask(user_id="u1", events=events), [state])
    (decision,) = answer.decisions
    assert (decision.content_id, decision.tier) == ("plain", Tier.RULES)
    assert (answer.entries, answer.records) == ([], [])
    assert not answer.events_kept
    assert key_of(KEYS.ids, decision.decision_id) == NOBODY


def test_a_placement_that_needs_no_consent_is_decided_and_logged() -> None:
    shop = catalog(hero=Placement(content=("red", "green"), default="red", consent=()))
    state = VisitorState(consents={"personalization": Word(False, NOW - 9)})
    answer = run(shop, ask(), [state])
    assert answer.decisions[0].tier is Tier.PERSONALISED
    assert len(answer.entries) == 1


# Bad input.


def test_an_unknown_placement_is_named() -> None:
    with pytest.raises(InvalidInput) as caught:
        run(catalog(), ask("hero", "nowhere"))
    assert (caught.value.field, caught.value.code) == ("placements[1]", "unknown_placement")


def test_a_number_of_slots_nobody_can_fill_is_named() -> None:
    for slots in (0, -1, 51):
        with pytest.raises(InvalidInput, match=r"placements\[0\]\.slots"):
            run(catalog(), ask(PlacementRequest("hero", slots)))


def test_no_placements_only_tell_the_state() -> None:
    answer = run(
        catalog(), msgspec.structs.replace(ask(), placements=()), [VisitorState(revision=5, now_ms=NOW - 7)]
    )
    assert (answer.state_revision, answer.state_age_ms) == (5, 7)
    assert (answer.decisions, answer.entries, answer.records) == ([], [], [])


def test_deferred_decisions_are_not_exposed() -> None:
    answer = run(catalog(), ask(activate=False))
    event = made(answer)[0]
    assert isinstance(event, DecisionMade)
    assert not event.exposed
    assert not answer.records[0].exposed


def test_without_state_a_receipt_lets_it_be_logged_and_the_side_stays_unknown() -> None:
    shop = catalog(hero=Placement(content=("red", "green"), default="red", holdout=0.5))
    answer = run(shop, with_receipt(NOW), states=None)
    (event,) = made(answer)
    assert key_of(KEYS.ids, event.choice.decision_id) == "a:a1"
    assert (event.choice.holdout, event.trains) == (None, False)
    visitor = Visitor.new()
    fold(visitor, "a:a1", Position(1, 0), answer.entries[0], shop.catalog)
    assert visitor.state.exposures
    assert visitor.state.holdouts == {}

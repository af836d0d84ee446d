"""What a record alone can tell, and what it says it cannot."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from msgspec import structs

from personalization.catalog.catalog import Cap, Catalog, Content, Placement
from personalization.catalog.compiled_catalog import compile_catalog
from personalization.deciding.decider_catalog import PreparedCatalog, prepare
from personalization.events.decision_record import DecisionRecord, decode_record, encode_record
from personalization.explaining.explanation import Explanation, RefusedArm
from personalization.explaining.of_record import Surroundings, explain_record
from personalization.visitor.visitor_state import Exposure, Session, VisitorState
from tests.unit.personalization.explaining.test_words import Telling
from tests.unit.personalization.scenes import KEYS, NOW, Likes, ask, catalog, run

DAY = 86_400_000
PHONE = {"userAgent": "Mozilla/5.0 (iPhone; CPU iPhone OS 17_0 like Mac OS X)"}


def decided(shop: PreparedCatalog, state: VisitorState, **terms: Any) -> DecisionRecord:
    answer = run(shop, ask(**terms), [state], {"hero": Likes()})
    return decode_record(encode_record(answer.records[0]))


def explained(record: DecisionRecord, shop: PreparedCatalog, state: VisitorState, **terms: Any) -> Explanation:
    around = Surroundings(shop, state, terms.pop("scorer", Likes()), KEYS.assignment, NOW + 60_000)
    return explain_record(record, replace(around, **terms))


def refused_by(content: Content, state: VisitorState, **terms: Any) -> RefusedArm:
    """What the record tells of an arm that is not shown, though nothing has happened since."""
    shop = catalog({"red": Content(body=1), "other": content})
    record = decided(shop, state, **terms)
    state.now_ms = NOW
    (refused,) = explained(record, shop, state).refused
    return refused


def test_what_a_rule_read_of_the_request_is_not_known() -> None:
    refused = refused_by(Content(body=1, when="device == 'tablet'"), VisitorState(), context=PHONE)
    assert (
        refused.words
        == "its rule asks for device == 'tablet'; that looks at the request too, which no record holds"
    )
    assert (refused.values, refused.as_of) == ({}, None)


def test_what_a_rule_read_of_the_request_by_a_segment_is_not_known_either() -> None:
    spec = Catalog(
        placements={"hero": Placement(content=("red", "other"), default="red")},
        content={"red": Content(body=1), "other": Content(body=1, when="'phones' in segments")},
        segments={"phones": "device == 'tablet'"},
    )
    shop, state = prepare(compile_catalog(spec, 3)), VisitorState()
    record = decided(shop, state, context=PHONE)
    state.now_ms = NOW
    told = explained(record, shop, state)
    assert "which no record holds" in told.refused[0].words
    assert told.segments_as_of == "now"


def test_a_segment_that_no_request_decides_is_told_beside_one_that_a_request_decides() -> None:
    spec = Catalog(
        placements={"hero": Placement(content=("red", "other"), default="red")},
        content={"red": Content(body=1), "other": Content(body=1, when="'loyal' in segments && n_orders > 9")},
        segments={"loyal": "n_orders >= 3", "buyer": "n_orders >= 1", "no_phone": "device != 'mobile'"},
    )
    shop, state = prepare(compile_catalog(spec, 3)), VisitorState(n_orders=1)
    record = decided(shop, state, context=PHONE)
    state.now_ms = NOW
    told = explained(record, shop, state)
    (refused,) = told.refused
    assert (refused.as_of, refused.values) == ("decision", {"segments": ["buyer"], "n_orders": 1})
    assert refused.failing == [
        "'loyal' in segments does not hold: segments is ['buyer']",
        "n_orders > 9 does not hold: n_orders is 1",
    ]
    assert (told.segments, told.segments_as_of) == (["buyer"], "now"), (
        "nobody knows of no_phone, without the request"
    )


def test_a_rule_that_looks_at_all_segments_looks_at_what_all_of_them_look_at() -> None:
    spec = Catalog(
        placements={"hero": Placement(content=("red", "other"), default="red")},
        content={"red": Content(body=1), "other": Content(body=1, when="size(segments) > 1")},
        segments={"loyal": "n_orders >= 3", "no_phone": "device != 'mobile'"},
    )
    shop, state = prepare(compile_catalog(spec, 3)), VisitorState()
    record = decided(shop, state, context=PHONE)
    state.now_ms = NOW
    assert "which no record holds" in explained(record, shop, state).refused[0].words


def test_whether_a_user_was_named_is_known_by_the_key() -> None:
    refused = refused_by(Content(body=1, when="!known"), VisitorState(), user_id="u1")
    assert (refused.as_of, refused.values) == ("decision", {"known": True})


def test_the_session_of_then_is_not_known_as_decisions_change_it() -> None:
    state = VisitorState(session=Session(1, NOW - 60_000, NOW - 1, 1, 1))
    assert refused_by(Content(body=1, when="session.n_views > 3"), state).as_of == "now"


def test_a_cap_is_told_as_of_now() -> None:
    content = Content(body=1, cap=(Cap(limit=2, per="day"),))
    state = VisitorState(exposures={"other": Exposure(2, NOW // DAY, 2, 2, NOW)})
    refused = refused_by(content, state)
    assert (refused.as_of, refused.values["counted"]) == ("now", 2)
    assert refused.words.startswith("as the visitor is now, the visitor saw it twice")
    state.exposures.clear()
    gone = explained(decided(*with_cap(content)), with_cap(content)[0], VisitorState()).refused[0]
    assert gone.words == "the visitor had seen it as often as its cap allowed (twice today (UTC))"


def test_a_cap_that_counts_several_contents_is_not_told_as_one_of_its_own() -> None:
    content = Content(body=1, group="promos", cap=(Cap(limit=1, of="group"),))
    shop = catalog({"red": Content(body=1), "other": content})
    record = structs.replace(decided(shop, VisitorState()), filtered={"other": "cap"})
    [gone] = explained(record, shop, VisitorState()).refused
    assert gone.words.endswith("(once in this session for contents of the group promos)")


def with_cap(content: Content) -> tuple[PreparedCatalog, VisitorState]:
    state = VisitorState(exposures={"other": Exposure(2, NOW // DAY, 2, 2, NOW)})
    return catalog({"red": Content(body=1), "other": content}), state


def test_another_catalog_says_that_it_is_another() -> None:
    shop = catalog({"red": Content(body=1), "other": Content(body=1, when="n_orders > 3")})
    record = decided(shop, VisitorState())
    later = replace(shop, catalog=replace(shop.catalog, version=9))
    told = explained(record, later, VisitorState(now_ms=NOW))
    assert (told.versions.catalog, told.versions.explained_by_catalog) == (3, 9)
    assert told.words.endswith("The decision was made under catalog 3; rules are told as catalog 9 has them.")
    assert told.refused[0].as_of == "now"


def test_a_placement_that_is_gone_leaves_what_was_recorded() -> None:
    shop = catalog({"red": Content(body=1), "other": Content(body=1, when="n_orders > 3")})
    record = decided(shop, VisitorState())
    told = explained(record, replace(shop, placements={}), VisitorState())
    assert [arm.arm for arm in told.arms] == ["red"]
    assert [(refused.arm, refused.reason) for refused in told.refused] == [("other", "rule")]


def test_another_model_than_decided_says_so() -> None:
    shop = catalog()
    record = decided(shop, VisitorState())
    same = explained(record, shop, VisitorState(), scorer=Telling(version=7))
    assert (len(same.effects), same.effects_note) == (2, None)
    other = explained(record, shop, VisitorState(), scorer=Telling(version=8))
    assert {each.model_version for each in other.effects} == {8}
    assert other.effects_note == (
        "What the features did is told by version 8 of the model: version 7, which decided, is not in memory any "
        "more."
    )
    none = explained(record, shop, VisitorState(), scorer=None)
    assert (none.effects, none.effects_note) == (
        [],
        "The model that decided is not at hand, so nothing tells what each feature did.",
    )


def test_what_a_model_learned_since_is_no_reason_of_one_that_had_learned_nothing() -> None:
    shop = catalog()
    record = decided(shop, VisitorState())
    prior = structs.replace(record, choice=structs.replace(record.choice, model_version=0))
    told = explained(prior, shop, VisitorState(), scorer=Telling(version=8))
    assert told.effects == []
    assert told.effects_note == "The model had learned nothing yet, so no feature spoke for or against anything."


def test_a_decision_by_the_default_is_told_with_all_that_was_closed() -> None:
    shop = catalog(hero=Placement(content=("red", "green"), default="red", when="n_orders > 3"))
    state = VisitorState()
    record = decided(shop, state)
    state.now_ms = NOW
    told = explained(record, shop, state)
    assert [arm.arm for arm in told.arms] == ["red"]
    assert [refused.reason for refused in told.refused] == ["placement_rule"] * 2
    assert told.placement_rule is not None
    assert told.placement_rule.values == {"n_orders": 0}

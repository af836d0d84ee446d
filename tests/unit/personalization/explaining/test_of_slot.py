"""An explanation says what decided, and nothing else: its numbers are the record's, and no arm is left out."""

from __future__ import annotations

import copy
from collections.abc import Mapping
from types import SimpleNamespace
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from personalization.catalog.catalog import Cap, Catalog, Content, Placement
from personalization.catalog.compiled_catalog import compile_catalog
from personalization.catalog.sections.variants import PlacementVariant
from personalization.deciding.decide import deciding
from personalization.deciding.decider_catalog import PreparedCatalog, prepare
from personalization.deciding.distribution import SCALE
from personalization.deciding.request import DecideRequest, PlacementRequest
from personalization.deciding.watching import FilledSlot
from personalization.events.decision_record import DecisionRecord, decode_record, encode_record
from personalization.explaining.explanation import Explanation
from personalization.explaining.facts import Facts, take_over
from personalization.explaining.of_record import Surroundings, explain_record
from personalization.explaining.of_slot import explain_slot
from personalization.features import Features
from personalization.visitor.purposes import Word
from personalization.visitor.visitor_state import Exposure, Holdout, Session, Sticky, VisitorState
from tests.unit.personalization.explaining.watched import watched, why
from tests.unit.personalization.scenes import KEYS, NOW, Broken, Likes, ask, catalog, run

MINUTE = 60_000
ARMS = tuple("abcdef")
RULES = (
    None,
    "traits.plan == 'pro'",
    "n_orders > 1",
    "device == 'mobile'",
    "counts['Viewed'] > 2.0 && known",
    'count("Viewed", within="7d") >= 2',
)
CAPS = (
    (),
    (Cap(limit=1),),
    (Cap(limit=2, per="day"),),
    (Cap(limit=1, per="visitor"),),
    (Cap(limit=1, of="placement"),),
    (Cap(limit=2, within_ms=7 * 86_400_000),),
    (Cap(limit=1, per="day", of="group"),),
)


@st.composite
def contents(draw: st.DrawFn) -> Content:
    starts, ends = draw(st.sampled_from([(None, None), (NOW + 1, None), (None, NOW - 1), (NOW - 1, NOW + 1)]))
    return Content(
        body={"title": "x"},
        when=draw(st.sampled_from(RULES)),
        cap=draw(st.sampled_from(CAPS)),
        group="promos",
        starts_ms=starts,
        ends_ms=ends,
        priority=draw(st.integers(0, 2)),
        features=draw(st.sampled_from([{}, {"category": "shoes"}])),
    )


@st.composite
def placements(draw: st.DrawFn) -> Placement:
    apprentice = draw(st.sampled_from([False, False, False, True]))
    return Placement(
        content=draw(st.sampled_from([ARMS, ARMS[:3]])),
        default="a",
        slots=1 if apprentice else draw(st.integers(1, 3)),
        when=draw(st.sampled_from((None, None, *RULES))),
        holdout=draw(st.sampled_from([0.0, 0.5])),
        control="default" if apprentice else draw(st.sampled_from(["default", "uniform"])),
        sticky=not apprentice and draw(st.booleans()),
        apprentice=apprentice,
        variants={"v": PlacementVariant(share=0.5)} if draw(st.booleans()) and not apprentice else {},
    )


@st.composite
def shops(draw: st.DrawFn) -> PreparedCatalog:
    spec = Catalog(
        content={arm: draw(contents()) for arm in ARMS},
        placements={name: draw(placements()) for name in ("hero", "list")},
        segments={"buyers": "n_orders > 0"},
        holdout=draw(st.sampled_from([0.0, 0.2])),
    )
    return prepare(compile_catalog(spec, 3))


@st.composite
def visitors(draw: st.DrawFn) -> VisitorState:
    exposures = {
        arm: Exposure(n, NOW // 86_400_000, n, n, NOW - MINUTE)
        for arm, n in draw(st.dictionaries(st.sampled_from(ARMS), st.integers(1, 3))).items()
    }
    sticky = draw(st.sampled_from(["", "a", "c"]))
    return VisitorState(
        revision=draw(st.integers(1, 9)),
        now_ms=NOW - MINUTE,
        first_ms=NOW - 9 * MINUTE,
        last_ms=NOW - MINUTE,
        session=Session(1, NOW - 9 * MINUTE, NOW - MINUTE, 3, 1),
        traits=draw(st.sampled_from([{}, {"plan": "free"}, {"plan": "pro"}])),
        n_orders=draw(st.integers(0, 3)),
        consents=draw(
            st.sampled_from(
                [{}, {"personalization": Word(True, NOW - 5)}, {"personalization": Word(False, NOW - 5)}]
            )
        ),
        exposures=exposures,
        sticky={"hero/0": Sticky("kept", sticky, SCALE // 2, NOW - 2 * MINUTE)} if sticky else {},
        holdouts=draw(st.sampled_from([{}, {"hero": Holdout(True, NOW - 5)}, {"list": Holdout(False, NOW - 5)}])),
    )


@st.composite
def requests(draw: st.DrawFn) -> DecideRequest:
    return ask(
        *draw(st.sampled_from([("hero",), ("hero", "list"), (PlacementRequest("list", 3), "hero")])),
        user_id=draw(st.sampled_from([None, "u1"])),
        context={
            "userAgent": draw(st.sampled_from(["", "Mozilla/5.0 (iPhone; CPU iPhone OS 17_0 like Mac OS X)"]))
        },
        consent_default=draw(st.booleans()),
        activate=draw(st.booleans()),
    )


@settings(max_examples=150, deadline=None)
@given(
    shops(),
    requests(),
    st.one_of(st.none(), st.just([]), visitors().map(lambda state: [state])),
    st.sampled_from([Likes(), Likes(a=1, b=9, c=0.01), Broken(), None]),
)
def test_an_explanation_is_what_decided(
    shop: PreparedCatalog, request: DecideRequest, states: list[VisitorState] | None, model: Any
) -> None:
    before = copy.deepcopy(states)
    models: Mapping[str, Any] = {} if model is None else dict.fromkeys(shop.catalog.models, model)
    unwatched = run(shop, request, copy.deepcopy(states), models)
    answer, explained = watched(shop, request, states, models)
    assert answer.decisions == unwatched.decisions, "nobody is shown another thing for being watched"
    assert answer.records == unwatched.records
    assert len(explained) == len(answer.decisions)
    records = {record.choice.decision_id: record for record in answer.records}
    for decision, why_it in zip(answer.decisions, explained, strict=True):
        assert (why_it.decision_id, why_it.placement, why_it.slot) == (
            decision.decision_id,
            decision.placement,
            decision.slot,
        )
        assert (why_it.shown, why_it.probability) == (decision.content_id, decision.probability)
        assert (why_it.tier, why_it.policy, why_it.reason) == (decision.tier, decision.policy, decision.reason)
        held_out = bool(why_it.holdout and why_it.holdout.control)
        assert (why_it.variant or "", held_out) == (decision.variant, decision.holdout)
        _leaves_no_arm_out(why_it, shop)
        if why_it.kept is None or not why_it.kept.repeated:
            assert sum(arm.weight or 0 for arm in why_it.arms) == SCALE
        record = records.get(why_it.decision_id)
        if record is None:
            continue
        again = _by_record(record, shop, before, models)
        _leaves_no_arm_out(again, shop)
        assert sum(arm.weight or 0 for arm in again.arms) == SCALE
        assert again.consent == why_it.consent
        if record.ticket is not None:
            _equals_the_record(why_it, record)
            _equals_the_record(again, record)
        live = {refused.arm: refused for refused in why_it.refused}
        for refused in again.refused:
            assert refused.reason == live[refused.arm].reason
            if refused.as_of == "decision":
                assert refused == live[refused.arm], "only what decided is told as that"


def _by_record(
    record: DecisionRecord, shop: PreparedCatalog, states: list[VisitorState] | None, models: Mapping[str, Any]
) -> Explanation:
    """What the record alone tells, an hour later, of a visitor who has done nothing since."""
    state = states[0] if states else None
    if state is not None:
        state.now_ms = max(state.now_ms, record.decided_at_ms)  # as the fold of the decision leaves it
    scorer = models.get(record.choice.model)
    if isinstance(scorer, Broken):
        scorer = None
    kept = decode_record(encode_record(record))
    return explain_record(kept, Surroundings(shop, state, scorer, KEYS.assignment, NOW + 60 * MINUTE))


def _leaves_no_arm_out(explained: Explanation, shop: PreparedCatalog) -> None:
    placement = shop.placements[explained.placement]
    could = {arm.arm for arm in explained.arms}
    could_not = {arm.arm for arm in explained.refused}
    assert could | could_not == set(placement.candidates.arms)
    assert could & could_not <= {explained.shown}, "only what is shown for want of anything else is both"
    for refused in explained.refused:
        assert refused.words
        assert refused.arm in explained.words or len(explained.refused) > 5 or explained.placement_rule


def _equals_the_record(explained: Explanation, record: DecisionRecord) -> None:
    eligible = record.eligible()
    assert [(arm.arm, arm.weight) for arm in explained.arms] == [(arm.arm, arm.weight) for arm in eligible]
    if not record.choice.holdout:
        assert [(arm.estimate, arm.uncertainty) for arm in explained.arms] == [(a.mean, a.sd) for a in eligible]
    assert explained.drawn is not None
    assert explained.drawn.ticket == record.ticket
    (fell_on,) = [arm.arm for arm in explained.arms if _takes(arm.from_ticket, arm.to_ticket, record.ticket)]
    assert fell_on == explained.drawn.arm == (record.choice.policy_arm or record.choice.arm)
    assert explained.weight == record.choice.weight
    assert explained.versions.model == record.choice.model_version
    assert explained.versions.state_revision == record.state_revision
    assert {refused.arm: refused.reason for refused in explained.refused} == record.filtered
    agreed = {word.purpose for word in explained.consent if word.by != "default"}
    assert agreed == set(record.agreed)


def _takes(begin: int | None, end: int | None, ticket: int) -> bool:
    return begin is not None and end is not None and begin <= ticket < end


class Additive(Likes):
    """A model whose estimates are sums of features."""

    def contributions(
        self, arm: str, features: Features, arm_features: Mapping[str, Features] | None = None
    ) -> Any:
        return SimpleNamespace(
            mean_estimate=0.1, estimate=0.4, by_feature={"device": -0.02, "affinities.category.shoes": 0.32}
        )


def test_contributions_are_of_what_was_shown_and_of_the_next_best() -> None:
    explained = why(catalog(), models={"hero": Additive(red=5, green=3, blue=1)})
    others = {"red": "green", "green": "red", "blue": "red"}
    assert [each.arm for each in explained.effects] == [explained.shown, others[explained.shown]]
    assert list(explained.effects[0].by_feature) == ["affinities.category.shoes", "device"], "the strongest first"
    assert explained.effects[0].model_version == 7


def test_a_model_that_learned_nothing_says_so_instead_of_naming_nothing() -> None:
    explained = why(catalog(), models={"hero": Additive(version=0)})
    assert explained.effects == []
    assert "The model had learned nothing yet" in explained.words


def test_a_model_by_which_no_feature_counts_says_so_instead_of_naming_nothing() -> None:
    class Even(Likes):
        def contributions(self, *_: Any) -> Any:
            return SimpleNamespace(mean_estimate=0.1, estimate=0.1, by_feature={"device": 0.0})

    explained = why(catalog(), models={"hero": Even()})
    assert explained.effects[0].by_feature == {"device": 0.0}, "the estimates stand, and that nothing came of it"
    assert "no feature speaks for or against anything" in explained.words


def test_what_would_be_decided_has_no_id() -> None:
    slots: list[FilledSlot] = []
    run(catalog(), None, (), watch=slots.append)
    assert explain_slot(slots[0]).decision_id
    assert explain_slot(slots[0], "now").decision_id == ""


def test_what_is_assumed_holds_without_consent_too() -> None:
    """Device and segments are no part of a state: what is to be so is so for every scope of the call."""
    shop = catalog({"red": Content(body=1), "other": Content(body=1, when="device == 'mobile'")})
    slots: list[FilledSlot] = []
    request = ask(consent_default=False)
    steps = deciding(
        request,
        [VisitorState()],
        shop,
        {},
        NOW,
        keys=KEYS,
        nonce=lambda: bytes(16),
        watch=slots.append,
        assume=lambda scope: take_over(scope, Facts(device="mobile")),
    )
    with pytest.raises(StopIteration):
        next(steps)
    assert slots[0].filling.missing is not None
    assert slots[0].filtered == {}


def test_a_model_that_cannot_tell_says_so() -> None:
    explained = why(catalog(), models={"hero": Likes()})
    assert (explained.effects, explained.effects_note) == (
        [],
        "This model cannot tell what each feature did.",
    )


def test_a_model_that_fails_to_tell_takes_nothing_else_away() -> None:
    class Failing(Likes):
        def contributions(self, *_: Any) -> Any:
            raise ZeroDivisionError

    explained = why(catalog(), models={"hero": Failing()})
    assert explained.effects_note == "The model failed to tell what each feature did (ZeroDivisionError)."
    assert len(explained.arms) == 3


def test_the_holdout_says_which_it_is_and_since_when() -> None:
    shop = catalog(hero=Placement(content=("red", "green"), default="red", holdout=0.999999))
    first = why(shop, states=[VisitorState()]).holdout
    assert first is not None
    assert (first.control, first.layer, first.since_ms) == (True, "placement", None)
    state = VisitorState(holdouts={"hero": Holdout(True, NOW - 5)})
    recorded = why(shop, states=[state]).holdout
    assert recorded is not None
    assert (recorded.control, recorded.since_ms) == (True, NOW - 5)


@pytest.mark.parametrize(
    ("terms", "state", "told"),
    [
        ({}, VisitorState(), (True, "default", None)),
        (
            {"context": {"consent": {"personalization": True}}, "consent_default": False},
            None,
            (True, "request", NOW),
        ),
        ({}, VisitorState(consents={"personalization": Word(True, 5, True)}), (True, "recorded", 5)),
        ({"context": {"consent": {"personalization": False}}}, VisitorState(), (False, "request", NOW)),
        ({"refused": ("personalization",)}, VisitorState(), (False, "browser", NOW)),
    ],
)
def test_consent_is_told_by_its_word(terms: Any, state: VisitorState | None, told: tuple[Any, ...]) -> None:
    (word,) = why(catalog(), ask(**terms), [state] if state is not None else []).consent
    assert (word.granted, word.by, word.at_ms) == told


def test_a_kept_choice_has_the_probability_of_its_draw_and_the_others_none() -> None:
    shop = catalog(hero=Placement(content=("red", "green"), default="red", sticky=True))
    state = VisitorState(
        session=Session(1, NOW - MINUTE, NOW), sticky={"hero/0": Sticky("kept", "green", 12345, NOW - 1)}
    )
    explained = why(shop, states=[state])
    assert [(arm.arm, arm.weight) for arm in explained.arms] == [("red", None), ("green", 12345)]
    assert (explained.decision_id, explained.weight, explained.drawn) == ("kept", 12345, None)
    assert explained.kept is not None
    assert (explained.kept.repeated, explained.kept.since_ms) == (True, NOW - 1)

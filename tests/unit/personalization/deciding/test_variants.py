"""Rule *Variants*: who is in one is decided for by its policy, model and contents, and the log says so."""

from __future__ import annotations

from collections import Counter
from typing import Any

import pytest
from msgspec import structs

from personalization.catalog.catalog import Content, Placement
from personalization.catalog.policy_spec import PolicySpec
from personalization.catalog.sections.variants import PlacementVariant
from personalization.deciding.decider_catalog import PreparedCatalog
from personalization.deciding.decision import Tier
from personalization.deciding.recompute import recompute
from personalization.errors import InvalidInput
from personalization.events.emission import ADDRESSES
from personalization.events.entry import Entry, Position
from personalization.events.event import Rewarded, TimedOut
from personalization.events.outcome import Outcome
from personalization.folding.closed_memory import LateReward
from personalization.folding.fold import fold
from personalization.visitor.visitor import Visitor
from personalization.visitor.visitor_state import VisitorState
from tests.of_type import of_type
from tests.unit.personalization.scenes import KEYS, NOW, Broken, Likes, ask, catalog, made, run

CONTENTS = {name: Content(body={"title": name}) for name in ("red", "green", "blue", "black")}
VARIANTS = {
    "a": PlacementVariant(share=0.4, policy=PolicySpec(name="thompson")),
    "b": PlacementVariant(share=0.3, content=("blue", "black"), policy=PolicySpec(name="squarecb")),
    "c": PlacementVariant(share=0.1, policy=PolicySpec(name="uniform"), learn="shared"),
}
POLICIES = {"": "default", "a": "thompson", "b": "squarecb", "c": "uniform"}
MODELS = {"": "hero", "a": "hero@a", "b": "hero@b", "c": "hero"}


def shop(**terms: Any) -> PreparedCatalog:
    hero = Placement(**{"content": ("red", "green"), "default": "red", "variants": VARIANTS, **terms})
    return catalog(CONTENTS, hero=hero)


def scorers() -> dict[str, Any]:
    return {"hero": Likes(version=1), "hero@a": Likes(version=2), "hero@b": Likes(version=3)}


def test_each_variant_has_its_share_its_policy_its_model_and_its_contents() -> None:
    prepared, found = shop(), Counter[str]()
    versions = {"hero": 1, "hero@a": 2, "hero@b": 3}
    for n in range(2_000):
        answer = run(prepared, ask(anonymous_id=f"a{n}"), models=scorers())
        (decision,), (record,), (event,) = answer.decisions, answer.records, made(answer)
        variant = decision.variant
        found[variant] += 1
        assert event.choice == record.choice
        choice = record.choice
        assert (choice.variant, choice.policy, choice.model) == (variant, POLICIES[variant], MODELS[variant])
        assert choice.model_version == versions[choice.model]
        assert record.arms == (("blue", "black") if variant == "b" else ("red", "green"))
        assert event.trains
    for variant, share in {"a": 0.4, "b": 0.3, "c": 0.1, "": 0.2}.items():
        assert found[variant] == pytest.approx(2_000 * share, abs=4 * (2_000 * share * (1 - share)) ** 0.5)


def test_it_stays_across_a_log_in() -> None:
    prepared = shop()
    for n in range(50):
        before = run(prepared, ask(anonymous_id=f"a{n}"), models=scorers())
        visitor = Visitor.new()
        fold(visitor, before.key, Position(1, 0), before.entries[0], prepared.catalog)
        pair = run(prepared, ask(anonymous_id=f"a{n}", user_id=f"u{n}"), models=scorers())
        known = VisitorState(unit=visitor.state.unit, now_ms=NOW)
        after = run(prepared, ask(anonymous_id=None, user_id=f"u{n}"), [known], scorers())
        assert before.decisions[0].variant == pair.decisions[0].variant == after.decisions[0].variant


def test_who_is_held_out_is_in_no_variant() -> None:
    prepared = shop(holdout=0.5, variants={"a": PlacementVariant(share=1.0)})
    found = Counter(
        (d.holdout, d.variant)
        for n in range(400)
        for d in run(prepared, ask(anonymous_id=f"a{n}"), models=scorers()).decisions
    )
    assert set(found) == {(True, ""), (False, "a")}
    assert found[True, ""] == pytest.approx(200, abs=40)


def test_without_consent_nobody_is_in_a_variant() -> None:
    prepared = shop(variants={"b": PlacementVariant(share=1.0, content=("black",))})
    answer = run(prepared, ask(consent_default=False), models=scorers())
    (decision,) = answer.decisions
    assert (decision.variant, decision.tier, decision.content_id) == ("", Tier.RULES, "red")
    assert answer.records == []


def test_those_who_name_nobody_are_not_all_in_one_variant() -> None:
    prepared = shop()
    requests = [structs.replace(ask(anonymous_id=None), request_id=f"r{n}") for n in range(200)]
    found = [run(prepared, each, None, scorers()).decisions[0].variant for each in requests]
    assert set(found) == set(POLICIES)
    assert found == [run(prepared, each, None, scorers()).decisions[0].variant for each in requests]


def test_a_variant_whose_model_fails_or_is_missing_answers_by_its_own_contents() -> None:
    prepared = shop(variants={"b": VARIANTS["b"]})
    for n in range(100):
        for models in ({**scorers(), "hero@b": Broken()}, {"hero": Likes()}):
            answer = run(prepared, ask(anonymous_id=f"a{n}"), models=models)
            (decision,) = answer.decisions
            if decision.variant == "b":
                assert (decision.tier, decision.content_id) == (Tier.RULES, "blue")
                assert [key for key, _ in answer.faults] == (["hero@b"] if "hero@b" in models else [])
            else:
                assert decision.tier is Tier.PERSONALISED


def test_a_decision_of_a_variant_is_made_again_from_its_record() -> None:
    prepared = shop()
    seen = set()
    for n in range(60):
        (record,) = run(prepared, ask(anonymous_id=f"a{n}"), models=scorers()).records
        scorer = scorers()[record.choice.model]
        again = recompute(record, prepared.catalog, scorer, KEYS)
        assert (again.arm, again.distribution.policy) == (record.choice.arm, record.choice.policy)
        seen.add(record.choice.variant)
    assert seen == set(POLICIES)
    foreign = structs.replace(record, choice=structs.replace(record.choice, variant="gone"))
    with pytest.raises(InvalidInput, match="no variant 'gone'"):
        recompute(foreign, prepared.catalog, Likes(), KEYS)


def test_the_outcome_says_the_variant_and_goes_to_the_model_that_decided() -> None:
    prepared = shop()
    seen = set()
    for n in range(60):
        answer = run(prepared, ask(anonymous_id=f"a{n}"), models=scorers())
        visitor = Visitor.new()
        fold(visitor, answer.key, Position(1, 0), answer.entries[0], prepared.catalog)
        due_ms = visitor.folder.open[0].due_ms
        closing = Entry(
            received_at_ms=due_ms, occurred_at_ms=due_ms, catalog_version=3, event=TimedOut(due_ms=due_ms)
        )
        (emission,) = fold(visitor, answer.key, Position(1, 1), closing, prepared.catalog).emissions
        outcome = of_type(Outcome, emission)
        assert outcome.choice.variant == answer.decisions[0].variant
        assert ADDRESSES[Outcome].key(outcome) == MODELS[outcome.choice.variant]
        seen.add(outcome.choice.variant)
    assert seen == set(POLICIES)


def test_a_late_reward_names_a_content_that_only_a_variant_shows() -> None:
    prepared = shop(variants={"b": PlacementVariant(share=1, content=("black",))})
    answer = run(prepared, models={"hero@b": Likes()})
    visitor = Visitor.new()
    fold(visitor, answer.key, Position(1, 0), answer.entries[0], prepared.catalog)
    due_ms = visitor.folder.open[0].due_ms
    decision_id = answer.decisions[0].decision_id
    closing = Entry(received_at_ms=due_ms, occurred_at_ms=due_ms, catalog_version=3, event=TimedOut(due_ms=due_ms))
    fold(visitor, answer.key, Position(1, 1), closing, prepared.catalog)
    assert visitor.folder.open == []
    told = structs.replace(closing, event=Rewarded(message_id="r", decision_id=decision_id, value=1.0))
    folded = fold(visitor, answer.key, Position(1, 2), told, prepared.catalog)
    assert folded.late == [LateReward(decision_id, "hero", "black", 0)]


def test_a_kept_choice_is_kept_in_its_variant() -> None:
    prepared = shop(sticky=True)
    for n in range(40):
        first = run(prepared, ask(anonymous_id=f"a{n}"), models=scorers())
        visitor = Visitor.new()
        fold(visitor, first.key, Position(1, 0), first.entries[0], prepared.catalog)
        again = run(prepared, ask(anonymous_id=f"a{n}"), [visitor.state], scorers())
        assert again.decisions[0].reason == "kept in this session"
        assert made(again)[0].choice.variant == made(first)[0].choice.variant == again.decisions[0].variant

"""An apprentice shows the baseline, says so honestly, and records what its policy would have shown."""

from __future__ import annotations

from typing import Any

import pytest

from personalization.catalog.catalog import Catalog, Content, Placement
from personalization.catalog.check import InvalidCatalog
from personalization.catalog.compiled_catalog import compile_catalog
from personalization.deciding.candidates import passing_candidates
from personalization.deciding.decider_catalog import PreparedCatalog
from personalization.deciding.decision import Tier
from personalization.deciding.distribution import SCALE
from personalization.deciding.recompute import recompute
from personalization.deciding.request import PlacementRequest, SlotRequest
from personalization.events.decision_record import decode_record, encode_record
from tests.unit.personalization.scenes import KEYS, Broken, Likes, ask, catalog, made, run

ARMS = ("red", "green", "blue")


def shop(**more: Any) -> PreparedCatalog:
    return catalog(None, hero=Placement(content=ARMS, default="green", apprentice=True, **more))


def test_everybody_sees_the_baseline_and_its_probability_is_one() -> None:
    for n in range(20):
        answer = run(shop(), ask(anonymous_id=f"a{n}"), models={"hero": Likes(red=90, green=5, blue=5)})
        (decision,), (record,), (entry,) = answer.decisions, answer.records, made(answer)
        assert (decision.content_id, decision.probability, decision.policy) == ("green", 1.0, "apprentice")
        assert (entry.choice.arm, entry.choice.weight, entry.trains) == ("green", SCALE, True)
        assert record.choice == entry.choice


def test_what_the_policy_would_have_drawn_is_recorded_and_can_be_drawn_again() -> None:
    model = Likes(red=90, green=5, blue=5)
    preferred = []
    for n in range(200):
        answer = run(shop(), ask(anonymous_id=f"a{n}"), models={"hero": model})
        record = decode_record(encode_record(answer.records[0]))
        again = recompute(record, shop().catalog, model, KEYS)
        assert (again.arm, again.ticket) == (record.choice.policy_arm, record.ticket)
        assert again.distribution.weights == record.weights
        preferred.append(record.choice.policy_arm)
    assert 160 < preferred.count("red") < 200, "nine in ten, by chance"


def test_a_baseline_that_may_not_be_shown_gives_way_to_what_rules_take() -> None:
    contents = {name: Content(body=name, when="known" if name == "green" else None) for name in ARMS}
    contents["blue"] = Content(body="blue", priority=3)
    placement = Placement(content=ARMS, default="green", apprentice=True)
    (decision,) = run(catalog(contents, hero=placement)).decisions
    assert (decision.content_id, decision.probability) == ("blue", 1.0)


def test_a_model_that_fails_or_is_missing_changes_nothing_of_what_is_seen() -> None:
    for models in ({}, {"hero": Broken()}):
        answer = run(shop(), models=models)
        (decision,) = answer.decisions
        assert (decision.content_id, decision.tier, decision.policy_arm) == ("green", Tier.RULES, "")
        assert [entry.trains for entry in made(answer)] == [False]


def test_who_is_held_out_is_no_apprentices_customer() -> None:
    answer = run(shop(holdout=0.999999))
    (decision,) = answer.decisions
    assert (decision.content_id, decision.holdout, decision.policy_arm) == ("green", True, "")


def test_a_caller_who_keeps_choices_sees_the_baseline_all_the_same() -> None:
    (decision,) = run(shop(), ask(sticky=True), models={"hero": Likes(red=1, green=0, blue=0)}).decisions
    assert (decision.content_id, decision.sticky, decision.policy_arm) == ("green", False, "red")


def test_of_what_a_caller_brings_the_first_is_the_baseline_in_each_slot_its_own() -> None:
    spec = Placement(arms="caller", apprentice=True)
    prepared = catalog({"none": Content()}, mine=spec)
    bodies = dict.fromkeys(ARMS)
    brought = passing_candidates(bodies, None, {"red": "excluded"})
    (decision,) = run(prepared, ask(PlacementRequest("mine", 1, brought))).decisions
    assert (decision.content_id, decision.probability) == ("green", 1.0)
    slots = tuple(
        SlotRequest(name, passing_candidates({first: None, **bodies}, None, {}))
        for name, first in (("a", "blue"), ("b", "red"))
    )
    answer = run(prepared, ask(PlacementRequest("mine", own_slots=slots)))
    assert [decision.content_id for decision in answer.decisions] == ["blue", "red"]
    assert [record.arms for record in answer.records] == [("blue", "red", "green"), ("red", "green")]


@pytest.mark.parametrize(
    ("more", "field"),
    [
        ({"sticky": True}, "placements.hero.sticky"),
        ({"control": "uniform"}, "placements.hero.control"),
        ({"content": ("red", "blue")}, "placements.hero.default"),
    ],
)
def test_a_catalog_in_which_it_could_never_agree_or_would_not_hold_is_refused(
    more: dict[str, Any], field: str
) -> None:
    terms = {"content": ARMS, "default": "green", "apprentice": True, **more}
    spec = Catalog(placements={"hero": Placement(**terms)}, content={name: Content() for name in ARMS})
    with pytest.raises(InvalidCatalog) as refused:
        compile_catalog(spec, 1)
    assert field in str(refused.value)

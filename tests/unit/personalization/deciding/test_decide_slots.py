"""Rule *Several slots*: drawn in order, each given the ones above, never the same offer twice."""

from __future__ import annotations

from collections import Counter
from typing import Literal

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from personalization.catalog.catalog import Content, Placement
from personalization.deciding.decider_catalog import PreparedCatalog
from personalization.deciding.distribution import SCALE
from personalization.deciding.request import PlacementRequest
from personalization.visitor.visitor_state import VisitorState
from tests.unit.personalization.scenes import Likes, ask, catalog, run

WEIGHTS = {"a": 0.5, "b": 0.3, "c": 0.2}


def shop(**more: Placement) -> PreparedCatalog:
    contents = {name: Content(body=name) for name in "abcde"}
    return catalog(contents, list=Placement(content=("a", "b", "c"), default="a", slots=3), **more)


def test_a_later_slots_probability_is_given_the_arms_above() -> None:
    for user in range(200):
        answer = run(shop(), ask("list", user_id=f"u{user}"), models={"list": Likes(7, **WEIGHTS)})
        left = dict(WEIGHTS)
        for decision, record in zip(answer.decisions, answer.records, strict=True):
            expected = left[decision.content_id] / sum(left.values())
            assert decision.probability == pytest.approx(expected, abs=1e-9)
            assert set(record.arms) == set(left)
            assert record.above == tuple(d.content_id for d in answer.decisions[: decision.slot])
            del left[decision.content_id]


def test_ids_are_per_slot() -> None:
    answer = run(shop(), ask("list"))
    assert len({decision.decision_id for decision in answer.decisions}) == 3


def test_offers_of_earlier_placements_are_filtered_with_that_reason() -> None:
    both = shop(hero=Placement(content=("a", "b"), default="b"))
    answer = run(both, ask("list", "hero"), models={"list": Likes(7, **WEIGHTS), "hero": Likes()})
    assert [d.placement for d in answer.decisions] == ["list"] * 3, "both of hero's arms are taken: nothing to show"
    answer = run(both, ask("hero", "list"), models={"list": Likes(7, **WEIGHTS), "hero": Likes()})
    taken = answer.decisions[0].content_id
    assert answer.records[1].filtered == {taken: "taken"}
    assert len(answer.decisions) == 3


def test_more_slots_than_arms_are_left_empty() -> None:
    answer = run(shop(), ask(PlacementRequest("list", 5)))
    assert [decision.slot for decision in answer.decisions] == [0, 1, 2]


names = st.sampled_from("abcde")


@settings(max_examples=150, deadline=None)
@given(
    arms=st.lists(st.lists(names, min_size=1, max_size=5, unique=True), min_size=1, max_size=4),
    slots=st.integers(1, 5),
    rules=st.dictionaries(names, st.sampled_from(["true", "false", "traits.x == 1"]), max_size=5),
    holdout=st.sampled_from([0.0, 0.5]),
    control=st.sampled_from(["default", "uniform"]),
    sticky=st.booleans(),
    tier=st.sampled_from(["model", "no_model", "no_state"]),
    visitor=st.text(min_size=1, max_size=5),
)
def test_whatever_the_catalog_the_answer_holds_the_rules(
    arms: list[list[str]],
    slots: int,
    rules: dict[str, str],
    holdout: float,
    control: Literal["default", "uniform"],
    sticky: bool,
    tier: str,
    visitor: str,
) -> None:
    contents = {name: Content(body=name, when=rules.get(name)) for name in "abcde"}
    placements = {
        f"p{n}": Placement(
            content=tuple(ids), default=ids[-1], slots=slots, holdout=holdout, control=control, sticky=sticky,
            consent=(),
        )
        for n, ids in enumerate(arms)
    }  # fmt: skip
    prepared = catalog(contents, **placements)
    request = ask(*placements, anonymous_id=visitor)
    models: dict[str, Likes] = {} if tier == "no_model" else {name: Likes(a=3) for name in placements}
    states: list[VisitorState] | None = None if tier == "no_state" else []
    answer = run(prepared, request, states, models)
    assert run(prepared, request, states, models).decisions == answer.decisions, "same inputs, same answer"
    shown = Counter(decision.content_id for decision in answer.decisions)
    assert not shown or max(shown.values()) == 1
    assert bool(answer.records) == (tier != "no_state" and bool(answer.decisions))
    for decision, record in zip(answer.decisions, answer.records, strict=tier != "no_state"):
        spec = placements[decision.placement]
        assert sum(record.weights) == SCALE
        assert record.choice.weight == record.weights[record.arms.index(record.choice.arm)] > 0
        assert 0 < decision.probability <= 1
        if decision.content_id != spec.default:
            assert rules.get(decision.content_id, "true") == "true", "the chosen is eligible"
        assert decision.content_id in (*spec.content, spec.default)
        assert not set(record.arms) & set(record.above)
        assert record.trains == (
            decision.tier == "personalised" and not decision.holdout and record.ticket is not None
        )

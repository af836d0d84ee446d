"""Ids that follow from a request's id and the arm: whoever names both names the decision, drawn as any."""

from __future__ import annotations

from personalization.catalog.catalog import Content, Placement
from personalization.deciding.draw import decision_id_by_arm
from personalization.deciding.recompute import recompute
from personalization.events.decision_id import key_of
from tests.unit.personalization.scenes import KEYS, Likes, ask, catalog, made, run

CONTENTS = {name: Content(body=name) for name in "abc"}
SHOP = catalog(CONTENTS, list=Placement(content=("a", "b", "c"), default="a", slots=2))
CLOSED = catalog(CONTENTS, list=Placement(content=("a", "b", "c"), default="a", when="n_orders > 5"))


def test_whoever_names_request_and_arm_names_the_decision() -> None:
    for n in range(40):
        answer = run(SHOP, ask("list", anonymous_id=f"a{n}", repeatable=True, by_arm=True))
        assert len(answer.decisions) == 2
        for decision in answer.decisions:
            arm = decision.content_id
            named = decision_id_by_arm(KEYS, key=f"a:a{n}", request_id="r1", arm=arm)
            assert decision.decision_id == named
            assert key_of(KEYS.ids, named) == f"a:a{n}"
            assert named != decision_id_by_arm(KEYS, key=f"a:a{n}", request_id="r2", arm=arm)


def test_it_is_drawn_as_by_any_repeated_request_and_made_again_from_its_record() -> None:
    arms = set()
    for n in range(40):
        terms = {"anonymous_id": f"a{n}", "repeatable": True}
        by_slot, by_arm = run(SHOP, ask("list", **terms)), run(SHOP, ask("list", by_arm=True, **terms))
        assert [each.content_id for each in by_arm.decisions] == [each.content_id for each in by_slot.decisions]
        assert [each.ticket for each in by_arm.records] == [each.ticket for each in by_slot.records]
        for record in by_arm.records:
            again = recompute(record, SHOP.catalog, Likes(), KEYS)
            assert (again.arm, again.ticket) == (record.choice.arm, record.ticket)
        arms.add(by_arm.decisions[0].content_id)
    assert arms == {"a", "b", "c"}


def test_the_same_slot_of_a_request_is_one_message_whatever_is_drawn() -> None:
    """A second answer under the same id, by another version of a model, adds no trial."""
    first, second = (
        run(SHOP, ask("list", repeatable=True, by_arm=True), models={"list": Likes(7, **weights)})
        for weights in ({"a": 0.98, "b": 0.01, "c": 0.01}, {"a": 0.01, "b": 0.01, "c": 0.98})
    )
    assert first.decisions[0].decision_id != second.decisions[0].decision_id
    assert made(first)[0].message_id == made(second)[0].message_id


def test_what_nothing_is_drawn_for_is_named_so_too() -> None:
    (decision,) = run(CLOSED, ask("list", repeatable=True, by_arm=True)).decisions
    assert decision.decision_id == decision_id_by_arm(KEYS, key="a:a1", request_id="r1", arm="a")

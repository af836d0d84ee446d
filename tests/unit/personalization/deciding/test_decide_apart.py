"""What a caller may ask for beyond the catalog: kept choices, and placements that know nothing of each other."""

from __future__ import annotations

from personalization.catalog.catalog import Content, Placement
from personalization.deciding.recompute import recompute
from personalization.visitor.visitor_state import Session, Sticky, VisitorState
from tests.unit.personalization.scenes import KEYS, NOW, Likes, ask, catalog, made, run

HERO = Placement(content=("a", "b"), default="b")
SHOP = catalog({name: Content(body=name) for name in "abc"}, hero=HERO, side=HERO, list=Placement(
    content=("a", "b", "c"), default="a", slots=3))  # fmt: skip


def test_apart_each_placement_is_decided_as_if_asked_for_alone() -> None:
    for user in range(50):
        terms = {"user_id": f"u{user}", "sticky": True, "apart": True}
        together = run(SHOP, ask("hero", "side", "list", **terms))
        alone = [run(SHOP, ask(name, **terms)).decisions for name in ("hero", "side", "list")]
        assert together.decisions == [decision for decisions in alone for decision in decisions]
        assert len({decision.content_id for decision in together.decisions[2:]}) == 3, "within one, never twice"


def test_apart_what_one_placement_shows_stands_above_no_other() -> None:
    answer = run(SHOP, ask("list", "hero", apart=True))
    assert [len(record.above) for record in answer.records] == [0, 1, 2, 0]
    assert answer.records[3].filtered == {}


def test_a_choice_is_kept_for_who_asks_for_that() -> None:
    state = VisitorState(session=Session(2, NOW - 9, NOW - 9, 1, 1))
    state.sticky["hero/0"] = Sticky("original", "b", 2**30, NOW - 9)
    (kept,) = run(SHOP, ask("hero", sticky=True), states=[state]).decisions
    assert (kept.decision_id, kept.content_id, kept.probability) == ("original", "b", 0.25)
    (drawn,) = run(SHOP, ask("hero"), states=[state]).decisions
    assert drawn.decision_id != "original", "the catalog's placement keeps nothing for the others"


def test_a_kept_choice_that_is_not_shown_again_says_nothing_new() -> None:
    state = VisitorState(session=Session(2, NOW - 9, NOW - 9, 1, 1))
    state.sticky["hero/0"] = Sticky("original", "b", 2**30, NOW - 9)
    deferred = run(SHOP, ask("hero", sticky=True, activate=False), states=[state])
    assert (deferred.decisions[0].decision_id, deferred.decisions[0].sticky) == ("original", True)
    assert (deferred.entries, deferred.records) == ([], [])
    (shown,) = made(run(SHOP, ask("hero", sticky=True), states=[state]))
    assert (shown.choice.decision_id, shown.exposed) == ("original", True)


def test_a_choice_that_is_kept_for_the_asking_is_recomputed_from_its_record() -> None:
    model = Likes(a=0.7, b=0.3)
    for user in range(30):
        answer = run(SHOP, ask("hero", user_id=f"u{user}", sticky=True), models={"hero": model})
        (record,) = answer.records
        assert made(answer)[0].sticky
        assert recompute(record, SHOP.catalog, model, KEYS).arm == answer.decisions[0].content_id


def test_an_answer_tells_its_session() -> None:
    state = VisitorState(session=Session(2, NOW - 9, NOW - 9, 1, 1))
    assert run(SHOP, ask("hero"), states=[state]).session == 2
    state.session = Session(2, 0, NOW - 31 * 60_000, 1, 1)
    assert run(SHOP, ask("hero"), states=[state]).session == 3
    assert run(SHOP, ask("hero"), states=None).session == 0

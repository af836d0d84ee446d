"""Rule *Holdout*: control is decided, logged and exposed by the same code, and never trains."""

from __future__ import annotations

from typing import Literal

import pytest

from personalization.catalog.catalog import Placement
from personalization.deciding.decider_catalog import PreparedCatalog
from personalization.deciding.recompute import recompute
from personalization.visitor.visitor_state import Holdout, VisitorState
from tests.unit.personalization.scenes import SECRET, Likes, ask, catalog, made, run


def shop(holdout: float = 0.2, control: Literal["default", "uniform"] = "default") -> PreparedCatalog:
    return catalog(
        hero=Placement(content=("red", "green", "blue"), default="blue", holdout=holdout, control=control)
    )


def test_the_share_of_visitors_held_out_is_what_was_asked_for() -> None:
    prepared = shop()
    held = [run(prepared, ask(anonymous_id=f"a{n}")).decisions[0].holdout for n in range(2_000)]
    assert sum(held) == pytest.approx(400, abs=4 * (2_000 * 0.2 * 0.8) ** 0.5)


def test_a_visitors_side_is_the_same_every_time_and_independent_between_placements() -> None:
    prepared = catalog(
        one=Placement(content=("red",), default="red", holdout=0.5),
        two=Placement(content=("green",), default="green", holdout=0.5),
    )
    sides = [
        [d.holdout for d in run(prepared, ask("one", "two", anonymous_id=f"a{n}")).decisions] for n in range(400)
    ]
    again = [
        [d.holdout for d in run(prepared, ask("one", "two", anonymous_id=f"a{n}")).decisions] for n in range(400)
    ]
    assert sides == again
    assert 140 < sum(one == two for one, two in sides) < 260


def test_the_first_exposures_side_stays() -> None:
    prepared = shop()
    for control in (True, False):
        state = VisitorState(holdouts={"hero": Holdout(control, 1)})
        for n in range(20):
            assert run(prepared, ask(anonymous_id=f"a{n}"), [state]).decisions[0].holdout is control


def test_control_default_serves_the_default_and_is_logged_like_any_other() -> None:
    state = VisitorState(holdouts={"hero": Holdout(True, 1)})
    answer = run(shop(), states=[state])
    (decision,) = answer.decisions
    assert (decision.content_id, decision.probability, decision.holdout) == ("blue", 1.0, True)
    event = made(answer)[0]
    assert event.exposed
    assert event.choice.holdout
    assert not event.trains
    assert answer.records[0].choice.holdout


def test_control_uniform_draws_evenly_and_recomputes() -> None:
    prepared = shop(control="uniform")
    seen = set()
    for n in range(60):
        state = VisitorState(holdouts={"hero": Holdout(True, 1)})
        answer = run(prepared, ask(anonymous_id=f"a{n}"), [state], models={"hero": Likes(red=9)})
        record = answer.records[0]
        assert record.choice.policy == "uniform"
        assert answer.decisions[0].probability == pytest.approx(1 / 3)
        assert recompute(record, prepared.catalog, Likes(), SECRET).arm == record.choice.arm
        seen.add(record.choice.arm)
    assert seen == {"red", "green", "blue"}


def test_without_a_holdout_nobody_is_control() -> None:
    state = VisitorState(holdouts={"hero": Holdout(True, 1)})
    assert not run(shop(holdout=0.0), states=[state]).decisions[0].holdout

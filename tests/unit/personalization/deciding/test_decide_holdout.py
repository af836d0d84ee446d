"""Rule *Holdout*: control is decided, logged and exposed by the same code, and never trains."""

from __future__ import annotations

from collections import Counter
from typing import Literal

import pytest
from msgspec import structs

from personalization.catalog.catalog import Placement
from personalization.catalog.compiled_catalog import compile_catalog
from personalization.deciding.decider_catalog import PreparedCatalog, prepare
from personalization.deciding.recompute import recompute
from personalization.events.entry import Position
from personalization.folding.fold import fold
from personalization.visitor.visitor import Visitor
from personalization.visitor.visitor_state import Holdout, VisitorState
from tests.unit.personalization.scenes import KEYS, Likes, ask, catalog, made, run


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
        assert recompute(record, prepared.catalog, Likes(), KEYS).arm == record.choice.arm
        seen.add(record.choice.arm)
    assert seen == {"red", "green", "blue"}


def test_without_a_holdout_nobody_is_control() -> None:
    state = VisitorState(holdouts={"hero": Holdout(True, 1)})
    assert not run(shop(holdout=0.0), states=[state]).decisions[0].holdout


def test_the_catalogs_holdout_is_the_same_people_everywhere() -> None:
    contents = {"one": "red", "two": "green", "three": "blue"}
    names = tuple(contents)
    shown = {name: Placement(content=(arm,), default=arm, holdout=0.2) for name, arm in contents.items()}
    base = structs.replace(catalog().catalog.catalog, placements=shown, holdout=0.3)
    everywhere = prepare(compile_catalog(base, 3))
    asked = [run(everywhere, ask(*names, anonymous_id=f"a{n}")) for n in range(2_000)]
    sides = Counter(tuple(each.choice.holdout for each in answer.records) for answer in asked)
    apart = 2_000 * 0.7  # of those who are left each placement holds out a fifth of its own
    assert sides[True, True, True] == pytest.approx(2_000 * 0.3 + apart * 0.2**3, abs=90)
    assert sides[False, False, False] == pytest.approx(apart * 0.8**3, abs=90)
    assert sides[True, False, False] == pytest.approx(apart * 0.2 * 0.8**2, abs=60)


def test_the_catalogs_holdout_records_its_side_where_the_placement_has_none() -> None:
    base = catalog(hero=Placement(content=("red", "green"), default="green")).catalog.catalog
    everywhere = prepare(compile_catalog(structs.replace(base, holdout=0.5), 3))
    sides = set()
    for n in range(40):
        answer = run(everywhere, ask(anonymous_id=f"a{n}"))
        visitor = Visitor.new()
        fold(visitor, answer.key, Position(1, 0), answer.entries[0], everywhere.catalog)
        control = visitor.state.holdouts["hero"].control
        assert control is answer.decisions[0].holdout
        sides.add(control)
        # What is recorded holds, when the share shrinks to next to nothing and when it grows.
        other = prepare(compile_catalog(structs.replace(base, holdout=0.999 if not control else 0.001), 4))
        assert run(other, ask(anonymous_id=f"a{n}"), [visitor.state]).decisions[0].holdout is control
    assert sides == {True, False}

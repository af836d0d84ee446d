"""Columns: the first are lent at once, the others earned by being seen with several people, and given back."""

from __future__ import annotations

import numpy as np
import pytest

from benchmarks.conversion_wide import judged, world
from online_models.conversion.columns import FREE_COLUMNS, MAX_COLUMNS, Columns
from online_models.conversion.making_way import TRIAL, unseen, worth_little
from online_models.conversion.model import ConversionModel

CROWD = {f"c{n:03}": float(n) for n in range(FREE_COLUMNS)}


def filled() -> Columns:
    columns = Columns()
    columns.learn(CROWD)
    assert columns.n == FREE_COLUMNS
    return columns


def test_one_person_earns_no_column_and_three_do() -> None:
    columns = filled()
    for _ in range(10):
        columns.learn({"late": 1.0, "kind": "x"}, b"ann")
    columns.learn({"late": 1.0, "kind": "x"}, b"bob")
    assert columns.n == FREE_COLUMNS
    columns.learn({"late": 7.0, "kind": "y"}, b"cat")
    assert columns.names[FREE_COLUMNS:] == ["kind", "late"]
    assert columns.row({"late": 2.0, "kind": "y"})[FREE_COLUMNS:].tolist() == [0.0, 2.0]


def test_rows_without_a_person_count_as_one_each() -> None:
    columns = filled()
    for _ in range(3):
        columns.learn({"late": 1.0})
    assert columns.names[FREE_COLUMNS:] == ["late"]


def test_a_number_and_a_category_of_one_name_earn_theirs_apart() -> None:
    columns = filled()
    for unit in (b"ann", b"bob", b"cat"):
        columns.learn({"late": "x"}, unit)
        columns.learn({"late": 1.0}, b"dan")
    assert columns.is_category[FREE_COLUMNS:] == [True]


def test_there_is_a_last_column_and_who_finds_none_is_told_apart() -> None:
    columns = Columns()
    n_names = MAX_COLUMNS + 64
    for start in range(0, n_names, 40):
        for _ in range(3):
            columns.learn({f"n{n:03}": 1.0 for n in range(start, start + 40)})
    assert columns.n == MAX_COLUMNS
    assert columns.n_wanted == n_names - MAX_COLUMNS


def test_what_is_left_after_giving_back_is_as_it_was() -> None:
    rng = np.random.default_rng(0)
    one, two = Columns(), Columns()
    for _ in range(100):
        row = {"a": float(rng.normal()), "b": float(rng.normal(3.0)), "kind": "xyz"[int(rng.integers(3))]}
        one.learn(row)
        two.learn({"a": row["a"], "kind": row["kind"]})
    one.select(np.flatnonzero([name != "b" for name in one.names]))
    two.select(np.arange(two.n))
    assert one.names == two.names == ["a", "kind"]
    x = {"a": 0.3, "b": 1.0, "kind": "y"}
    assert one.row(x).tolist() == two.row(x).tolist()
    assert one.z(one.row(x)).tolist() == pytest.approx(two.z(two.row(x)).tolist())
    one.learn({"b": 4.0})
    assert one.names == ["a", "kind", "b"]
    assert one.age.tolist() == [101, 101, 1]


def test_a_checkpoint_keeps_who_waits() -> None:
    columns = filled()
    columns.learn({"late": 1.0}, b"ann")
    columns.learn({"late": 1.0}, b"bob")
    loaded = Columns.load(columns.dump())
    assert loaded.dump() == columns.dump()
    loaded.learn({"late": 1.0}, b"cat")
    assert loaded.names[FREE_COLUMNS:] == ["late"]


def test_who_makes_way() -> None:
    age = np.array([TRIAL, TRIAL, TRIAL - 1, TRIAL])
    assert unseen(np.array([2, 3, 0, 900]), age).tolist() == [True, False, False, False]
    old = np.full(16, TRIAL)
    worth = np.array([0.0, 0.2, 0.1] + [1.0] * 13)
    assert np.flatnonzero(worth_little(worth, old, 1)).tolist() == [0]
    assert np.flatnonzero(worth_little(worth, old, 9)).tolist() == [0, 2], "an eighth at once"
    assert not worth_little(np.ones(16), old, 9).any(), "where all matter alike, all stay"
    young = np.where(np.arange(16) == 0, 5, TRIAL)
    assert np.flatnonzero(worth_little(worth, young, 1)).tolist() == [2], "who is on trial stays"


def test_useful_names_find_room_among_useless_ones_that_many_send() -> None:
    rng = np.random.default_rng(1)
    model = ConversionModel(buffer_rows=512)
    useful = [f"z{n}" for n in range(4)]
    for i in range(2_100):
        x = {f"a{n:03}": float(rng.normal()) for n in range(MAX_COLUMNS)}
        if i > 600:
            x |= {name: float(rng.normal()) for name in useful}
        score = sum(x.get(name, 0.0) for name in useful)
        model.learn_one(x, bool(rng.random() < 1.0 / (1.0 + np.exp(-2.0 * score))))
    assert model._columns.n <= MAX_COLUMNS
    assert set(useful) <= set(model._columns.names)
    x = dict.fromkeys(useful, 1.0)
    assert model.log_odds_one(x) > 1.0 > -1.0 > model.log_odds_one(dict.fromkeys(useful, -1.0))
    why = model.explain_one(x)
    assert why.bias + sum(why.contributions.values()) == pytest.approx(why.log_odds, abs=1e-4)
    assert ConversionModel.load(model.dump()).dump() == model.dump()


def test_what_nobody_sends_any_more_goes() -> None:
    model = ConversionModel(buffer_rows=512)
    rng = np.random.default_rng(2)
    for i in range(1_100):
        x = {"page": float(rng.normal()), **({f"junk{i}": 1.0} if i < 12 else {})}
        model.learn_one(x, x["page"] > 0.0)
        if i == 20:
            assert model._columns.n == 13
    assert model._columns.names == ["page"]
    assert model.log_odds_one({"page": 2.0}) > 1.0 > -1.0 > model.log_odds_one({"page": -2.0})


@pytest.mark.parametrize("name", ["default", "river.linear_model.LogisticRegression"])
def test_a_strangers_twelve_requests_cost_nothing(name: str) -> None:
    x, labels = world("flags", 30, 0)
    x, labels = x[:2_500], labels[:2_500]
    alone, _ = judged(x, labels, name, 0)
    among_junk, _ = judged(x, labels, name, 1_000)
    assert alone > 0.75
    assert among_junk > alone - 0.015


def test_giving_back_what_is_missing_moves_no_mean() -> None:
    model = ConversionModel(buffer_rows=512)
    rng = np.random.default_rng(3)
    junk = {f"junk{n:02}": 1.0 for n in range(60)}
    rows = [{"page": float(rng.normal())} for _ in range(700)]
    for i, x in enumerate([junk, *rows]):
        model.learn_one(x, bool(rng.random() < 0.1))
        if i == 510:
            break
    assert model._columns.n == 61

    def means() -> np.ndarray:
        readings = [model._read_anew(x) for x in rows[255:511]]
        found: np.ndarray = np.mean([reading.scores[:3] for reading in readings], axis=0)
        return found

    model.n_learned, model._columns._n_rows = 512, 512 + TRIAL
    before = means()
    model._make_way()
    assert model._columns.names == ["page"]
    assert means() == pytest.approx(before, abs=0.05)

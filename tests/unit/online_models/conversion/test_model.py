"""The default conversion model as an estimator: River's rules, determinism, bounds, explanations, bad input."""

from __future__ import annotations

import math
import sys
import types
from typing import Any

import numpy as np
import pytest
from river import checks

from online_models.conversion.columns import MAX_COLUMNS
from online_models.conversion.model import MAX_WEIGHT, ConversionModel


def visitors(n: int, seed: int = 0) -> list[tuple[dict[str, Any], bool]]:
    """A rule with an interaction, a category, a missing value now and then."""
    rng = np.random.default_rng(seed)
    rows = []
    for _ in range(n):
        pages, minutes = float(rng.integers(0, 30)), float(rng.exponential(4.0))
        source = ("ads", "search", "mail")[int(rng.integers(3))]
        score = -2.0 + 0.1 * pages + (1.5 if source == "mail" and minutes > 3.0 else 0.0)
        x: dict[str, Any] = {"pages": pages, "minutes": minutes, "source": source}
        if rng.random() < 0.1:
            del x["minutes"]
        rows.append((x, bool(rng.random() < 1.0 / (1.0 + math.exp(-score)))))
    return rows


def taught(rows: list[tuple[dict[str, Any], bool]], **params: int) -> ConversionModel:
    model = ConversionModel(**params)
    for x, y in rows:
        model.learn_one(x, y)
    return model


@pytest.fixture
def without_sklearn(monkeypatch: pytest.MonkeyPatch) -> None:
    """River imports scikit-learn's data sets before it knows whether a check needs them; ours do not."""
    package, datasets = types.ModuleType("sklearn"), types.ModuleType("sklearn.datasets")
    monkeypatch.setattr(package, "datasets", datasets, raising=False)
    monkeypatch.setitem(sys.modules, "sklearn", package)
    monkeypatch.setitem(sys.modules, "sklearn.datasets", datasets)


@pytest.mark.usefixtures("without_sklearn")
def test_rivers_estimator_checks() -> None:
    names = [check.__name__ for check in checks.yield_checks(ConversionModel())]
    assert "check_shuffle_features_no_impact" in names
    checks.check_estimator(ConversionModel())


def test_same_rows_same_model() -> None:
    rows = visitors(600)
    one, two = taught(rows), taught([(dict(reversed(x.items())), y) for x, y in rows])
    assert [one.log_odds_one(x) for x, _ in rows[:50]] == [two.log_odds_one(x) for x, _ in rows[:50]]


def test_predicting_changes_nothing() -> None:
    rows = visitors(500)
    quiet, asked = ConversionModel(), ConversionModel()
    for x, y in rows:
        quiet.learn_one(x, y)
        asked.predict_proba_one(x)
        asked.predict_proba_one({"pages": 1.0, "never seen": "x"})
        asked.explain_one(x)
        asked.learn_one(x, y)
    assert quiet.dump() == asked.dump()


def test_a_changed_row_is_read_anew() -> None:
    model = taught(visitors(500))
    x = {"pages": 0.0, "minutes": 1.0, "source": "ads"}
    low = model.log_odds_one(x)
    x["pages"] = 29.0
    assert model.log_odds_one(x) > low + 0.5


@pytest.mark.parametrize("cut", [40, 130, 700])
def test_dump_and_load_continue_bit_for_bit(cut: int) -> None:
    rows = visitors(1_000)
    model = taught(rows[:cut], buffer_rows=256)
    loaded = ConversionModel.load(model.dump())
    for x, y in rows[cut:]:
        assert loaded.log_odds_one(x) == model.log_odds_one(x)
        model.learn_one(x, y)
        loaded.learn_one(x, y)
    assert loaded.dump() == model.dump()


def test_a_frozen_copy_stays() -> None:
    rows = visitors(600)
    model = taught(rows[:300])
    frozen, x = model.frozen(), rows[0][0]
    before = frozen.log_odds_one(x)
    for row, y in rows[300:]:
        model.learn_one(row, y)
    assert frozen.log_odds_one(x) == before != model.log_odds_one(x)


@pytest.mark.parametrize("n", [0, 60, 900])
def test_contributions_add_up_to_the_log_odds(n: int) -> None:
    model = taught(visitors(n))
    for x, _ in visitors(40, seed=1):
        why = model.explain_one(x)
        assert why.log_odds == model.log_odds_one(x)
        assert why.probability == model.predict_proba_one(x)[True]
        assert why.bias + sum(why.contributions.values()) == pytest.approx(why.log_odds, abs=1e-5)
        assert set(why.contributions) == ({"pages", "minutes", "source"} if n else set())


def test_contributions_follow_the_rule_and_leave_noise_alone() -> None:
    rng = np.random.default_rng(2)
    model = taught([({**x, "noise": float(rng.normal())}, y) for x, y in visitors(4_000)])
    many = model.explain_one({"pages": 29.0, "minutes": 5.0, "source": "mail", "noise": 0.0}).contributions
    few = model.explain_one({"pages": 0.0, "minutes": 5.0, "source": "ads", "noise": 0.0}).contributions
    assert many["pages"] > 0.5 > -0.5 > few["pages"]
    assert many["source"] > few["source"]
    assert abs(many["noise"]) < min(abs(many["pages"]), abs(few["pages"])) / 2.0


ABSURD: list[Any] = [
    math.nan,
    math.inf,
    -math.inf,
    1e300,
    -1e300,
    10**400,
    None,
    [1],
    {},
    b"x",
    np.zeros(3),
    "\ud800",
]


@pytest.mark.parametrize("value", ABSURD, ids=lambda value: repr(value)[:12])
def test_absurd_features_are_harmless(value: Any) -> None:
    rows = visitors(400)
    model = taught(rows)
    before = [model.predict_proba_one(x)[True] for x, _ in rows]
    for _ in range(5):
        model.learn_one({"pages": value, "source": "ads", "another": value}, False)
        assert math.isfinite(model.log_odds_one({"pages": value}))
    for x, y in rows[:200]:
        model.learn_one(x, y)
    after = [model.predict_proba_one(x)[True] for x, _ in rows]
    assert np.abs(np.subtract(after, before)).mean() < 0.2


@pytest.mark.parametrize("label", [math.nan, 2, -1, "yes", None, math.inf])
def test_what_is_no_label_teaches_nothing(label: Any) -> None:
    model = taught(visitors(50))
    before = model.dump()
    model.learn_one({"pages": 3.0}, label)
    assert model.dump() == before


@pytest.mark.parametrize("weight", [math.nan, math.inf, 0.0, -1.0])
def test_what_is_no_weight_teaches_nothing(weight: float) -> None:
    model = taught(visitors(50))
    before = model.dump()
    model.learn_one({"pages": 3.0}, True, weight)
    assert model.dump() == before


def test_a_huge_weight_is_bounded() -> None:
    one, two = taught(visitors(200)), taught(visitors(200))
    one.learn_one({"pages": 3.0}, True, 1e30)
    two.learn_one({"pages": 3.0}, True, MAX_WEIGHT)
    assert one.dump() == two.dump()
    assert math.isfinite(one.log_odds_one({"pages": 3.0}))


def test_memory_is_bounded_whatever_names_and_levels_come() -> None:
    model = ConversionModel(buffer_rows=256)
    sizes = []
    for i in range(1_200):
        model.learn_one({f"name{i % 300}": float(i), "level": f"l{i}", f"kind{i % 200}": f"v{i}"}, i % 3 == 0)
        if i in (800, 1_199):
            sizes.append(sum(len(v) for v in model.dump()["linear"].values() if isinstance(v, bytes)))
    assert model._columns.n == MAX_COLUMNS
    assert sizes[0] == sizes[1] < 1_500_000
    assert len(model.dump()["rows"]) == 256 * MAX_COLUMNS * 4


def test_it_learns_what_a_linear_model_cannot() -> None:
    rng = np.random.default_rng(3)
    z = rng.uniform(-1, 1, (3_000, 2))
    y = z[:, 0] * z[:, 1] > 0.0
    model, right = ConversionModel(), 0
    for i, (a, b) in enumerate(z.tolist()):
        if i >= 2_000:
            right += (model.predict_proba_one({"a": a, "b": b})[True] > 0.5) == bool(y[i])
        model.learn_one({"a": a, "b": b}, bool(y[i]))
    assert right > 900

"""River models hand on dimensions of names that next to nobody ever sent, and keep all others."""

from __future__ import annotations

import pickle
from typing import Any

import numpy as np
import pytest
from river import linear_model

from online_models.conversion.river_classifier import RiverClassifier
from online_models.encoder import Encoder
from online_models.handing_on import TRIAL
from online_models.river_model import RiverModel

WIDE = [f"w{n:03}" for n in range(120)]


def learn(model: RiverModel | RiverClassifier, x: dict[str, Any], y: bool, unit: bytes = b"") -> None:
    if isinstance(model, RiverModel):
        model.learn_one({"arm": "a", **x}, float(y), 1.0, unit)
    else:
        model.learn_one(x, y, 1.0, unit)


@pytest.mark.parametrize("make", [RiverModel, RiverClassifier])
def test_junk_makes_way_for_who_waits(make: type[RiverModel] | type[RiverClassifier]) -> None:
    rng = np.random.default_rng(0)
    model = make(linear_model.LogisticRegression())
    learn(model, {f"junk{n}": float(n) for n in range(60)}, False, b"stranger")
    for i in range(TRIAL + 200):
        x = {name: float(value) for name, value in zip(WIDE, rng.normal(size=len(WIDE)), strict=True)}
        learn(model, x, bool(x[WIDE[-1]] > 0.0))
        if i == TRIAL // 2:
            assert not set(WIDE) <= model._encoder.numeric.keys()
    assert set(WIDE) <= model._encoder.numeric.keys()
    assert len(set(model._encoder.numeric.values())) == len(model._encoder.numeric)
    assert model._encoder.n_dims == 160
    weights = model.estimator.weights
    best = max(weights, key=lambda name: abs(weights[name]))
    assert best.split("*")[-1] == f"z{model._encoder.numeric[WIDE[-1]]}"


def test_what_was_learned_from_keeps_its_dimension_though_nobody_sends_it_any_more() -> None:
    rng = np.random.default_rng(1)
    model = RiverClassifier(linear_model.LogisticRegression())
    early = [f"a{n:02}" for n in range(40)]
    for _ in range(10):
        learn(model, {name: float(rng.normal()) for name in early}, bool(rng.random() < 0.5))
    kept = {name: model._encoder.numeric[name] for name in early}
    for _ in range(TRIAL + 200):
        learn(model, {name: float(rng.normal()) for name in WIDE}, bool(rng.random() < 0.5))
    assert {name: model._encoder.numeric[name] for name in early} == kept


def test_a_model_pickled_before_goes_on_and_keeps_what_it_has() -> None:
    model = RiverClassifier(linear_model.LogisticRegression())
    model.learn_one({f"junk{n}": 1.0 for n in range(60)}, False)
    del model.__dict__["_n_present"], model._encoder.__dict__["_free"]
    loaded = RiverClassifier.load(pickle.dumps(model))
    kept = dict(loaded._encoder.numeric)
    rng = np.random.default_rng(2)
    for _ in range(TRIAL + 200):
        loaded.learn_one({name: float(rng.normal()) for name in WIDE}, bool(rng.random() < 0.5))
    assert kept.items() <= loaded._encoder.numeric.items()


def test_released_dimensions_are_given_again_and_say_nothing_meanwhile() -> None:
    encoder = Encoder(30)
    rng = np.random.default_rng(3)
    for _ in range(50):
        encoder.learn({"a": float(rng.normal()), "b": float(rng.normal()), "kind": "xy"[int(rng.integers(2))]})
    dims = np.array([encoder.numeric["a"], encoder.levels["kind"]["x"]])
    width = encoder.n_dims
    encoder.release(dims)
    assert "a" not in encoder.numeric
    assert encoder.levels["kind"].keys() == {"y"}
    assert encoder.owners()[dims].tolist() == [-1, -1]
    assert encoder.absent[dims].tolist() == [0.0, 0.0], "or every context would have something missing"
    assert encoder.freeze().encode({"a": 5.0, "kind": "x"})[dims].tolist() == [0.0, 0.0]
    loaded = Encoder.load(encoder.dump())
    for each in (encoder, loaded):
        each.learn({"kind": "z", "b": 0.0})
        assert each.levels["kind"]["z"] == min(dims)
        assert each.n_dims == width
    assert loaded.dump() == encoder.dump()
    older = {name: value for name, value in encoder.dump().items() if name != "free"}
    assert Encoder.load(older).n_dims == width

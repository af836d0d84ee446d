"""An outcome that stands for others of its visitor counts for as many, whatever River estimator learns it."""

from __future__ import annotations

import pickle
from typing import Any

import pytest
from river import linear_model, naive_bayes, optim, tree

from online_models.river_model import RiverModel


def sgd() -> linear_model.LinearRegression:
    return linear_model.LinearRegression(optimizer=optim.SGD(0.01), intercept_lr=0.01)


class Unweighted(linear_model.LinearRegression):  # type: ignore[misc]
    """An estimator that knows no weights."""

    def learn_one(self, x: dict[str, float], y: float) -> None:
        super().learn_one(x, y)


def taught(estimator: Any, rewards: list[tuple[float, float]]) -> float:
    model = RiverModel(estimator)
    for number, (reward, weight) in enumerate(rewards):
        model.learn_one({"arm": "a", "age": number % 3}, reward, weight)
    assert model.n["a"] == len(rewards), "outcomes are counted as they come"
    return model.predict_one({"arm": "a", "age": 1})


@pytest.mark.parametrize(
    "make",
    [sgd, naive_bayes.GaussianNB, tree.HoeffdingTreeRegressor, lambda: Unweighted(optim.SGD(0.01))],
    ids=["linear", "bayes", "tree", "knows no weights"],
)
def test_few_heavy_outcomes_outweigh_many_light_ones(make: Any) -> None:
    light = [(float(number % 10 == 0), 1.0) for number in range(200)]
    heavy = [(reward, 20.0 if reward else 1.0) for reward, _ in light]
    assert taught(make(), heavy) > taught(make(), light) + 0.1


@pytest.mark.parametrize("weight", [0.0, -1.0, float("nan"), float("inf")])
def test_a_weight_that_makes_no_sense_teaches_nothing(weight: float) -> None:
    model = RiverModel(sgd())
    model.learn_one({"arm": "a"}, 1.0, weight)
    assert model.n_learned == 0


def test_what_was_stored_before_outcomes_had_weights_goes_on() -> None:
    model = RiverModel(sgd())
    model.learn_one({"arm": "a", "age": 1}, 1.0)
    state = model.__getstate__()
    del state["_weighs"]
    loaded = RiverModel.__new__(RiverModel)
    loaded.__setstate__(pickle.loads(pickle.dumps(state)))
    for each in (model, loaded):
        each.learn_one({"arm": "a", "age": 2}, 0.0, 3.0)
    assert loaded.predict_one({"arm": "a", "age": 1}) == model.predict_one({"arm": "a", "age": 1})

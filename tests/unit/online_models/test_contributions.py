"""Contributions of features: they add up, they are the gradients' integrals, and they go by the features' names."""

from __future__ import annotations

import math
import random
from typing import Any

import numpy as np
import pytest

from online_models.contributions import contributions_of
from online_models.feature_owners import OTHERS, FeatureOwners
from online_models.placement_model import PlacementModel
from online_models.registry import make_model
from online_models.river_model import RiverModel
from personalization.events.outcome import ClosingReason, Outcome
from personalization.visitor.choice import Choice

MODELS = (
    "default",
    "arm_linear",
    "river.linear_model.LinearRegression",
    "river.linear_model.LogisticRegression",
    "river.linear_model.PAClassifier",
    "river.linear_model.BayesianLinearRegression",
    "river.tree.HoeffdingTreeRegressor",
    "river.naive_bayes.GaussianNB",
)
KINDS = ("shoes", "books", "toys")


def context(rng: random.Random) -> dict[str, Any]:
    made: dict[str, Any] = {"age": rng.gauss(40.0, 12.0), "kind": rng.choice(KINDS), "noise": rng.random()}
    if rng.random() < 0.7:
        made["spent"] = rng.expovariate(0.02)
    return made


def reward(arm: str, x: dict[str, Any]) -> float:
    bump = math.exp(-(((x["age"] - 40.0) / 8.0) ** 2))
    return min(1.0, max(0.0, bump if arm == "a" else 0.7 * (x["kind"] == "shoes") + 0.1))


def taught(name: str, n: int = 700, arm_features: bool = False) -> Any:
    rng = random.Random(5)
    model = make_model(name)
    for _ in range(n):
        arm, x = rng.choice("ab"), context(rng)
        about = {"arm_features": {"price": 3.0 if arm == "a" else 9.0}} if arm_features else {}
        model.learn_one({**x, "arm": arm, **about}, reward(arm, x))
    return model.frozen() if isinstance(model, RiverModel) else model.scorer()


@pytest.mark.parametrize("name", MODELS)
def test_contributions_add_up_to_what_sets_this_context_apart_from_the_mean_one(name: str) -> None:
    scorer, rng = taught(name), random.Random(6)
    for arm in ("a", "b", "unknown"):
        for _ in range(20):
            x = context(rng)
            told = contributions_of(scorer, arm, x)
            assert sum(told.by_feature.values()) == pytest.approx(told.estimate - told.mean_estimate, abs=1e-6)
            assert told.estimate == pytest.approx(float(scorer.estimate([arm], x).mean[0]), abs=5e-6)
            assert set(told.by_feature) <= {"age", "kind", "noise", "spent"}


def test_contributions_of_a_model_with_landmarks_are_the_integrals_of_its_gradients() -> None:
    scorer, x = taught("default"), {"age": 55.0, "kind": "toys", "noise": 0.1, "spent": 90.0}
    features = scorer.features
    assert len(features.landmarks), "the world is curved: the model has to have landmarks"
    z = features.encoder.encode(x)
    middles = (np.arange(4_000, dtype=np.float32) + 0.5) / 4_000
    weights = scorer.weights[scorer.index["a"], 0]
    curved = features.landmarks.gradients(
        middles[:, None] * z, np.tile(weights[1 + features.width :] * features.amplitude, (len(middles), 1))
    )
    gradient = curved.mean(axis=0, dtype=np.float64) + weights[1 : 1 + len(z)] * features.linear
    expected = FeatureOwners(features.encoder, x).added_up(gradient * z)
    assert contributions_of(scorer, "a", x).by_feature == pytest.approx(expected, abs=1e-4)


def test_contributions_add_up_where_arms_share_and_have_features_of_their_own() -> None:
    rng = random.Random(7)
    model = make_model("default")
    genres = ("war", "drama", "western")
    for _ in range(600):
        likes = {f"affinities.genre.{genre}": rng.random() for genre in genres}
        genre = rng.choice(genres)
        about = {"genre": genre, "length": 90.0 + len(genre)}
        model.learn_one({**likes, "arm": genre, "arm_features": about}, likes[f"affinities.genre.{genre}"] > 0.6)
    assert not isinstance(model, RiverModel)
    scorer = model.scorer()
    assert scorer.base is not None, "arms with features share a regression"
    x = {"affinities.genre.war": 0.9, "affinities.genre.drama": 0.1}
    features = {"war": {"genre": "war", "length": 93.0}, "new": {"genre": "war", "length": 95.0}}
    for arm in features:
        told = contributions_of(scorer, arm, x, features)
        assert sum(told.by_feature.values()) == pytest.approx(told.estimate - told.mean_estimate, abs=1e-6)
        assert told.estimate == pytest.approx(float(scorer.estimate([arm], x, features).mean[0]), abs=5e-6)
        assert next(iter(told.by_feature)) == "affinities.genre.war"
        assert told.by_feature["affinities.genre.war"] > 0


def test_a_shared_dimension_is_divided_among_the_names_that_stand_in_it() -> None:
    rng = random.Random(8)
    model = make_model("arm_linear")
    wide = [f"name{at}" for at in range(400)]
    for _ in range(200):
        named = {name: rng.random() for name in rng.sample(wide, 12)}
        model.learn_one({**named, "arm": "a"}, named.get("name1", 0.0))
    assert not isinstance(model, RiverModel)
    scorer = model.scorer()
    encoder = scorer.features.encoder
    assert encoder.hashed_from >= 0
    late = [name for name in wide if name not in encoder.numeric][:30]
    x = dict.fromkeys(late, 1.0)
    told = contributions_of(scorer, "a", x)
    assert sum(told.by_feature.values()) == pytest.approx(told.estimate - told.mean_estimate, abs=1e-6)
    assert set(late) & set(told.by_feature), "those without a dimension of their own are named"
    assert set(contributions_of(scorer, "a", {}).by_feature) <= {*encoder.numeric, OTHERS}


def test_contributions_are_told_in_reward_units() -> None:
    learner = PlacementModel("home", "arm_linear", (0.0, 50.0))
    rng = random.Random(9)
    for at in range(200):
        vip = float(rng.random() < 0.5)
        chosen = Choice(f"d{at}", "home", 0, "a", 2**31)
        learner.learn(Outcome(chosen, 40.0 * vip, ClosingReason.WINDOW, 0, 1, features={"vip": vip}))
    told = learner.snapshot().contributions("a", {"vip": 1.0})
    assert told.mean_estimate == pytest.approx(20.0, abs=4.0)
    assert told.by_feature["vip"] == pytest.approx(20.0, abs=4.0)
    assert told.estimate == pytest.approx(40.0, abs=4.0)

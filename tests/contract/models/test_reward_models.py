"""Every registered reward model, ours and River's, keeps the same promises."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest

from online_models.placement_model import PlacementModel
from online_models.registry import POLICIES, check_model, make_model, model_names
from online_models.snapshot import ModelSnapshot
from online_models.wire import SnapshotDelta
from personalization.catalog.policy_spec import PolicySpec
from personalization.deciding.distribution import SCALE, ticket
from personalization.errors import InvalidInput, Refused
from personalization.events.outcome import ClosingReason, Outcome
from personalization.features import FeatureValue
from personalization.visitor.choice import Choice

RIVER = (
    "river.linear_model.LogisticRegression",
    "river.linear_model.LinearRegression",
    "river.linear_model.BayesianLinearRegression",
    "river.tree.HoeffdingTreeRegressor",
    "river.naive_bayes.GaussianNB",
    "river.naive_bayes.MultinomialNB",
    "river.naive_bayes.ComplementNB",
    "river.forest.ARFRegressor",
)
NAIVE_BAYES = {name for name in RIVER if "naive_bayes" in name}
"""No interactions, by construction."""

MODELS = (*model_names(), *RIVER)
ARMS = ("a", "b", "c")
SECRET = b"server secret"
POLICY_SPECS = [
    PolicySpec(name=name, parameters={"arm": "b"} if name == "fixed" else {}) for name in sorted(POLICIES)
]


def outcome(i: int, arm: str, reward: float, **features: FeatureValue) -> Outcome:
    return Outcome(Choice(f"d{i}", "p", 0, arm, SCALE // 3), reward, ClosingReason.WINDOW, i, i + 1, i, 0, features)


def context(rng: np.random.Generator) -> dict[str, float | str]:
    return {"age": float(rng.normal(40, 10)), "visits": float(rng.poisson(3)), "device": "pt"[rng.integers(2)]}


def trained(model: str, n: int = 400, seed: int = 1) -> PlacementModel:
    """A learner for which arm b is best, but a on device "t"."""
    rng = np.random.default_rng(seed)
    learner = PlacementModel("p", model)
    for i in range(n):
        x = context(rng)
        arm = ARMS[rng.integers(3)]
        rate = {"a": 0.9 if x["device"] == "t" else 0.1, "b": 0.6, "c": 0.1}[arm]
        learner.learn(outcome(i, arm, float(rng.random() < rate), **x))
    return learner


@pytest.mark.parametrize("model", MODELS)
@pytest.mark.parametrize("spec", POLICY_SPECS, ids=lambda spec: spec.name)
def test_probabilities_sum_to_one_and_cover_exactly_the_eligible(model: str, spec: PolicySpec) -> None:
    learner = trained(model, 120)
    rng = np.random.default_rng(3)
    for snapshot in (learner.snapshot(1), ModelSnapshot.prior(model)):
        for arms in (ARMS, ("c", "a"), ("b",), ("never seen", "a"), ("x", "y")):
            d = snapshot.distribution(arms, context(rng), policy=spec)
            assert d.arms == arms
            assert sum(d.weights) == SCALE
            assert all(math.isfinite(v) for v in (*d.means, *d.sds))
            assert d.model_version == snapshot.version
            index = d.draw(ticket(SECRET, "decision"))
            assert d.draw(ticket(SECRET, "decision")) == index
            assert d.weights[index] > 0


@pytest.mark.parametrize("model", MODELS)
def test_learning_raises_the_rewarded_arm(model: str) -> None:
    learner = trained(model, 150)
    x: dict[str, FeatureValue] = {"age": 40.0, "visits": 3.0, "device": "p"}
    before = learner.snapshot().estimate(ARMS, x).mean[2]
    for i in range(1000, 1100):
        learner.learn(outcome(i, "c", 1.0, **x))
    after = learner.snapshot().estimate(ARMS, x).mean[2]
    assert after > before


@pytest.mark.parametrize("model", sorted(set(MODELS) - NAIVE_BAYES))
def test_arms_differ_by_context(model: str) -> None:
    learner = trained(model, 4000 if "tree" in model else 900)
    phone = learner.snapshot().estimate(ARMS, {"age": 40.0, "visits": 3.0, "device": "p"}).mean
    tablet = learner.snapshot().estimate(ARMS, {"age": 40.0, "visits": 3.0, "device": "t"}).mean
    assert np.argmax(phone) == 1
    assert tablet[0] - phone[0] > 0.1


@pytest.mark.parametrize("model", MODELS)
def test_dump_and_load_keep_scores_and_the_future(model: str) -> None:
    learner = trained(model, 300)
    copy = PlacementModel.load(learner.dump())
    x: dict[str, FeatureValue] = {"age": 30.0, "visits": 1.0, "device": "t"}
    for i in range(1000, 1040):
        for each in (learner, copy):
            assert each.learn(outcome(i, ARMS[i % 3], float(i % 2), **x, **{f"new{i % 5}": 1.0}))
    one, other = (each.snapshot().estimate(ARMS, x) for each in (learner, copy))
    assert one.mean.tolist() == other.mean.tolist()
    assert one.sd.tolist() == other.sd.tolist()


@pytest.mark.parametrize("model", MODELS)
def test_a_replay_of_the_same_outcomes_gives_the_same_model(model: str) -> None:
    one, other = trained(model, 200), trained(model, 200)
    x: dict[str, FeatureValue] = {"age": 30.0, "visits": 1.0, "device": "t"}
    assert one.snapshot().encode(SECRET).arms == other.snapshot().encode(SECRET).arms
    assert one.snapshot().estimate(ARMS, x).mean.tolist() == other.snapshot().estimate(ARMS, x).mean.tolist()


@pytest.mark.parametrize("model", MODELS)
def test_a_snapshot_survives_the_wire_and_equals_the_live_model(model: str) -> None:
    learner = trained(model, 200)
    live = learner.snapshot(4)
    parts = live.encode(SECRET)
    received = ModelSnapshot.decode(parts.header, parts.arms, SECRET)
    rng = np.random.default_rng(9)
    for _ in range(20):
        x = context(rng)
        for spec in POLICY_SPECS:
            assert received.distribution(ARMS, x, policy=spec) == live.distribution(ARMS, x, policy=spec)
        assert live.estimate(ARMS, x).mean[1] == pytest.approx(
            learner.model.predict_one({**x, "arm": "b"}), abs=1e-6
        )


@pytest.mark.parametrize("model", MODELS)
def test_a_delta_leads_to_the_same_snapshot_and_to_no_other(model: str) -> None:
    learner = trained(model, 700)
    first = learner.snapshot(1)
    for i in range(1000, 1010):
        learner.learn(outcome(i, "b", 1.0, age=20.0, visits=2.0, device="p"))
    second = learner.snapshot(1)
    delta = SnapshotDelta.from_bytes(second.changed_since(first, SECRET).to_bytes())
    assert set(delta.arms) <= {"b"}
    moved = first.apply(delta, SECRET)
    assert moved.version == second.version
    x: dict[str, FeatureValue] = {"age": 33.0, "visits": 2.0, "device": "t"}
    for spec in POLICY_SPECS:
        assert moved.distribution(ARMS, x, policy=spec) == second.distribution(ARMS, x, policy=spec)
    with pytest.raises(Refused, match="read the whole"):
        moved.apply(delta, SECRET)


ABSURD: list[dict[str, Any]] = [  # features that are none, too
    {"age": float("nan")},
    {"age": float("inf"), "visits": float("-inf")},
    {"age": 1e300, "visits": -1e300},
    {"age": 10**400},
    {"age": "a string where a number was", "device": 7.0},
    {"device": "x" * 10_000},
    {"\x00": 1.0, "": "", "\ud800": "\ud800"},
    {"age": [1], "visits": {"a": 1}, "device": None},
    {f"name{i}": float(i) for i in range(5000)},
    {},
]


@pytest.mark.parametrize("model", MODELS)
def test_absurd_input_never_harms(model: str) -> None:
    learner = trained(model, 300)
    for i, features in enumerate(ABSURD):
        for reward in (0.0, 1.0, float("nan"), float("inf"), 1e300, -1e300):
            learner.learn(outcome(hash((i, reward)) + 10_000, "b", reward, **features))
    for i in range(3000):
        learner.learn(
            outcome(20_000 + i, "b", 1.0, **{f"flood{i}": float(i)}, device=f"level{i}")
        ) if i < 300 else None
    snapshot = learner.snapshot()
    parts = snapshot.encode(SECRET)
    own = model in model_names()
    assert len(parts.header) < (50_000 if own else 40_000_000)
    assert all(len(field) < 500_000 for field in parts.arms.values())
    for features in (*ABSURD, {"age": 40.0, "visits": 3.0, "device": "p"}):
        d = snapshot.distribution(ARMS, features, policy=PolicySpec())
        assert all(math.isfinite(v) for v in (*d.means, *d.sds))
        assert sum(d.weights) == SCALE
    for i in range(400):  # and it can still learn
        learner.learn(outcome(50_000 + i, "c", 1.0, age=40.0, visits=3.0, device="p"))
    mean = learner.snapshot().estimate(ARMS, {"age": 40.0, "visits": 3.0, "device": "p"}).mean
    assert mean[2] > 0.5


@pytest.mark.parametrize("name", RIVER)
def test_river_models_load_by_dotted_name(name: str) -> None:
    check_model(name)
    assert f"{type(make_model(name).estimator).__name__}" == name.rpartition(".")[2]


@pytest.mark.parametrize(
    "name",
    [
        "nonsense",
        "os.system",
        "river.linear_model.Nothing",
        "river.nothing.At",
        "river.linear_model",
        "river.preprocessing.StandardScaler",
        "river.ensemble.BaggingClassifier",
        "builtins.eval",
    ],
)
def test_other_names_are_refused_with_the_field(name: str) -> None:
    with pytest.raises(InvalidInput) as caught:
        check_model(name, "placements.home.model")
    assert caught.value.field.startswith("placements.home.model")

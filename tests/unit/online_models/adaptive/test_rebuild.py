"""A rebuild fits whatever rows there are, none of an arm's included, and one that fails ends nothing."""

from __future__ import annotations

import msgspec
import numpy as np
import pytest

from online_models.adaptive import arm_model, rebuild, rebuild_planning, rebuild_schedule
from online_models.adaptive.arm_model import ArmModel
from online_models.adaptive.drift_watch import DriftWatch
from online_models.adaptive.matching import fitted_matching, terms
from online_models.encoder import Encoder

THEMES = {"a": {"theme": "x"}, "b": {"theme": "y"}, "c": {"theme": "z"}}


def again(model: ArmModel) -> ArmModel:
    return ArmModel.load(msgspec.msgpack.decode(msgspec.msgpack.encode(model.dump())))


def same(one: ArmModel, other: ArmModel) -> bool:
    return msgspec.msgpack.encode(one.dump()) == msgspec.msgpack.encode(other.dump())


def test_an_arm_with_nearly_all_the_traffic_collapses_and_learning_goes_on() -> None:
    """Letting go of it leaves long runs of rows that are nobody's: a block of them is empty."""
    rng, model = np.random.default_rng(0), ArmModel()
    for rates in ({"a": 0.9, "b": 0.1, "c": 0.1}, {"a": 0.02, "b": 0.1, "c": 0.1}):
        for _ in range(3000):
            arm = "a" if rng.random() < 0.996 else "bc"[rng.integers(2)]
            x = {"arm": arm, "arm_features": THEMES[arm], "hour": float(rng.integers(24))}
            model.learn_one(x, float(rng.random() < rates[arm]))
    assert model.drift_arm_resets >= 1
    assert model.failed_rebuilds == 0
    assert model.rebuilds > 10
    assert model.predict_one({"arm": "a", "hour": 3.0}) < 0.1
    assert same(again(model), model)


def test_a_new_arm_may_bring_new_features_with_it(monkeypatch: pytest.MonkeyPatch) -> None:
    """The arm for which landmarks have no room any more comes in a context that is wider than any before."""
    monkeypatch.setattr(rebuild_planning, "MAX_FLOATS", 3 * (1 + 16 + 32) ** 2)
    model = ArmModel(n_random=32)
    for i in range(200):
        z = np.random.default_rng(i).normal(size=2)
        model.learn_one({"arm": f"a{i % 2}", "f0": z[0], "f1": z[1]}, float((z[0] * z[1] > 0) == i % 2))
    assert len(model._regressions.features.landmarks)
    for new in ("a2", "a3"):
        model.learn_one({"arm": new, **{f"{new}{j}": 1.0 for j in range(20)}}, 1.0)
    assert not len(model._regressions.features.landmarks)
    assert model.failed_rebuilds == 0
    assert np.isfinite(model.score_arms({"f0": 1.0}, ["a0", "a3"]).mean).all()


def plan_of(model: ArmModel) -> object | None:
    return None if model._rebuild is None else model._rebuild.plan


def test_arms_that_come_during_a_rebuild_are_fitted_as_they_were_when_they_came(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """A checkpoint taken later repeats the rebuild though an arm's price has changed meanwhile."""
    monkeypatch.setattr(rebuild_schedule, "STEP_US", 400.0)
    monkeypatch.setattr(rebuild_schedule, "EARLY_STEP_US", 400.0)
    rng, model = np.random.default_rng(1), ArmModel(n_random=0)

    def teach(*models: ArmModel, arm: str, price: float) -> None:
        hour = float(rng.integers(24))
        x = {"arm": arm, "hour": hour, "arm_features": {"price": price}}
        for each in models:
            each.learn_one(x, float(hour > 12))

    for i in range(120):
        teach(model, arm="ab"[i % 2], price=float(i % 2))
    model._rebuild = None
    model._schedule.at_once(model.n_learned + 1)
    teach(model, arm="a", price=1.0)
    plan = plan_of(model)
    assert plan is not None
    teach(model, arm="late", price=5.0)
    late = 0
    while plan_of(model) is plan:
        copy = again(model)
        late += 1
        teach(model, copy, arm="late", price=5.0 + late)
        assert same(copy, model)
    assert late > 3
    shared = model._regressions.shared
    assert shared is not None
    assert shared.attributes.encoded[2] > 0.0, "it is dearer than the others"


def test_a_rebuild_that_raises_leaves_what_was_learned(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    model = ArmModel()

    def teach(n: int) -> None:
        for i in range(n):
            model.learn_one({"arm": "ab"[i % 2], "hour": float(i % 7)}, float(i % 2))

    teach(300)
    n = model.rebuilds

    def fails(*_: object) -> int:
        raise np.linalg.LinAlgError("Singular matrix")

    with monkeypatch.context() as patch:
        patch.setattr(rebuild, "best_of", fails)
        teach(1000)
        assert model.failed_rebuilds >= 1
        assert model.rebuilds == n
        assert "rebuild_failed" in caplog.text
        assert same(again(model), model)
    assert model.predict_one({"arm": "b", "hour": 3.0}) > 0.9
    teach(1500)
    assert model.rebuilds > n, "the next one comes when it is due"


def test_a_rebuild_that_ends_while_it_is_repeated_is_taken_all_the_same(monkeypatch: pytest.MonkeyPatch) -> None:
    """On another machine a sum may round another way, and another profile win in fewer steps."""
    monkeypatch.setattr(rebuild_schedule, "EARLY_STEP_US", 150.0)
    model = ArmModel(n_random=16)
    for i in range(150):
        model.learn_one({"arm": "ab"[i % 2], "hour": float(i % 7)}, float(i % 3 == 0))
    model._rebuild = model._begin()
    for i in range(6):
        model.learn_one({"arm": "ab"[i % 2], "hour": float(i % 7)}, float(i % 3 == 0))
    state, n = model.dump(), model.rebuilds
    assert state["plan"] is not None
    monkeypatch.setattr(rebuild_schedule, "EARLY_STEP_US", 1e9)
    loaded = ArmModel.load(state)
    for i in range(100):
        loaded.learn_one({"arm": "ab"[i % 2], "hour": float(i % 7)}, float(i % 3 == 0))
    assert loaded.rebuilds > n + 1


def test_deviations_are_widened_up_to_a_bound(monkeypatch: pytest.MonkeyPatch) -> None:
    """A linear profile in force is not fitted anew: nothing but the bound ends a widening of an arm not chosen."""
    model = ArmModel()
    for i in range(200):
        model.learn_one({"arm": "ab"[i % 2], "hour": float(i % 7)}, float(i % 2))
    before = model.scorer().estimate(["a", "b"], {"hour": 3.0})
    for _ in range(1000):
        model._regressions.inflate(arm_model.INFLATION)
    model._scorer = None
    after = model.scorer().estimate(["a", "b"], {"hour": 3.0})
    assert after.mean.tolist() == before.mean.tolist()
    assert (after.sd > before.sd).all()
    assert (after.sd < 100.0).all()


def test_arm_features_no_snapshot_could_carry_are_left_out() -> None:
    model = ArmModel()
    model.learn_one({"arm": "a", "arm_features": {"\ud800": 1.0, "kind": "\ud800", 7: 1.0, "ok": "yes"}}, 1.0)
    assert model._arms.about("a") == {"7": 1.0, "ok": "yes"}
    assert same(again(model), model)


def test_a_match_that_is_constant_but_for_rounding_is_none() -> None:
    """Brought to scale, what is left of rounding would outweigh all that is ever seen of it."""
    encoder = Encoder()
    for i in range(50):
        encoder.learn({"likes.War": i / 7, "likes.Drama": 0.13 * i})
    raw = np.array([encoder.learn({"likes.War": 0.3, "likes.Drama": 0.0}) for _ in range(333)], np.float32)
    about = [terms({"genre.War": 1.0}), terms({"genre.War": 1.0, "genre.Drama": 1.0})]
    arm = np.arange(333, dtype=np.int32) % 2
    assert not fitted_matching(encoder.freeze(), about, raw, arm).pairs
    raw[::3, 0] = 0.9
    assert fitted_matching(encoder.freeze(), about, raw, arm).pairs


def test_a_detector_knows_only_arms_there_are() -> None:
    model = ArmModel(max_arms=3)
    for i in range(300):
        model.learn_one({"arm": f"a{i}", "hour": 1.0}, 0.0)
    assert isinstance(model._drift, DriftWatch)
    assert len(model._drift._arms) == 3

from __future__ import annotations

import msgspec
import numpy as np
import pytest

from online_models.adaptive import rebuild_schedule
from online_models.adaptive.arm_model import ArmModel
from online_models.adaptive.profile import PROFILES
from online_models.adaptive.rebuild_planning import MAX_FLOATS


def learn(model: ArmModel, n: int, *, first: int = 0, rate: float | None = None, n_arms: int = 4) -> None:
    """Rewards that curve in the context; with ``rate``, rare ones that do not depend on it."""
    for i in range(first, first + n):
        rng = np.random.default_rng(i)
        z = rng.normal(size=5)
        arm = int(rng.integers(n_arms))
        best = int(z[0] * z[1] > 0) + 2 * int(z[2] > 0)
        reward = float(rng.random() < rate) if rate is not None else float(best == arm)
        model.learn_one({"arm": f"a{arm}", **{f"f{j}": float(v) for j, v in enumerate(z)}}, reward)


def again(model: ArmModel) -> ArmModel:
    return ArmModel.load(msgspec.msgpack.decode(msgspec.msgpack.encode(model.dump())))


def same(one: ArmModel, other: ArmModel) -> bool:
    return msgspec.msgpack.encode(one.dump()) == msgspec.msgpack.encode(other.dump())


@pytest.fixture
def slow_rebuilds(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(rebuild_schedule, "STEP_US", 150.0)
    monkeypatch.setattr(rebuild_schedule, "EARLY_STEP_US", 150.0)


@pytest.mark.usefixtures("slow_rebuilds")
def test_a_checkpoint_at_any_point_goes_on_bit_for_bit() -> None:
    model = ArmModel(n_random=64)
    under_way = 0
    for i in range(0, 900, 5):
        learn(model, 5, first=i)
        under_way += model._rebuild is not None
        if i % 45 == 0 or model._rebuild is not None:
            copy, straight = again(model), again(model)
            assert same(copy, model)
            learn(copy, 20, first=10_000)
            learn(straight, 10, first=10_000)
            straight = again(straight)
            learn(straight, 10, first=10_010)
            assert same(copy, straight)
    assert under_way > 5, "some of these checkpoints fell into a rebuild"


@pytest.mark.usefixtures("slow_rebuilds")
def test_a_rebuild_under_way_ends_as_if_there_had_been_no_checkpoint() -> None:
    model = ArmModel(n_random=64)
    learn(model, 60)
    while model._rebuild is None:
        learn(model, 1, first=model.n_learned)
    copy = again(model)
    n = model.rebuilds
    while model.rebuilds == n:
        for each in (model, copy):
            learn(each, 1, first=each.n_learned)
        copy = again(copy)
    assert same(model, copy)


def test_curved_rewards_get_random_features_and_rare_ones_do_not() -> None:
    curved, rare = ArmModel(), ArmModel()
    learn(curved, 1500)
    learn(rare, 3000, rate=0.02)
    assert PROFILES[curved._planning.profile].random > 0.0
    assert PROFILES[rare._planning.profile].random == 0.0


def test_many_arms_have_no_random_features_and_bounded_bytes() -> None:
    model = ArmModel()
    learn(model, 1200, n_arms=4)
    for i in range(1000):
        model.learn_one({"arm": f"more{i}", "f0": 1.0}, 0.0)
    assert len(model._arms) == 1000
    assert not len(model._regressions.features.landmarks)
    assert model._regressions.covariance.nbytes <= 4 * MAX_FLOATS
    assert model._regressions.weights[:1000].nbytes < 3 << 20


def test_broken_numbers_are_rolled_back_and_counted() -> None:
    model = ArmModel()
    learn(model, 400)
    x = {f"f{j}": 0.5 for j in range(5)}
    before = model.score_arms(x, ["a0", "a1", "a2", "a3"]).mean
    model._regressions.weights[:] = np.nan
    learn(model, 60, first=400)
    assert model.rollbacks > 0
    after = model.score_arms(x, ["a0", "a1", "a2", "a3"]).mean
    assert np.isfinite(after).all()
    assert np.abs(after - before).max() < 0.3


def test_a_shift_resets_and_is_counted() -> None:
    model = ArmModel()
    for i in range(2500):
        arm = i % 2
        good = arm if i < 2000 else 1 - arm
        model.learn_one({"arm": "ab"[0] if good else "b", "f": float(i % 7)}, float(i < 2000))
    assert model.drift_resets == 1


def collapsing(model: ArmModel, rng: np.random.Generator, n: int, rates: list[float]) -> list[dict[str, float]]:
    """Contexts, after n outcomes with these rates, whatever the context."""
    contexts = [{"f": float(rng.normal()), "g": float(rng.normal())} for _ in range(n)]
    for x in contexts:
        arm = int(rng.integers(len(rates)))
        model.learn_one({"arm": f"a{arm}", **x}, float(rng.random() < rates[arm]))
    return contexts


def test_an_arm_that_collapses_is_let_go_of_and_the_others_are_not() -> None:
    rng, model = np.random.default_rng(0), ArmModel()
    collapsing(model, rng, 3000, [0.8, 0.7, 0.6])
    contexts = collapsing(model, rng, 200, [0.0, 0.7, 0.6])
    assert model.drift_arm_resets == 1
    assert model.drift_resets == 0
    means = np.array([model.score_arms(x, ["a0", "a1", "a2"]).mean for x in contexts]).mean(axis=0)
    assert means[0] < 0.25
    assert means[1:] == pytest.approx([0.7, 0.6], abs=0.08)
    n = model.scorer().n
    assert n[0] < 100
    assert n[1:].min() > 900
    loaded = ArmModel.load(model.dump())
    for each in (model, loaded):
        collapsing(each, np.random.default_rng(1), 100, [0.0, 0.7, 0.6])
    assert np.array_equal(model.scorer().weights, loaded.scorer().weights)


def test_an_arm_is_let_go_of_while_a_rebuild_runs() -> None:
    rng, model = np.random.default_rng(2), ArmModel()
    collapsing(model, rng, 3000, [0.8, 0.7])
    model._rebuild = model._begin()
    collapsing(model, rng, 150, [0.0, 0.7])
    assert model.drift_arm_resets >= 1
    collapsing(model, rng, 700, [0.0, 0.7])
    assert model.predict_one({"arm": "a0", "f": 0.0, "g": 0.0}) < 0.1


def test_an_arm_never_seen_is_guessed_from_its_features() -> None:
    model = ArmModel()
    rng = np.random.default_rng(0)
    kinds = ["sport", "music"]
    for _ in range(1200):
        arm, likes = int(rng.integers(8)), int(rng.integers(2))
        reward = float(rng.random() < (0.8 if arm % 2 == likes else 0.1))
        x = {"likes": kinds[likes], "arm": f"a{arm}", "arm_features": {"kind": kinds[arm % 2]}}
        model.learn_one(x, reward)
    new = {"new sport": {"kind": "sport"}, "new music": {"kind": "music"}}
    for kind in kinds:
        guess = model.scorer().estimate(list(new), {"likes": kind}, new).mean
        liked, other = (guess[0], guess[1]) if kind == "sport" else (guess[1], guess[0])
        assert liked > other + 0.3
    sd = model.scorer().estimate(["new sport", "a0"], {"likes": "sport"}, new).sd
    assert sd[0] > 2 * sd[1]


def test_a_value_missing_at_times_harms_nobody() -> None:
    model = ArmModel()
    rng = np.random.default_rng(0)
    for _ in range(1500):
        z, arm = rng.normal(), int(rng.integers(2))
        x = {"arm": f"a{arm}", "other": float(rng.normal())}
        if rng.random() < 0.5:
            x["z"] = z
            reward = float((z > 0) == (arm == 1))
        else:
            reward = 0.9 if arm == 0 else 0.1
        model.learn_one(x, reward)
    arms = ["a0", "a1"]
    assert np.argmax(model.score_arms({"z": 1.5, "other": 0.0}, arms).mean) == 1
    assert np.argmax(model.score_arms({"other": 0.0}, arms).mean) == 0


def test_without_any_context_arms_are_told_apart_all_the_same() -> None:
    model = ArmModel()
    for i in range(300):
        model.learn_one({"arm": f"a{i % 2}"}, float(i % 2))
    mean = model.score_arms({}, ["a0", "a1"]).mean
    assert mean[0] < 0.1 < 0.9 < mean[1]

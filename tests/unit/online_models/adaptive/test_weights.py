"""An outcome that counts for w: the same fits as w outcomes like it, whether learned one by one or anew."""

from __future__ import annotations

from typing import Any

import msgspec
import numpy as np
import pytest

from online_models.adaptive.arm_attributes import ArmAttributes
from online_models.adaptive.arm_model import MAX_WEIGHT, ArmModel
from online_models.adaptive.arm_regressions import ArmRegressions
from online_models.adaptive.feature_map import feature_map
from online_models.adaptive.left_out import squared_errors
from online_models.adaptive.matching import Matching
from online_models.adaptive.profile import PROFILES
from online_models.adaptive.shared_regression import SharedRegression
from online_models.encoder import Encoder
from tests.unit.online_models.adaptive.test_left_out import by_hand, finish


def regressions(*, shared: bool) -> ArmRegressions:
    encoder = Encoder()
    for i in range(20):
        encoder.learn({"f0": float(i % 7), "f1": float(i % 3)})
    features = feature_map(encoder.freeze(), 16, 1.0)
    about = Encoder()
    raw = [{"kind": "x", "price": 1.0}, {"kind": "y", "price": 5.0}]
    for each in raw:
        about.learn(each)
    common = SharedRegression(features, ArmAttributes.of(about.freeze(), raw), Matching()) if shared else None
    made = ArmRegressions(features, PROFILES[1], common, 0.25, 4, 0)
    made.add_arm("a")
    made.add_arm("b")
    return made


@pytest.mark.parametrize("crossed", [True, False])
@pytest.mark.parametrize("shared", [True, False])
def test_an_outcome_of_weight_three_is_learned_as_three(shared: bool, crossed: bool) -> None:
    """θ and P agree; the samples do not, which are perturbed once, not three times."""
    heavy, thrice = regressions(shared=shared), regressions(shared=shared)
    rng = np.random.default_rng(0)
    for each in (heavy, thrice):
        if each.shared is not None and not crossed:
            each.shared = SharedRegression(each.features, each.shared.attributes, Matching())
            each.shared.crossed = False
            each.shared.weights = np.zeros(1 + 16 + each.shared.attributes.width, np.float32)
            each.shared.covariance = np.eye(len(each.shared.weights), dtype=np.float32)
    for _ in range(60):
        phi = heavy.features.encode({"f0": float(rng.integers(7)), "f1": float(rng.integers(3))})
        row, reward = int(rng.integers(2)), float(rng.random())
        noise = np.zeros(5, np.float32)
        if shared:  # the shared regression learns first: one after the other they are not exchangeable
            for each in (heavy, thrice):
                assert each.shared is not None
            heavy.shared.update_weighted(row, phi, reward, 3.0**0.5)  # type: ignore[union-attr]
            for _ in range(3):
                thrice.shared.update(row, phi, reward)  # type: ignore[union-attr]
        else:
            heavy.update(row, phi, reward, noise, 3.0**0.5)
            for _ in range(3):
                thrice.update(row, phi, reward, noise.copy())
    one, other = (each.shared if shared else each for each in (heavy, thrice))
    assert one is not None
    assert other is not None
    left, right = (each.weights if shared else each.weights[:2, 0] for each in (one, other))
    assert left == pytest.approx(right, abs=2e-4)
    for left, right in zip(np.atleast_3d(one.covariance), np.atleast_3d(other.covariance), strict=True):
        assert np.allclose(np.tril(left.T), np.tril(right.T), atol=2e-4)
    assert np.abs(one.weights).max() > 0.1


def test_what_is_left_of_a_heavy_reward_is_told_in_its_own_units() -> None:
    """Drift compares what was predicted with what came; and what arms share and an arm learn it between them."""
    made = regressions(shared=True)
    phi = made.features.encode({"f0": 3.0, "f1": 1.0})
    noise = np.zeros(5, np.float32)
    assert made.update(0, phi, 0.75, noise, 9.0**0.5) == pytest.approx(0.5)
    assert made.update(0, phi, 0.75, noise, 9.0**0.5) == pytest.approx(0.0, abs=0.01)


def test_arms_learn_what_is_left_of_heavy_rows_as_of_as_many_light_ones() -> None:
    about = [{"kind": "x", "price": 1.0}, {"kind": "y", "price": 5.0}]
    heavy, thrice = (ArmModel(n_random=0, seed=1) for _ in range(2))
    for model, n, weight in ((heavy, 1, 3.0), (thrice, 3, 1.0)):
        rng = np.random.default_rng(3)
        for _ in range(40):
            arm = int(rng.integers(2))
            x = {"arm": f"a{arm}", "arm_features": about[arm], "f": float(rng.normal())}
            reward = float(rng.random() < 0.3 + 0.4 * arm)
            for _ in range(n):
                model.learn_one(x, reward, weight)
    fitted = []
    for model in (heavy, thrice):
        plan = model._begin(judge=False).plan
        plan.encoder, plan.offset, plan.profiles = heavy._encoder.freeze(), 0.5, (1,)
        plan.attributes = heavy._arms.attributes()
        fitted.append(model._run(plan).finish(model._buffer.n).regressions)
    one, other = fitted
    assert one is not None
    assert other is not None
    assert one.shared is not None
    assert other.shared is not None
    assert one.shared.weights == pytest.approx(other.shared.weights, abs=1e-3)
    assert one.weights[:2, 0] == pytest.approx(other.weights[:2, 0], abs=1e-3)
    assert np.abs(one.weights[:2, 0]).max() > 0.05


@pytest.mark.parametrize("n", [12, 300], ids=["dual", "primal"])
@pytest.mark.parametrize("n_random", [0, 16])
def test_a_rebuild_fits_rows_by_their_weights(n: int, n_random: int) -> None:
    rng, model = np.random.default_rng(n), ArmModel(n_random=n_random)
    for _ in range(n):
        x: dict[str, Any] = {"arm": "a", "f0": float(rng.normal()), "f1": float(rng.normal())}
        model.learn_one(x, float(rng.random() < 0.3), float(rng.choice([1.0, 2.0, 9.0])))
    run = model._begin(judge=False)
    built = run.finish(model._buffer.n).regressions
    assert built is not None
    raw, _, reward = model._buffer.rows(0, n)
    weight = model._buffer.roots(0, n).astype(np.float64) ** 2
    assert set(np.round(weight)) == {1.0, 2.0, 9.0}
    phi = built.features.from_raw(raw).astype(np.float64)
    gram = phi.T @ (phi * weight[:, None]) + np.eye(phi.shape[1])
    theta = np.linalg.solve(gram, phi.T @ (weight * (reward - built.offset)))
    assert built.weights[0, 0] == pytest.approx(theta, abs=1e-3)
    assert np.allclose(np.tril(built.covariance[0].T), np.tril(np.linalg.inv(gram)), atol=1e-3)


def test_profiles_are_judged_by_weight() -> None:
    rng = np.random.default_rng(4)
    phi, y = rng.normal(size=(96, 5)), rng.normal(size=96)
    weight = rng.choice([1.0, 4.0], 96)
    root = np.sqrt(weight)
    scaled = (phi * root[:, None]).astype(np.float32)
    variances, arm = np.full((1, 5), 0.5), np.zeros(96, np.int32)
    squared = finish(squared_errors(scaled, variances, arm, (y * root)[None], root.astype(np.float32)), [])
    errors = by_hand(phi * root[:, None], variances[0], y * root, 8) / root
    assert squared[0] == pytest.approx(np.minimum(errors**2, 4.0) * weight / weight.mean(), abs=1e-3)


def test_few_heavy_outcomes_outweigh_many_light_ones_and_a_checkpoint_knows() -> None:
    model = ArmModel()
    for i in range(400):
        model.learn_one({"arm": "a", "f": float(i % 7)}, float(i % 5 == 0), 16.0 if i % 5 == 0 else 1.0)
    assert model.predict_one({"arm": "a", "f": 3.0}) == pytest.approx(0.8, abs=0.05)
    loaded = ArmModel.load(msgspec.msgpack.decode(msgspec.msgpack.encode(model.dump())))
    for each in (model, loaded):
        for i in range(300):
            each.learn_one({"arm": "a", "f": float(i % 7)}, 1.0, 2.0)
    assert msgspec.msgpack.encode(loaded.dump()) == msgspec.msgpack.encode(model.dump())
    assert model.scorer().n.tolist() == [700.0]


@pytest.mark.parametrize("weight", [0.0, -1.0, np.nan, np.inf])
def test_a_weight_that_makes_no_sense_teaches_nothing(weight: float) -> None:
    model = ArmModel()
    model.learn_one({"arm": "a"}, 1.0, weight)
    assert model.n_learned == 0


def test_a_weight_is_bounded() -> None:
    one, other = ArmModel(), ArmModel()
    one.learn_one({"arm": "a"}, 1.0, MAX_WEIGHT)
    other.learn_one({"arm": "a"}, 1.0, 1e9)
    assert one.predict_one({"arm": "a"}) == other.predict_one({"arm": "a"})

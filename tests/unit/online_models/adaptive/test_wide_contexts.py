"""Model dimensions go to names seen with many units and found useful, and come back from those that are not."""

from __future__ import annotations

from typing import Any

import msgspec
import numpy as np
import pytest

from online_models.adaptive import dimensions, making_way
from online_models.adaptive.arm_model import ArmModel
from online_models.adaptive.arm_regressions import ArmRegressions
from online_models.adaptive.feature_map import feature_map
from online_models.adaptive.profile import Profile
from online_models.encoder import FREE_DIMS, Encoder
from online_models.frozen_encoder import N_HASHED
from online_models.snapshot import ModelSnapshot
from online_models.waiting_names import MAX_WAITING, MIN_UNITS

USEFUL = ("f0", "f1", "f2", "f3")


def unit(i: int) -> bytes:
    return i.to_bytes(8, "big")


def junk(request: int, n_requests: int = 12, n_names: int = 1_000) -> dict[str, float]:
    return {f"junk{i}": 1.0 for i in range(request, n_names, n_requests)}


def row(rng: np.random.Generator, n_idle: int = 30) -> dict[str, Any]:
    return {name: float(rng.normal()) for name in USEFUL} | {
        f"idle{i:03d}": float(rng.normal()) for i in range(n_idle)
    }


def reward(x: dict[str, Any], arm: int) -> float:
    return float((x["f0"] + x["f1"] - x["f2"] - x["f3"] > 0) == (arm == 1))


def teach(model: ArmModel, n: int, rng: np.random.Generator, n_idle: int = 30) -> None:
    for i in range(n):
        x, arm = row(rng, n_idle), int(rng.integers(2))
        model.learn_one({"arm": f"a{arm}", **x}, reward(x, arm), unit=unit(10_000 + i))


def share_right(model: ArmModel, rng: np.random.Generator, n_idle: int = 30) -> float:
    right = 0
    for _ in range(300):
        x = row(rng, n_idle)
        mean, _ = model.score_arms(x, ["a0", "a1"])
        right += int(mean.argmax()) == int(reward(x, 1) == 1.0)
    return right / 300


def owned(encoder: Encoder) -> set[str]:
    return {str(name) for name in encoder.numeric}


def test_junk_of_one_stranger_keeps_no_useful_name_out() -> None:
    """Twelve requests with a thousand names between them, before anybody else came."""
    model, rng = ArmModel(), np.random.default_rng(0)
    for request in range(12):
        model.learn_one({"arm": "a0", **junk(request)}, 0.0, unit=unit(1))
    teach(model, 400, rng)
    assert set(USEFUL) <= owned(model._encoder)
    assert share_right(model, rng) > 0.85
    assert len(owned(model._encoder) - set(row(rng))) < FREE_DIMS
    assert model._encoder.n_dims <= FREE_DIMS + len(row(rng)), "junk gets no dimension for being absent either"


def test_junk_of_one_stranger_pushes_no_useful_name_out() -> None:
    """The same from one who sends them again and again, to a model that knows what is useful."""
    model, rng = ArmModel(max_dims=FREE_DIMS), np.random.default_rng(0)
    teach(model, 400, rng, n_idle=136)
    before = owned(model._encoder)
    for request in range(120):
        model.learn_one({"arm": "a0", **row(rng, 136), **junk(request % 12)}, 0.5, unit=unit(1))
    assert before <= owned(model._encoder)
    assert len(model._encoder.waiting) <= MAX_WAITING


def test_a_name_beyond_the_free_dimensions_waits_for_several_units() -> None:
    encoder = Encoder(64, free_dims=N_HASHED + 2)
    encoder.learn({"a": 1.0, "b": 1.0, "c": 1.0, "kind": "x"}, unit(0))
    for _ in range(50):
        encoder.learn({"a": 1.0, "b": 1.0, "c": 1.0, "kind": "x"}, unit(0))
    assert owned(encoder) == {"a", "b"}
    frozen = encoder.freeze()
    assert frozen.encode({"c": 3.0}).tolist() != frozen.encode({}).tolist() or frozen.hashed_from >= 0
    for i in range(1, MIN_UNITS):
        assert "c" not in encoder.numeric
        encoder.learn({"a": 1.0, "b": 1.0, "c": 1.0, "kind": "x"}, unit(i))
    assert owned(encoder) == {"a", "b", "c"}
    assert encoder.levels == {"kind": {"x": encoder.n_dims - 1}}
    assert "c" not in encoder.missing, "it was never seen to be missing"


def test_outcomes_without_a_unit_count_as_different_ones() -> None:
    encoder = Encoder(64, free_dims=N_HASHED + 1)
    for _ in range(MIN_UNITS):
        encoder.learn({"a": 1.0, "b": 1.0})
    assert owned(encoder) == {"a", "b"}


def test_a_flood_of_one_unit_displaces_its_own_names_alone() -> None:
    encoder = Encoder(64, free_dims=N_HASHED + 1)
    encoder.learn({"a": 1.0}, unit(0))
    for i in range(1, MIN_UNITS):
        encoder.learn({"a": 1.0, "rare": 1.0}, unit(i))
        for n in range(40):
            encoder.learn({f"{i}.flood{n}.{k}": 1.0 for k in range(100)}, unit(99))
    assert "rare" not in encoder.numeric
    assert len(encoder.waiting) <= MAX_WAITING
    encoder.learn({"a": 1.0, "rare": 1.0}, unit(50))
    assert "rare" in encoder.numeric


def test_narrow_contexts_are_learned_as_if_nothing_had_to_be_earned() -> None:
    rng = np.random.default_rng(1)
    narrow, wide = ArmModel(max_dims=FREE_DIMS), ArmModel()
    for model in (narrow, wide):
        teach(model, 200, np.random.default_rng(2), n_idle=100)
    x = row(rng, 100)
    assert narrow.score_arms(x, ["a0", "a1"])[0].tolist() == wide.score_arms(x, ["a0", "a1"])[0].tolist()
    assert len(wide._encoder.waiting) == 0


@pytest.fixture
def full(monkeypatch: pytest.MonkeyPatch) -> tuple[ArmModel, np.random.Generator]:
    """A model whose every dimension is taken by names that say nothing, while the useful ones come later."""
    monkeypatch.setattr(making_way, "TRIAL", 64)
    model, rng = ArmModel(max_dims=40, n_random=16), np.random.default_rng(3)
    for i in range(100):
        x = {f"idle{j:03d}": float(rng.normal()) for j in range(30)}
        model.learn_one({"arm": f"a{i % 2}", **x}, float(rng.integers(2)), unit=unit(i))
    assert not set(USEFUL) & owned(model._encoder)
    return model, rng


def test_dimensions_come_back_from_names_that_are_useless(full: tuple[ArmModel, np.random.Generator]) -> None:
    model, rng = full
    teach(model, 1_500, rng)
    assert model.given_back > 0
    assert set(USEFUL) <= owned(model._encoder)
    assert model._encoder.n_dims <= 40
    assert share_right(model, rng) > 0.85


def test_dimensions_come_back_from_names_that_nobody_sends_any_more(
    full: tuple[ArmModel, np.random.Generator],
) -> None:
    model, rng = full
    teach(model, 1_500, rng, n_idle=0)
    assert set(USEFUL) <= owned(model._encoder)
    assert share_right(model, rng, n_idle=0) > 0.9


def test_checkpoints_and_snapshots_follow_what_is_given_back(full: tuple[ArmModel, np.random.Generator]) -> None:
    model, rng = full
    copy = ArmModel.load(msgspec.msgpack.decode(msgspec.msgpack.encode(model.dump())))
    lessons = [(row(rng), int(rng.integers(2))) for _ in range(400)]
    with_landmarks = 0
    previous, given_back = ModelSnapshot("default", 1, (0.0, 1.0), model.scorer()), model.given_back
    parts = previous.encode()
    received = ModelSnapshot.decode(parts.header, parts.arms)
    for i, (x, arm) in enumerate(lessons):
        curved, given = len(model._regressions.features.landmarks) > 0, model.given_back
        for each in (model, copy):
            each.learn_one({"arm": f"a{arm}", **x}, reward(x, arm), unit=unit(i))
        with_landmarks += curved and model.given_back > given
        if i % 7 == 0:
            copy = ArmModel.load(msgspec.msgpack.decode(msgspec.msgpack.encode(copy.dump())))
        snapshot = ModelSnapshot("default", 2 + i, (0.0, 1.0), model.scorer())
        received = received.apply(snapshot.changed_since(previous))
        assert received.estimate(["a0", "a1"], x).mean.tolist() == snapshot.estimate(["a0", "a1"], x).mean.tolist()
        previous = snapshot
    assert model.given_back > given_back
    assert with_landmarks > 0
    assert msgspec.msgpack.encode(copy.dump()) == msgspec.msgpack.encode(model.dump())


def test_many_arms_share_less_width_and_what_is_useful_stays(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(dimensions, "FREE_DIMS", 24)
    monkeypatch.setattr(dimensions, "ARMS_STEP", 1)
    monkeypatch.setattr(dimensions, "MAX_LINEAR_FLOATS", 12 * 56**2)
    model, rng = ArmModel(max_dims=80, n_random=0), np.random.default_rng(4)
    teach(model, 800, rng, n_idle=46)
    assert model._encoder.n_dims == 50
    for i in range(10):
        model.learn_one({"arm": f"new{i}", **row(rng, 46)}, 0.0, unit=unit(i))
    width = model._regressions.features.width
    assert model._encoder.n_dims <= width <= 48
    assert len(model._arms) * (1 + width) ** 2 <= 12 * 56**2
    assert set(USEFUL) <= owned(model._encoder)


def test_what_is_left_of_a_posterior_is_what_it_says_without_the_others() -> None:
    """Marginal means and variances of the weights that stay."""
    rng = np.random.default_rng(5)
    encoder = Encoder(64)
    rows = rng.normal(size=(200, 6))
    for values in rows:
        encoder.learn({f"f{i}": float(v) for i, v in enumerate(values)})
    regressions = ArmRegressions(
        feature_map(encoder.freeze(), 16, 1.0), Profile(1.0, 0.0, False, 1.0), None, 0.0, 2, 0
    )
    regressions.add_arm("a")
    for values in rows:
        phi = regressions.features.encode_raw(values)
        regressions.update(0, phi, float(values @ np.arange(6)), np.zeros(3, np.float32))
    before, p = regressions.weights.copy(), np.triu(regressions.covariance[0])
    kept = np.array([1, 3, 4])
    encoder.select(kept)
    regressions.relay(kept, 16, encoder.freeze(), ["a"], "test")
    at = np.concatenate([[0], 1 + kept])
    assert regressions.weights[0, :, :4].tolist() == before[0, :, at].T.tolist()
    after = np.triu(regressions.covariance[0])
    assert after[:4, :4].tolist() == p[np.ix_(at, at)].tolist()
    assert after[4:, 4:].tolist() == np.eye(13).tolist()
    assert set(encoder.numeric) == {"f1", "f3", "f4"}

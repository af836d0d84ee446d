"""Whatever arms, contexts and rewards do, the default model goes on, and so does what a checkpoint of it holds."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, NamedTuple

import msgspec
import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from online_models import encoder, waiting_names
from online_models.adaptive import (
    dimensions,
    left_out,
    making_way,
    profile,
    rebuild,
    rebuild_plan,
    rebuild_planning,
    rebuild_schedule,
    row_buffer,
    shared_regression,
)
from online_models.adaptive.arm_model import ArmModel
from online_models.adaptive.drift import Drift
from online_models.adaptive.drift_watch import DriftWatch, Shift

GENRES = ("War", "Western", "Drama", "Comedy")
MAX_ROWS = 64
SPAN = 5

TINY = (
    (row_buffer, "MAX_BYTES", 4 * 16 * MAX_ROWS),
    (rebuild_schedule, "STEP_US", 90.0),
    (rebuild_schedule, "EARLY_STEP_US", 90.0),
    (rebuild, "CHUNK_ROWS", 8),
    (left_out, "CHUNK_ROWS", 8),
    (left_out, "MAX_BLOCK", 4),
    (rebuild_plan, "MATCHING_ROWS", 16),
    (rebuild_planning, "METRIC_ROWS", 16),
    (rebuild_planning, "FIRST_TRIAL", 12),
    (rebuild_planning, "TRIAL_ROWS", 24),
    (rebuild_planning, "SETTLED_ROWS", 12),
    (rebuild_planning, "MAX_FLOATS", 3 * (1 + 16 + 8) ** 2),
    (encoder, "MAX_LEVELS", 3),
    (encoder, "FREE_DIMS", 24),
    (dimensions, "FREE_DIMS", 24),
    (dimensions, "ARMS_STEP", 2),
    (dimensions, "MAX_LINEAR_FLOATS", 4 * 50**2),
    (making_way, "TRIAL", 8),
    (making_way, "EFFECT_ROWS", 16),
    (profile, "MAX_FLEXIBLE_DIMS", 48),
    (row_buffer, "MIN_ROWS", 8),
    (waiting_names, "MAX_WAITING", 24),
    (waiting_names, "STALE", 40),
    (waiting_names, "REFRESH", 4),
)
"""Bounds and thresholds so small that a few dozen outcomes cross all of them, several times."""


class Phase(NamedTuple):
    """A stretch of outcomes that are alike."""

    n: int
    arms: tuple[int, ...]
    context: str
    attributes: str
    reward: str
    weights: tuple[float, ...]
    shift: str
    checkpoint: bool


PHASES = st.builds(
    Phase,
    n=st.integers(1, 70),
    arms=st.lists(st.integers(0, 6), min_size=1, max_size=4).map(tuple),
    context=st.sampled_from(["none", "constant", "numbers", "levels", "tastes", "growing", "gaps", "huge"]),
    attributes=st.sampled_from(["none", "some", "all", "changing"]),
    reward=st.sampled_from(["zero", "one", "rare", "coin", "graded", "curved", "huge"]),
    weights=st.sampled_from([(1.0,), (1.0, 10.0), (1.0, 1.25, 2.5)]),
    shift=st.sampled_from(["", "", "arm", "all", "inflate", "first"]),
    checkpoint=st.booleans(),
)


class Lesson(NamedTuple):
    """One outcome, and the shift that is seen in it."""

    x: dict[str, Any]
    reward: float
    weight: float
    shift: Drift
    everybody: bool
    span: int
    unit: bytes


def lessons(phase: Phase, rng: np.random.Generator) -> Iterator[Lesson]:
    shifted = {"": -1, "first": 0}.get(phase.shift, int(rng.integers(phase.n)))
    for i in range(phase.n):
        arm = phase.arms[0] if rng.random() < 0.9 else phase.arms[int(rng.integers(len(phase.arms)))]
        x: dict[str, Any] = context(phase.context, rng)
        reward = reward_of(phase.reward, arm, x, rng)
        if phase.attributes in ("all", "changing") or (phase.attributes == "some" and arm % 2):
            price = float(arm) if phase.attributes != "changing" else float(rng.normal())
            x["arm_features"] = {"genre": GENRES[arm % 4], "price": price, f"genres.{GENRES[arm // 2 % 4]}": 1.0}
        drift = Drift.NONE
        if i == shifted:
            drift = Drift.INFLATE if phase.shift == "inflate" else Drift.RESET
        yield Lesson(
            {"arm": f"a{arm}", **x},
            reward,
            float(rng.choice(phase.weights)),
            drift,
            phase.shift in ("all", "inflate"),
            int(rng.integers(1, SPAN)),
            b"" if phase.weights == (1.0,) else bytes([int(rng.integers(5))]),
        )


def context(kind: str, rng: np.random.Generator) -> dict[str, Any]:
    if kind == "none":
        return {}
    if kind == "constant":
        return {"f0": 0.3, "device": "phone"}
    if kind == "numbers":
        return {f"f{j}": float(rng.normal()) for j in range(3)}
    if kind == "levels":
        return {"device": f"d{rng.integers(6)}", "hour": float(rng.integers(24))}
    if kind == "tastes":
        return {f"affinities.genre.{genre}": float(rng.random()) for genre in GENRES if rng.random() < 0.7}
    if kind == "growing":
        return {f"g{rng.integers(60)}": float(rng.normal()), f"fam{rng.integers(40)}.x{rng.integers(9)}": 1.0}
    if kind == "gaps":
        return {f"f{j}": float(rng.normal()) for j in range(3) if rng.random() < 0.4}
    return {"f0": float(rng.choice([1e9, -1e9, 0.0, 1e-9])), "f1": 1e9}


def reward_of(kind: str, arm: int, x: dict[str, Any], rng: np.random.Generator) -> float:
    if kind in ("zero", "one"):
        return float(kind == "one")
    if kind == "graded":
        return float(rng.random())
    if kind == "curved":
        return float((float(x.get("f0", 0.0)) * float(x.get("f1", 0.0)) > 0) == arm % 2)
    if kind == "huge":
        return float(rng.choice([1e6, -1e6, 1e9]))
    return float(rng.random() < (0.05 if kind == "rare" else 0.5))


class Driver:
    """Teaches models, drift being seen where a lesson says so and nowhere else."""

    def __init__(self) -> None:
        self.lesson: Lesson | None = None

    def add(self, watch: DriftWatch, row: int, disappointment: float) -> Shift | None:
        assert self.lesson is not None
        if self.lesson.shift is Drift.NONE:
            return None
        return Shift(self.lesson.shift, None if self.lesson.everybody else row, self.lesson.span)

    def teach(self, model: ArmModel, lesson: Lesson) -> None:
        self.lesson = lesson
        model.learn_one(lesson.x, lesson.reward, lesson.weight, lesson.unit)


@contextmanager
def tiny(max_crossed: int) -> Iterator[Driver]:
    driver = Driver()
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(shared_regression, "MAX_CROSSED", max_crossed)
        for module, name, value in TINY:
            patch.setattr(module, name, value)
        patch.setattr(DriftWatch, "add", lambda watch, row, error, witness: driver.add(watch, row, error))
        yield driver


def again(model: ArmModel) -> ArmModel:
    return ArmModel.load(msgspec.msgpack.decode(msgspec.msgpack.encode(model.dump())))


def same(one: ArmModel, other: ArmModel) -> bool:
    return msgspec.msgpack.encode(one.dump()) == msgspec.msgpack.encode(other.dump())


def check_scores(model: ArmModel, x: dict[str, Any]) -> None:
    known = [*model._arms.names, "never"]
    about = {**model._arms.features, "never": {"genre": "War", "price": 1e9}}
    for arms in (known, known[:1], ["never"]):
        estimates = model.scorer().estimate(arms, x, about)
        assert np.isfinite(estimates.mean).all()
        assert np.isfinite(estimates.sd).all()
        assert (estimates.sd >= 0.0).all()


def check_bounds(model: ArmModel) -> None:
    assert model.failed_rebuilds == 0
    assert len(model._arms) <= model.max_arms
    assert len(model._arms.features) <= model.max_arms
    assert model._encoder.n_dims <= model._encoder.max_dims
    assert model._encoder.n_dims <= model._encoder.limit or model._rebuild is not None
    assert len(model._encoder.waiting) <= waiting_names.MAX_WAITING
    assert len(model._encoder._families) <= model._encoder.max_dims
    assert len(model._buffer._arm) <= MAX_ROWS
    assert model._regressions.weights.shape[0] <= model.max_arms + 16


@pytest.mark.slow
@settings(max_examples=80, deadline=None, derandomize=True, suppress_health_check=list(HealthCheck))
@given(
    phases=st.lists(PHASES, min_size=2, max_size=7),
    max_arms=st.sampled_from([1, 2, 3, 7]),
    max_dims=st.sampled_from([17, 30, 70]),
    n_random=st.sampled_from([0, 8]),
    max_crossed=st.sampled_from([40, 256]),
    seed=st.integers(0, 9),
)
def test_no_stream_ends_it_and_a_checkpoint_at_any_moment_goes_on_bit_for_bit(
    phases: list[Phase], max_arms: int, max_dims: int, n_random: int, max_crossed: int, seed: int
) -> None:
    rng = np.random.default_rng(seed)
    with tiny(max_crossed) as driver:
        model = ArmModel(n_samples=2, n_random=n_random, max_dims=max_dims, max_arms=max_arms, seed=seed)
        for phase in phases:
            copy = again(model) if phase.checkpoint else None
            for lesson in lessons(phase, rng):
                driver.teach(model, lesson)
                if copy is not None:
                    if rng.random() < 0.3:
                        copy = again(copy)
                    driver.teach(copy, lesson)
            assert copy is None or same(copy, model)
            check_scores(model, lesson.x)
            check_bounds(model)

"""Contexts scored together get the very bits they get alone: a record must lead to the same decision again."""

from __future__ import annotations

import random
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from online_models.adaptive.linear_scorer import LinearScorer
from online_models.placement_model import PlacementModel
from online_models.registry import POLICIES
from online_models.snapshot import ModelSnapshot
from personalization.catalog.policy_spec import ModelSpec, PolicySpec
from personalization.events.outcome import ClosingReason, Outcome
from personalization.features import Features, FeatureValue
from personalization.visitor.choice import Choice

ARMS = tuple(f"arm{i}" for i in range(24))
LEARNED_ARMS = 20
"""The others are new to the model."""


def learned(spec: ModelSpec, n_outcomes: int, seed: int) -> ModelSnapshot:
    model = PlacementModel("p", spec, (0.0, 2.0))
    rng = random.Random(seed)
    for n in range(n_outcomes):
        arm = rng.choice(ARMS[:LEARNED_ARMS])
        x: dict[str, Any] = {"age": rng.gauss(40, 10), "device": rng.choice(["mobile", "desktop"])}
        for i in range(rng.randrange(12)):
            x[f"likes.{i}"] = rng.random()
        reward = 2.0 * (rng.random() < 0.02 + 0.03 * (arm < "arm15"))
        model.learn(Outcome(Choice(f"d{n}", "p", 0, arm, 2**31), reward, ClosingReason.WINDOW, 0, 1, features=x))
    return model.snapshot(1)


def curved(n_outcomes: int) -> ModelSnapshot:
    """Learned from rewards that curve in the context, by arms with features: landmarks, a shared part."""
    model = PlacementModel("p", "default", (0.0, 2.0))
    rng = random.Random(5)
    for n in range(n_outcomes):
        arm, age, likes = rng.randrange(4), rng.gauss(40, 10), rng.random()
        reward = 2.0 * ((abs(age - 40) > 7) + 2 * (likes > 0.5) == arm)
        x: dict[str, FeatureValue] = {"age": age, "likes.1": likes, "device": "mobile"}
        kind: dict[str, FeatureValue] = {"kind": "ab"[arm % 2]}
        model.learn(
            Outcome(
                Choice(f"d{n}", "p", 0, f"arm{arm}", 2**31),
                reward,
                ClosingReason.WINDOW,
                0,
                1,
                features=x,
                arm_features=kind,
            )
        )
    snapshot = model.snapshot(1)
    assert isinstance(snapshot.scorer, LinearScorer)
    assert len(snapshot.scorer.features.landmarks) > 0
    assert snapshot.scorer.base is not None
    parts = snapshot.encode()
    return ModelSnapshot.decode(parts.header, parts.arms)


@pytest.fixture(scope="module")
def snapshots() -> list[ModelSnapshot]:
    return [
        ModelSnapshot.prior(),
        learned(ModelSpec("default"), 40, 1),
        learned(ModelSpec("default"), 1500, 2),
        curved(700),
    ]


value = st.one_of(
    st.floats(-100, 100), st.sampled_from(["mobile", "desktop", "tv", ""]), st.just(float("nan")), st.booleans()
)
name = st.one_of(st.sampled_from(["age", "device"]), st.integers(0, 12).map("likes.{}".format))
context = st.dictionaries(name, value, max_size=14)


@pytest.mark.parametrize("policy", sorted(POLICIES))
@given(
    contexts=st.lists(context, min_size=1, max_size=9),
    arms=st.lists(st.sampled_from(ARMS), min_size=1, max_size=24, unique=True),
    which=st.integers(0, 3),
    minimum=st.sampled_from([None, 0.004]),
    new_arm_exposures=st.sampled_from([0, 70, 100_000]),
)
@settings(max_examples=60, deadline=None)
def test_together_is_one_by_one(
    snapshots: list[ModelSnapshot],
    policy: str,
    contexts: list[dict[str, Any]],
    arms: list[str],
    which: int,
    minimum: float | None,
    new_arm_exposures: int,
) -> None:
    spec = PolicySpec(
        name=policy,
        parameters={"weights": {"arm1": 2.0, "arm7": 1.0}},
        min_probability=minimum,
        new_arm_exposures=new_arm_exposures,
    )
    snapshot = snapshots[which]
    together = snapshot.distributions(tuple(arms), contexts, policy=spec)
    assert together == [snapshot.distribution(tuple(arms), one, policy=spec) for one in contexts]


def test_river_models_too() -> None:
    snapshot = learned(ModelSpec("river.linear_model.LogisticRegression"), 200, 3)
    contexts: list[Features] = [{"age": float(age), "device": "mobile"} for age in (20, 40, 60)]
    together = snapshot.distributions(ARMS, contexts, policy=PolicySpec())
    assert together == [snapshot.distribution(ARMS, one, policy=PolicySpec()) for one in contexts]

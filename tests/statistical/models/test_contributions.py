"""In a world that was planted, contributions say what was planted."""

from __future__ import annotations

import math
import random

import pytest

from online_models.contributions import contributions_of
from online_models.registry import make_model
from online_models.river_model import RiverModel

N = 3_000


def expected_reward(a: float, b: float) -> float:
    """A peak at a = 1, and more with b; it is a sum, so that the truth of each feature's part is known."""
    return 0.2 + 0.5 / (1.0 + (a - 1.0) ** 2) + 0.15 * math.tanh(b)


@pytest.mark.parametrize("seed", [1, 2, 3])
def test_contributions_find_what_a_curved_world_goes_by_and_leave_noise_alone(seed: int) -> None:
    rng = random.Random(seed)
    model = make_model("default")
    for _ in range(N):
        a, b, c = (rng.gauss(0.0, 1.0) for _ in range(3))
        x = {"a": a, "b": b, "c": c, "arm": "only"}
        model.learn_one(x, expected_reward(a, b) + rng.gauss(0.0, 0.1))
    assert not isinstance(model, RiverModel)
    scorer = model.scorer()
    high = contributions_of(scorer, "only", {"a": 1.0, "b": 1.0, "c": 1.5})
    low = contributions_of(scorer, "only", {"a": -1.0, "b": -1.0, "c": -1.5})
    for told, at in ((high, 1.0), (low, -1.0)):
        of_a = expected_reward(at, 0.0) - expected_reward(0.0, 0.0)
        of_b = expected_reward(0.0, at) - expected_reward(0.0, 0.0)
        assert told.by_feature["a"] == pytest.approx(of_a, abs=0.06)
        assert told.by_feature["b"] == pytest.approx(of_b, abs=0.04)
        assert told.by_feature["a"] * at > 0.0
        assert told.by_feature["b"] * at > 0.0
    for told in (high, low):
        assert sum(told.by_feature.values()) == pytest.approx(told.estimate - told.mean_estimate, abs=1e-6)
        assert abs(told.by_feature["c"]) < 0.05

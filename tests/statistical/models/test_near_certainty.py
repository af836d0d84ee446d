"""Where the right arm nearly always pays, everything learned says so: the model must not unlearn the rest."""

from __future__ import annotations

import numpy as np
import pytest

from benchmarks.bandit_cost import clusters
from cli.simulation.play import Settings, play
from personalization.policy_spec import PolicySpec


@pytest.mark.timeout(120)
@pytest.mark.parametrize("seed", [0, 1, 2])
def test_a_policy_that_is_always_right_stays_so(seed: int) -> None:
    """One arm is right in each of thirty clusters; a linear profile predicts their ones a little better."""
    table = clusters(6_000)
    rewards = play(table, Settings(PolicySpec()), np.arange(len(table)), seed).rewards
    assert rewards[1_000:].reshape(10, -1).mean(axis=1).min() > 0.98

"""Experiments that are watched all the time: false alarms are as rare as promised, and what is there is found."""

from __future__ import annotations

import math

import numpy as np
import pytest

from personalization.evaluation.betting import Counts, p_value_of_no_difference

pytestmark = pytest.mark.slow


def first_alarm(seed: int, n: int, share: float, lift: float, look_every: int) -> int | None:
    """After how many visitors it is first said that there is a difference.

    A share of .05 that drifts by half of it; a lift on it.
    """
    rng = np.random.default_rng(seed)
    base = 0.05 * (1 + 0.5 * np.sin(np.linspace(0.0, 6.0, n)))
    treated = rng.random(n) < share
    converted = rng.random(n) < base * np.where(treated, 1.0 + lift, 1.0)
    sums = [np.cumsum(part) for part in (treated, treated & converted, ~treated, ~treated & converted)]
    for look in range(look_every - 1, n, look_every):
        if p_value_of_no_difference({share: Counts(*(int(part[look]) for part in sums))}) <= 0.05:
            return look + 1
    return None


@pytest.mark.parametrize("share", [0.5, 0.95])
def test_of_experiments_without_a_difference_few_ever_find_one(share: float) -> None:
    n_experiments = 200
    alarms = sum(first_alarm(seed, 20_000, share, 0.0, 100) is not None for seed in range(n_experiments))
    print(f"{alarms} of {n_experiments} without a difference, {share:.0%} treated")
    assert alarms / n_experiments <= 0.05 + 2 * math.sqrt(0.05 * 0.95 / n_experiments)


def test_a_tenth_more_of_five_percent_is_found_in_four_of_five_experiments_of_150_000() -> None:
    n_experiments = 60
    found = sum(first_alarm(1_000 + seed, 150_000, 0.5, 0.10, 1_500) is not None for seed in range(n_experiments))
    print(f"{found} of {n_experiments} found")
    assert found / n_experiments >= 0.8

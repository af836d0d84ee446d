"""Confidence intervals."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from personalization.evaluation.intervals import normal, unskewed, wilson


@given(st.floats(0.0, 1.0), st.floats(0.01, 1e9))
def test_a_share_is_within_its_interval_and_the_interval_within_what_is_possible(share: float, n: float) -> None:
    low, high = wilson(share, n)
    assert 0.0 <= low <= share <= high <= 1.0


@pytest.mark.parametrize("n", range(1, 1000, 7))
def test_the_interval_of_nothing_begins_at_nothing_and_that_of_all_ends_at_all(n: int) -> None:
    assert wilson(0.0, n)[0] == 0.0
    assert wilson(1.0, n)[1] == 1.0


@given(st.floats(-20.0, 20.0), st.floats(0.001, 10.0), st.integers(2, 10**6))
def test_of_skewed_values_the_interval_is_longer_on_the_side_of_the_large_ones(
    skewness: float, error: float, n: int
) -> None:
    left, right = unskewed(0.0, error, skewness, n), unskewed(0.0, error, -skewness, n)
    assert (left.low, left.high) == pytest.approx((-right.high, -right.low))
    if abs(skewness) > 0.01:
        assert (left.high > -left.low) == (skewness > 0)


def test_values_that_are_seldom_large_have_their_mean_in_the_interval_as_often_as_is_said() -> None:
    """Of 200 rewards each, a twentieth of which weighs twenty times: .92 of normal intervals hold the mean."""
    rng, n = np.random.default_rng(1), 200
    values = (rng.random((4_000, n)) < 0.05) * 20.0 * (rng.random((4_000, n)) < 0.4)
    held = {normal: 0, unskewed: 0}
    for one in values:
        mean, error = float(one.mean()), float(one.std(ddof=1)) / math.sqrt(n)
        skewness = float(((one - mean) ** 3).mean() / (one.var() or 1.0) ** 1.5)
        for how, interval in ((normal, normal(mean, error)), (unskewed, unskewed(mean, error, skewness, n))):
            held[how] += interval.low <= 0.4 <= interval.high
    print({how.__name__: f"{n_held / len(values):.1%}" for how, n_held in held.items()})
    assert held[normal] < 0.93 * len(values)
    assert held[unskewed] > 0.94 * len(values)

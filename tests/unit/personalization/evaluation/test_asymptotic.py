"""The mean of what has no known bound: valid at every look once there are many."""

from __future__ import annotations

import math

import numpy as np
import pytest

from personalization.evaluation.asymptotic import Moments, half_width, mean_at_any_time, p_value_of


def test_moments_are_those_of_what_was_added() -> None:
    rng = np.random.default_rng(1)
    seen, numbers = Moments(0, 0.0, 0.0), rng.lognormal(1.0, 1.0, 500)
    for x in numbers:
        seen = seen.plus(float(x))
    assert (seen.mean, seen.variance) == pytest.approx((numbers.mean(), numbers.var()))


@pytest.mark.parametrize("narrowest_at", [1_000, 100_000])
def test_the_interval_is_narrowest_by_its_measure_where_that_was_asked_for(narrowest_at: float) -> None:
    """Against the best that any choice has there."""
    best = min(
        half_width(narrowest_at, 1.0, narrowest_at=narrowest_at * share) for share in np.geomspace(0.05, 20, 400)
    )
    assert half_width(narrowest_at, 1.0, narrowest_at=narrowest_at) == pytest.approx(best, rel=2e-3)


def test_of_skewed_numbers_that_are_looked_at_from_a_thousand_on_few_intervals_ever_miss_the_mean() -> None:
    rng, missed = np.random.default_rng(5), 0
    looks = np.arange(1_000, 20_001, 100)
    widths = np.array([half_width(float(n), 1.0) for n in looks])
    for _ in range(200):
        revenue = np.where(rng.random(20_000) < 0.3, rng.lognormal(3.0, 1.0, 20_000), 0.0)
        n = np.arange(1, 20_001)
        mean = np.cumsum(revenue) / n
        sd = np.sqrt(np.cumsum(revenue**2) / n - mean**2)
        truth = 0.3 * math.exp(3.5)
        missed += bool((np.abs(mean - truth)[looks - 1] > widths * sd[looks - 1]).any())
    assert missed / 200 <= 0.05 + 2 * math.sqrt(0.05 * 0.95 / 200)


def test_the_interval_is_around_the_mean() -> None:
    found = mean_at_any_time(Moments(10_000, 20_000.0, 50_000.0))
    assert found.mean == 2.0
    assert found.high - found.mean == pytest.approx(found.mean - found.low)
    assert found.high - found.mean == pytest.approx(half_width(10_000, 1.0))


CONFSEQ_BOUNDS = [
    (100.0, 0.05, 10_000.0, 90.84379437310581),
    (10_000.0, 0.05, 10_000.0, 303.52089903762527),
    (250_000.0, 0.05, 50_000.0, 1576.5152193364527),
    (30_000.0, 0.005, 50_000.0, 657.4139456970154),
]
"""Variance so far, level, where it is narrowest, and how far the sum may be from its mean: by confseq 0.0.11.

    boundaries.normal_mixture_bound(v, alpha, v_opt=narrowest_at, alpha_opt=alpha, is_one_sided=False)
"""


@pytest.mark.parametrize(("n", "alpha", "narrowest_at", "wanted"), CONFSEQ_BOUNDS)
def test_the_boundary_is_that_of_confseq(n: float, alpha: float, narrowest_at: float, wanted: float) -> None:
    assert n * half_width(n, 1.0, alpha, narrowest_at) == pytest.approx(wanted, rel=1e-9)


@pytest.mark.parametrize("alpha", [0.05, 0.005])
def test_the_p_value_is_the_level_at_the_interval_s_edge(alpha: float) -> None:
    half = half_width(20_000, 3.0, alpha, 50_000)
    assert p_value_of(half, 20_000, 3.0, alpha, 50_000) == pytest.approx(alpha, rel=1e-9)
    assert (
        p_value_of(1.01 * half, 20_000, 3.0, alpha, 50_000)
        < alpha
        < p_value_of(0.99 * half, 20_000, 3.0, alpha, 50_000)
    )
    assert p_value_of(0.0, 20_000, 3.0) == 1.0

"""A split that does not hold is noticed; one that does is not, however often it is looked at."""

from __future__ import annotations

import math

import numpy as np
import pytest

from personalization.evaluation.sample_ratio import Split, log_bayes_factor, p_value


def test_the_bayes_factor_is_that_of_a_dirichlet_prior() -> None:
    """Of two visitors on the same side of an even split: E[θ²] / ¼ for θ ~ Beta(c/2, c/2)."""
    c = 10.0
    second_moment = (c / 2) * (c / 2 + 1) / (c * (c + 1))
    assert log_bayes_factor(Split((0.5, 0.5), (2, 0)), c) == pytest.approx(math.log(second_moment / 0.25))


def test_one_percent_too_many_on_a_side_is_noticed() -> None:
    found = p_value([Split((0.5, 0.5), (102_000, 98_000))])
    assert found is not None
    assert found < 0.001


def test_of_a_sound_split_that_is_looked_at_every_hundred_visitors_few_are_alarming() -> None:
    rng = np.random.default_rng(7)
    alarms = 0
    for _ in range(200):
        sides = np.cumsum(rng.random(20_000) < 0.05)
        alarms += any(
            (p_value([Split((0.95, 0.05), (n - int(sides[n - 1]), int(sides[n - 1])))]) or 1.0) <= 0.05
            for n in range(100, 20_001, 100)
        )
    assert alarms / 200 <= 0.05 + 2 * math.sqrt(0.05 * 0.95 / 200)


def test_splits_one_after_the_other_are_judged_by_what_each_said() -> None:
    """Half of the visitors on each side in all: what neither split says."""
    found = p_value([Split((0.9, 0.1), (9_000, 1_000)), Split((0.1, 0.9), (1_000, 9_000))])
    assert found == 1.0


def test_of_too_few_visitors_nothing_is_said() -> None:
    assert p_value([Split((0.95, 0.05), (99, 0))]) is None
    assert p_value([Split((0.95, 0.05), (100, 0))]) is not None
    assert p_value([]) is None


def test_a_side_too_small_to_be_expected_silences_no_alarm_about_the_others() -> None:
    found = p_value([Split((0.4999, 0.4999, 0.0002), (7_000, 5_000, 1))])
    assert found is not None
    assert found < 0.001

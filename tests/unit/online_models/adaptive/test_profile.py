from __future__ import annotations

import numpy as np

from online_models.adaptive.profile import best_of
from online_models.reward_model import FloatArray

COINS: FloatArray = (np.arange(2000) % 2.0).astype(np.float64)
RARE: FloatArray = (np.arange(2000) % 50 == 0).astype(np.float64)


def test_the_first_profile_leads_until_another_is_clearly_better() -> None:
    rng = np.random.default_rng(0)
    first = rng.random(400)
    assert best_of([first, first.copy()], COINS) == 0
    assert best_of([first, first - 0.001 * rng.normal(size=400)], COINS) == 0
    assert best_of([first, first + 0.1, first - 0.1], COINS) == 2


def test_what_is_gained_surely_but_hardly_at_all_is_not_worth_a_change() -> None:
    first = np.full(2000, 0.0006)
    assert best_of([first, np.full(2000, 0.0001)], COINS) == 0
    assert best_of([first, np.full(2000, 0.0001)], np.ones(2000)) == 0
    assert best_of([first, np.full(2000, 0.0001)], RARE) == 1  # where rewards are rare, it is much


def test_once_left_the_first_profile_comes_back_where_it_predicts_better() -> None:
    rng = np.random.default_rng(0)
    first = rng.random(400)
    a_little_better = first - 0.01 + 0.1 * rng.normal(size=400)  # by two standard errors
    assert best_of([first, a_little_better], COINS) == 0
    assert best_of([first, a_little_better], COINS, in_force=1) == 1
    assert best_of([first, first + 0.02], COINS, in_force=1) == 0


def test_of_profiles_that_predict_alike_the_most_rigid_is_taken() -> None:
    rng = np.random.default_rng(0)
    first = rng.random(400)
    good = first - 0.1
    alike = good + 0.01 * rng.normal(size=400)
    assert best_of([first, good, alike], COINS) == 2
    assert best_of([first, good, good + 0.01], COINS) == 1


def test_where_linear_ones_lead_the_flexible_one_must_be_clearly_and_materially_better() -> None:
    rng = np.random.default_rng(0)
    linear = rng.random(400)
    barely = linear - 0.0001  # surely, and hardly at all
    a_little = linear - 0.01 + 0.1 * rng.normal(size=400)  # by two standard errors
    assert best_of([linear.copy(), linear], COINS, in_force=1, flexible_leads=False) == 1
    assert best_of([barely, linear], COINS, in_force=1, flexible_leads=False) == 1
    assert best_of([a_little, linear], COINS, in_force=1, flexible_leads=False) == 1
    assert best_of([a_little, linear], COINS, in_force=0, flexible_leads=False) == 0
    assert best_of([linear - 0.1, linear], COINS, in_force=1, flexible_leads=False) == 0
    assert best_of([linear + 0.1, linear, linear], COINS, in_force=0, flexible_leads=False) == 2

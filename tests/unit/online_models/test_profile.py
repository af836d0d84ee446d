from __future__ import annotations

from collections.abc import Generator

import numpy as np
import pytest

from online_models.profile import best_of, left_out_errors


def by_hand(phi: np.ndarray, y: np.ndarray, block: int) -> np.ndarray:
    errors = np.empty(len(y))
    for start in range(0, len(y), block):
        out = np.zeros(len(y), bool)
        out[start : start + block] = True
        gram = phi[~out].T @ phi[~out] + np.eye(phi.shape[1])
        errors[out] = y[out] - phi[out] @ np.linalg.solve(gram, phi[~out].T @ y[~out])
    return errors


def finish(steps: Generator[float, int, np.ndarray], costs: list[float]) -> np.ndarray:
    while True:
        try:
            costs.append(next(steps))
        except StopIteration as done:
            result: np.ndarray = done.value
            return result


@pytest.mark.parametrize("block", [1, 4, 64])
@pytest.mark.parametrize(("n", "n_features"), [(7, 12), (90, 120), (70, 5), (600, 9)])
def test_errors_are_what_fitting_without_the_block_gives(n: int, n_features: int, block: int) -> None:
    rng = np.random.default_rng(n)
    phi, y = rng.normal(size=(n, n_features)), rng.normal(size=n)
    costs: list[float] = []
    errors = finish(left_out_errors(phi.astype(np.float32), y, block), costs)
    assert np.allclose(errors, by_hand(phi, y, block), atol=1e-3)
    assert min(costs) > 0.0
    assert len(costs) == (1 if n <= n_features else 1 + 2 * -(-n // 256))


COINS = np.arange(2000) % 2.0
RARE = (np.arange(2000) % 50 == 0) * 1.0


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

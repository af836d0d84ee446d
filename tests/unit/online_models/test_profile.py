from __future__ import annotations

from collections.abc import Generator

import numpy as np
import pytest

from online_models.profile import best_of, leave_one_out, leave_one_out_steps


def by_hand(phi: np.ndarray, y: np.ndarray) -> np.ndarray:
    errors = []
    for i in range(len(y)):
        rest = np.arange(len(y)) != i
        gram = phi[rest].T @ phi[rest] + np.eye(phi.shape[1])
        errors.append(y[i] - phi[i] @ np.linalg.solve(gram, phi[rest].T @ y[rest]))
    return np.array(errors)


def finish(steps: Generator[float, int, np.ndarray], costs: list[float]) -> np.ndarray:
    while True:
        try:
            costs.append(next(steps))
        except StopIteration as done:
            result: np.ndarray = done.value
            return result


@pytest.mark.parametrize(("n", "n_features"), [(7, 12), (40, 5), (600, 9)])
def test_leave_one_out_is_what_fitting_without_the_row_gives(n: int, n_features: int) -> None:
    rng = np.random.default_rng(n)
    phi, y = rng.normal(size=(n, n_features)), rng.normal(size=n)
    expected = by_hand(phi, y)
    assert np.allclose(leave_one_out(phi, y), expected)
    costs: list[float] = []
    errors = finish(leave_one_out_steps(phi.astype(np.float32), y), costs)
    assert np.allclose(errors, expected, atol=1e-4)
    assert min(costs) > 0.0
    assert len(costs) == (1 if n <= n_features else 1 + 2 * -(-n // 256))


def test_the_first_profile_leads_until_another_is_clearly_better() -> None:
    rng = np.random.default_rng(0)
    first = rng.random(400)
    assert best_of([first, first.copy()]) == 0
    assert best_of([first, first - 0.001 * rng.normal(size=400)]) == 0
    assert best_of([first, first + 0.1, first - 0.1]) == 2


def test_of_profiles_that_predict_alike_the_most_rigid_is_taken() -> None:
    rng = np.random.default_rng(0)
    first = rng.random(400)
    good = first - 0.1
    alike = good + 0.01 * rng.normal(size=400)
    assert best_of([first, good, alike]) == 2
    assert best_of([first, good, good + 0.01]) == 1

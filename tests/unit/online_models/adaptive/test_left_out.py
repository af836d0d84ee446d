from __future__ import annotations

from collections.abc import Generator

import numpy as np
import pytest

from online_models.adaptive.left_out import left_out_errors, squared_errors


def by_hand(phi: np.ndarray, variances: np.ndarray, y: np.ndarray, block: int) -> np.ndarray:
    errors = np.empty(len(y))
    for start in range(0, len(y), block):
        out = np.zeros(len(y), bool)
        out[start : start + block] = True
        gram = phi[~out].T @ phi[~out] + np.diag(1.0 / variances)
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
    phi, y = rng.normal(size=(n, n_features)), rng.normal(size=(3, n))
    variances = np.array([[1.0], [0.1], [0.01]]) * rng.uniform(0.5, 2.0, size=n_features)
    costs: list[float] = []
    errors = finish(left_out_errors(phi.astype(np.float32), variances, y, block), costs)
    for v in range(3):
        assert np.allclose(errors[v], by_hand(phi, variances[v], y[v], block), atol=1e-3)
    assert min(costs) > 0.0
    assert len(costs) == (3 if n <= n_features else 3 + 2 * -(-n // 256))


def test_each_arm_is_fitted_to_its_own_rows() -> None:
    rng = np.random.default_rng(0)
    arm = rng.integers(2, size=200).astype(np.int32)
    phi = np.ones((200, 1), np.float32)
    squared = finish(
        squared_errors(phi, np.full((1, 1), 100.0), arm, arm[None].astype(np.float64), np.ones(200, np.float32)), []
    )
    assert squared.shape == (1, 200)
    assert squared.max() < 1e-3

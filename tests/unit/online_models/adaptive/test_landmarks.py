from __future__ import annotations

import msgspec
import numpy as np

from online_models.adaptive.landmarks import JITTER, LENGTH_SCALE, Landmarks, drawn, landmarks_at


def some(n_rows: int, d: int, n: int, width: int | None = None, metric: np.ndarray | None = None) -> Landmarks:
    z = np.random.default_rng(n_rows).normal(size=(n_rows, d)).astype(np.float32)
    return landmarks_at(z[drawn(len(z), n, seed=1)], width or d, metric)


def kernel(a: np.ndarray, b: np.ndarray, metric: np.ndarray) -> np.ndarray:
    d = a.shape[1]
    a, b = a @ metric, b @ metric
    similar: np.ndarray = np.exp(-((a[:, None] - b[None]) ** 2).sum(2) / (2 * LENGTH_SCALE**2 * d))
    return similar


def test_products_of_features_are_the_kernel_where_there_are_landmarks() -> None:
    metric = np.array([[1.5, 0.2, 0.0], [0.2, 0.5, 0.1], [0.0, 0.1, 1.0]])
    z = np.random.default_rng(80).normal(size=(80, 3)).astype(np.float32)
    landmarks = landmarks_at(z[drawn(len(z), 80, seed=1)], 5, metric)
    phi = landmarks.features_of_many(z)
    exact = kernel(z.astype(np.float64), z.astype(np.float64), metric)
    smoothed = exact @ np.linalg.solve(exact + JITTER * np.eye(80), exact)
    assert np.abs(phi @ phi.T - smoothed).max() < 1e-3
    assert np.abs(phi @ phi.T - exact).max() < 2 * JITTER


def test_one_context_and_many_have_the_same_features() -> None:
    landmarks = some(300, 4, 64, width=16)
    z = np.zeros((7, 16), np.float32)
    z[:, :4] = np.random.default_rng(0).normal(size=(7, 4))
    together = landmarks.features(z)
    assert all((landmarks.features(z[i : i + 1]) == together[i]).all() for i in range(7))
    assert np.allclose(landmarks.features_of_many(z[:, :4]), together, atol=1e-4)


def test_gradients_are_what_differences_say() -> None:
    landmarks = some(200, 3, 50, metric=np.diag([2.0, 1.0, 0.3]))
    rng = np.random.default_rng(2)
    z = rng.normal(size=(6, 3)).astype(np.float32)
    weights = rng.normal(size=(6, 50)).astype(np.float32)
    step = 1e-2
    for axis in range(3):
        ahead, behind = z.copy(), z.copy()
        ahead[:, axis] += step
        behind[:, axis] -= step
        change = landmarks.features_of_many(ahead) - landmarks.features_of_many(behind)
        slope = (weights * change).sum(1) / (2 * step)
        assert np.allclose(landmarks.gradients(z, weights)[:, axis], slope, atol=0.02, rtol=0.02)


def test_equal_contexts_count_once_and_none_give_none() -> None:
    z = np.repeat(np.eye(3, dtype=np.float32), 40, axis=0)
    assert len(landmarks_at(z[drawn(len(z), 64, seed=0)], 3, None)) == 3
    assert len(landmarks_at(np.zeros((9, 0), np.float32), 16, None)) == 0
    assert len(landmarks_at(z[drawn(len(z), 0, seed=0)], 3, None)) == 0


def test_it_travels_as_bytes_and_bears_more_features() -> None:
    landmarks = some(100, 4, 32)
    again = Landmarks.load(msgspec.msgpack.decode(msgspec.msgpack.encode(landmarks.dump())))
    z = np.random.default_rng(3).normal(size=(5, 4)).astype(np.float32)
    assert (again.features(z) == landmarks.features(z)).all()
    wider = np.concatenate([z, np.ones((5, 12), np.float32)], axis=1)
    assert np.allclose(
        landmarks.relaid(np.arange(landmarks.directions.shape[1]), 16).features(wider),
        landmarks.features(z),
        atol=1e-6,
    )

"""What all arms have in common: one regression over context and arm features, fitted before the arms' own.

A visitor who likes everything is no news about one arm; and an arm never seen before gets its first guess from
here: by the context alone, or, where arms have features of their own, by context × arm features.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from scipy.linalg import blas

from online_models.reward_model import Float32Array

MAX_CROSSED = 256
"""With more products of context and arm features than this, arm features only add, without products."""


def crosses(width: int, n_arm_features: int) -> bool:
    """Whether there is room for the products."""
    return (1 + width) * (1 + n_arm_features) <= MAX_CROSSED


class SharedRegression:
    """One ridge regression over ψ(x, a): u(x) = [1, linear · z] and the arm's features g.

    Parameters
    ----------
    width
        L, of the linear block.
    arm_features
        g of every arm, shape (A, G), float32; G may be 0.
    """

    def __init__(self, width: int, arm_features: Float32Array) -> None:
        self.width, self.arm_features = width, arm_features
        n_arm_features = arm_features.shape[1]
        self.crossed = crosses(width, n_arm_features)
        n = (1 + width) * (1 + n_arm_features) if self.crossed else 1 + width + n_arm_features
        self.weights: Float32Array = np.zeros(n, np.float32)
        self.covariance: Float32Array = np.eye(n, dtype=np.float32)

    def rows(self, phi: Float32Array, arm: np.ndarray) -> Float32Array:
        """ψ of n rows, shape (n, ·)."""
        u = phi[:, : 1 + self.width]
        if not self.arm_features.shape[1]:
            return u
        g = self.arm_features[arm]
        if not self.crossed:
            return np.concatenate([u, g], axis=1)
        products = (g[:, :, None] * u[:, None, :]).reshape(len(u), -1)
        return np.concatenate([u, products], axis=1)

    def update(self, row: int, phi: Float32Array, target: float) -> float:
        """Learn one target; what the prediction before left of it."""
        psi = self.rows(phi[None], np.array([row]))[0]
        triangle = self.covariance.T
        gain = blas.ssymv(1.0, triangle, psi, lower=1)
        spread = 1.0 + float(gain @ psi)
        if not 1.0 <= spread < np.inf:
            self.covariance[:] = np.eye(len(psi), dtype=np.float32)
            return target - float(self.weights @ psi)
        left = target - float(self.weights @ psi)
        self.weights += gain * np.float32(left / spread)
        blas.ssyr(-1.0 / spread, gain, a=triangle, lower=1, overwrite_a=1)
        return left

    def fit(self, gram: np.ndarray, moment: np.ndarray) -> None:
        """Solve for all rows at once, from Σψψᵀ and Σψy."""
        covariance = np.linalg.inv(gram + np.eye(len(moment)))
        self.weights = (covariance @ moment).astype(np.float32)
        self.covariance = covariance.astype(np.float32)

    def base(self) -> Float32Array:
        """U, shape (1 + G, 1 + L): the prediction is [1, g] U u."""
        n_arm_features, n = self.arm_features.shape[1], 1 + self.width
        if self.crossed:
            return self.weights.reshape(1 + n_arm_features, n).copy()
        base = np.zeros((1 + n_arm_features, n), np.float32)
        base[0] = self.weights[:n]
        base[1:, 0] = self.weights[n:]
        return base

    def widen(self, width: int) -> None:
        """Make room for more context features."""
        fresh = SharedRegression(width, self.arm_features)
        if fresh.crossed != self.crossed:
            fresh.crossed = self.crossed
        n_blocks = 1 + self.arm_features.shape[1] if self.crossed else 1
        before = 1 + self.width
        at = np.concatenate([block * (1 + width) + np.arange(before) for block in range(n_blocks)])
        n = n_blocks * (1 + width)
        if not self.crossed:
            n_more = self.arm_features.shape[1]
            at = np.concatenate([at, n + np.arange(n_more)])
            n += n_more
        weights, covariance = self.weights, self.covariance
        self.weights, self.covariance = np.zeros(n, np.float32), np.eye(n, dtype=np.float32)
        self.weights[at] = weights
        self.covariance[at[:, None], at] = covariance
        self.width = width

    def add_arm(self, features: Float32Array | None) -> None:
        """g of one more arm, shape (G,); None: nothing is known of it."""
        if features is None:
            features = np.zeros(self.arm_features.shape[1], np.float32)
        self.arm_features = np.concatenate([self.arm_features, features[None]])

    def dump(self) -> dict[str, Any]:
        """Everything, as plain values."""
        return {
            "width": self.width,
            "crossed": self.crossed,
            "n_arm_features": self.arm_features.shape[1],
            "arm_features": self.arm_features.tobytes(),
            "n_arms": len(self.arm_features),
            "weights": self.weights.tobytes(),
            "covariance": self.covariance.tobytes(),
        }

    @classmethod
    def load(cls, state: dict[str, Any]) -> SharedRegression:
        """The inverse of ``dump``."""
        features = np.frombuffer(state["arm_features"], np.float32)
        loaded = cls(state["width"], features.reshape(state["n_arms"], state["n_arm_features"]).copy())
        loaded.crossed = state["crossed"]
        loaded.weights = np.frombuffer(state["weights"], np.float32).copy()
        n = len(loaded.weights)
        loaded.covariance = np.frombuffer(state["covariance"], np.float32).reshape(n, n).copy()
        return loaded

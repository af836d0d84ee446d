"""What all arms have in common: one regression over context and arm features, fitted before the arms' own.

A visitor who likes everything is no news about one arm; and an arm never seen before gets its first guess from
here: by the context alone, or, where arms have features of their own, by context × arm features and by how well the
two match (``matching``).
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import msgspec
import numpy as np
from numpy.typing import NDArray
from scipy.linalg import blas

from online_models.adaptive.arm_attributes import ArmAttributes
from online_models.adaptive.feature_map import FeatureMap
from online_models.adaptive.matching import Matching
from online_models.reward_model import Float32Array

MAX_CROSSED = 256
"""With more products of context and arm features than this, arm features only add, without products."""


def crosses(width: int, n_arm_features: int) -> bool:
    """Whether there is room for the products."""
    return (1 + width) * (1 + n_arm_features) <= MAX_CROSSED


class SharedRegression:
    """One ridge regression over ψ(x, a): u(x) = [1, linear · z], the arm's features g, and the P matches C_a u.

    Parameters
    ----------
    features
        φ, of which u are the first 1 + L.
    attributes
        Of the arms.
    matching
        The matches.
    """

    def __init__(self, features: FeatureMap, attributes: ArmAttributes, matching: Matching) -> None:
        self.width, self.attributes, self.matching = features.width, attributes, matching
        self.crossed = crosses(self.width, attributes.width)
        n = self._n_base(self.width) + len(matching.pairs)
        self.weights: Float32Array = np.zeros(n, np.float32)
        self.covariance: Float32Array = np.eye(n, dtype=np.float32)
        self._layout = -1
        self.rescale(features)

    def _n_base(self, width: int) -> int:
        n_arm_features = self.attributes.width
        return (1 + width) * (1 + n_arm_features) if self.crossed else 1 + width + n_arm_features

    def rescale(self, features: FeatureMap) -> None:
        """The features are scaled anew, or there are more of them."""
        if not self.matching.pairs:
            return
        layout = features.encoder.n_dims
        if self._layout != layout:
            self._layout = layout
            self._places = self.matching.places(features.encoder, self.attributes.terms)
        self._coefficients = self.matching.coefficients(features, self._places)

    def rows(self, phi: Float32Array, arm: np.ndarray) -> Float32Array:
        """ψ of n rows, shape (n, ·), of their φ or of the first 1 + L features alone."""
        u = phi[:, : 1 + self.width]
        parts = [u]
        if self.attributes.width:
            g = self.attributes.encoded[arm]
            width = g.shape[1] * u.shape[1]  # said, not −1: numpy cannot infer it where there are no rows
            parts.append((g[:, :, None] * u[:, None, :]).reshape(len(u), width) if self.crossed else g)
        if self.matching.pairs:
            parts.append((self._coefficients[arm] @ u[:, :, None])[:, :, 0])
        return np.concatenate(parts, axis=1) if len(parts) > 1 else u

    def row(self, phi: Float32Array, arm: int) -> Float32Array:
        """ψ of one row, shape (·,): the same bits as ``rows`` gives, in a quarter of the time."""
        n, attributes = 1 + self.width, self.attributes
        u = phi[:n]
        psi: Float32Array = np.empty(len(self.weights), np.float32)
        psi[:n] = u
        if attributes.width:
            g = attributes.encoded[arm]
            if self.crossed:
                np.multiply(g[:, None], u, out=psi[n : n + n * len(g)].reshape(len(g), n))
            else:
                psi[n : n + len(g)] = g
        if self.matching.pairs:
            self._coefficients[arm].dot(u, out=psi[len(psi) - len(self.matching.pairs) :])
        return psi

    def update(self, row: int, phi: Float32Array, target: float) -> float:
        """Learn one target; what the prediction before left of it."""
        return self._update(self.row(phi, row), target)[0]

    def update_weighted(self, row: int, phi: Float32Array, target: float, root: float) -> tuple[float, float]:
        """Learn one target that counts for w = ``root``².

        Returns
        -------
        tuple
            What the prediction before left of it, and what one that knows w − 1 of the w leaves: for the arm to
            learn, as in a fit of all rows (``rebuild``). Both would be taught the whole of it otherwise.
        """
        psi = self.row(phi, row) * np.float32(root)
        left, spread = self._update(psi, target * root)
        left /= root
        weight = root * root
        others = max(0.0, weight - 1.0) / weight
        return left, left / (1.0 + others * (spread - 1.0))

    def _update(self, psi: Float32Array, target: float) -> tuple[float, float]:
        triangle = self.covariance.T
        gain = blas.ssymv(1.0, triangle, psi, lower=1)
        spread = 1.0 + float(gain.dot(psi))
        left = target - float(self.weights.dot(psi))
        if not 1.0 <= spread < np.inf:
            self.covariance[:] = np.eye(len(psi), dtype=np.float32)
            return left, 1.0
        self.weights += gain * np.float32(left / spread)
        blas.ssyr(-1.0 / spread, gain, a=triangle, lower=1, overwrite_a=1)
        return left, spread

    def fit(self, gram: np.ndarray, moment: np.ndarray) -> None:
        """Solve for all rows at once, from Σψψᵀ and Σψy."""
        covariance = np.linalg.inv(gram + np.eye(len(moment)))
        self.weights = (covariance @ moment).astype(np.float32)
        self.covariance = covariance.astype(np.float32)

    def base(self) -> Float32Array:
        """U, shape (1 + G, 1 + L): without matches the prediction is [1, g] U u."""
        n_arm_features, n = self.attributes.width, 1 + self.width
        if self.crossed:
            return self.weights[: self._n_base(self.width)].reshape(1 + n_arm_features, n).copy()
        base = np.zeros((1 + n_arm_features, n), np.float32)
        base[0] = self.weights[:n]
        base[1:, 0] = self.weights[n : n + n_arm_features]
        return base

    def of_arms(self, arm: NDArray[np.int32]) -> Float32Array:
        """What is added to every estimate is this times u, shape (n, 1 + L), of the arms at these rows."""
        base = self.base()
        found: Float32Array = base[0] + self.attributes.encoded[arm] @ base[1:]
        if self.matching.pairs:
            found += (self._coefficients[arm] * self.slopes()[:, None]).sum(axis=1)
        return found

    def slopes(self) -> Float32Array:
        """Weights of the matches, shape (P,)."""
        return self.weights[self._n_base(self.width) :].copy()

    def relay(self, features: FeatureMap, kept: NDArray[np.intp]) -> None:
        """Only these of the context features stay, and then there is room for others."""
        before, width = 1 + self.width, features.width
        n_arm_features = self.attributes.width
        n_blocks = 1 + n_arm_features if self.crossed else 1
        block = np.concatenate([[0], 1 + kept])
        n_more = len(self.matching.pairs) + (0 if self.crossed else n_arm_features)
        n = n_blocks * (1 + width) + n_more
        more = np.arange(n_more)
        source = np.concatenate([i * before + block for i in range(n_blocks)] + [n_blocks * before + more])
        at = np.concatenate(
            [i * (1 + width) + np.arange(len(block)) for i in range(n_blocks)] + [n - n_more + more]
        )
        weights, covariance = self.weights, self.covariance
        self.weights, self.covariance = np.zeros(n, np.float32), np.eye(n, dtype=np.float32)
        self.weights[at] = weights[source]
        self.covariance[at[:, None], at] = covariance[source[:, None], source]
        self.width = width
        self._layout = -1
        self.rescale(features)

    def add_arm(self, features: FeatureMap, raw: Mapping[str, Any] | None) -> None:
        """One more arm, with these raw features."""
        self.attributes.add(raw)
        if self.matching.pairs:
            places = self.matching.places(features.encoder, self.attributes.terms[-1:])
            coefficients = self.matching.coefficients(features, places)
            self._places = self._places.followed_by(places)
            self._coefficients = np.concatenate([self._coefficients, coefficients])

    def replace_arm(self, features: FeatureMap, row: int, raw: Mapping[str, Any] | None) -> None:
        """Another arm took this one's place."""
        self.attributes.replace(row, raw)
        self._layout = -1
        self.rescale(features)

    def dump(self) -> dict[str, Any]:
        """Everything but the features, as plain values."""
        return {
            "width": self.width,
            "crossed": self.crossed,
            "attributes": self.attributes.dump(),
            "matching": msgspec.to_builtins(self.matching),
            "weights": self.weights.tobytes(),
            "covariance": self.covariance.tobytes(),
        }

    @classmethod
    def load(cls, state: dict[str, Any], features: FeatureMap) -> SharedRegression:
        """The inverse of ``dump``."""
        matching = msgspec.convert(state["matching"], Matching)
        loaded = cls(features, ArmAttributes.load(state["attributes"]), matching)
        loaded.width, loaded.crossed = state["width"], state["crossed"]
        loaded.weights = np.frombuffer(state["weights"], np.float32).copy()
        n = len(loaded.weights)
        loaded.covariance = np.frombuffer(state["covariance"], np.float32).reshape(n, n).copy()
        return loaded

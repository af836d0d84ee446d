"""One Bayesian linear regression per arm over one feature map, its uncertainty carried by samples.

Per arm P = (I + Σφφᵀ)⁻¹, θ and B samples S of the posterior around zero; the prior variances are inside φ. One
outcome costs one symmetric rank-one update: k = Pφ/(1 + φᵀPφ), θ += k(y − θᵀφ), S += (ε − Sφ)kᵀ with
ε ~ N(0, I). Then mean((Sφ)²) estimates φᵀPφ, so that scoring K arms is one matrix-vector product and the decider
never sees P. Of P only one triangle is kept up to date.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.linalg import blas

from online_models.adaptive.feature_map import FeatureMap
from online_models.adaptive.landmarks import Landmarks
from online_models.adaptive.normals import normals
from online_models.adaptive.profile import Profile
from online_models.adaptive.row_copies import RowCopies
from online_models.adaptive.shared_regression import SharedRegression
from online_models.frozen_encoder import FrozenEncoder
from online_models.reward_model import Float32Array

GROWTH = 16
"""Room for arms is added in steps of this many, so that growth is rare."""

MAX_WIDENING = 16.0
"""Of a deviation, in those of the prior. An arm that is never chosen is never narrowed, and while nothing is fitted
anew (``Plan.held``) a hundred widenings in a row would take it beyond what single precision holds."""


class ArmRegressions:
    """The regressions of all arms, learned one outcome at a time.

    Parameters
    ----------
    features
        φ.
    profile
        The prior inside φ.
    shared
        What arms have in common, fitted first; None: nothing.
    offset
        m₀, the reward expected of everything before anything was learned.
    n_samples
        B.
    seed
        Of the samples.

    Attributes
    ----------
    weights
        θ and S, shape (≥ A, 1 + B, F), float32.
    covariance
        P, shape (≥ A, F, F), float32, one triangle.
    """

    def __init__(
        self,
        features: FeatureMap,
        profile: Profile,
        shared: SharedRegression | None,
        offset: float,
        n_samples: int,
        seed: int,
    ) -> None:
        self.features, self.profile, self.shared, self.offset = features, profile, shared, offset
        self.n_samples, self.seed = n_samples, seed
        self.n_arms = 0
        self.weights: Float32Array = np.zeros((0, 1 + n_samples, features.n_features), np.float32)
        self.covariance: Float32Array = np.zeros((0, features.n_features, features.n_features), np.float32)
        self._copies = RowCopies()

    def frozen_weights(self) -> Float32Array:
        """θ and S of the A arms as they are now, shape (A, 1 + B, F), read-only."""
        return self._copies.of(self.weights, self.n_arms)

    def add_arm(self, arm: str, arm_features: Mapping[str, Any] | None = None) -> None:
        """One more arm, at its prior, with its raw features where it has some."""
        if self.n_arms >= len(self.weights):
            self.weights = _extended(self.weights)
            self.covariance = _extended(self.covariance)
        self.n_arms += 1
        self.set_prior(self.n_arms - 1, arm)
        if self.shared is not None and self.n_arms > len(self.shared.attributes):
            self.shared.add_arm(self.features, arm_features)

    def replace_arm(self, row: int, arm: str, arm_features: Mapping[str, Any] | None) -> None:
        """Another arm takes the place at ``row``."""
        self.set_prior(row, arm)
        if self.shared is not None:
            self.shared.replace_arm(self.features, row, arm_features)

    def rescale(self, features: FeatureMap) -> None:
        """The same features scaled anew, or with more of the linear ones in use."""
        self.features = features
        if self.shared is not None:
            self.shared.rescale(features)

    def reserve(self, n_arms: int) -> None:
        """Make room for so many arms at once."""
        n_features = self.features.n_features
        self.weights = np.zeros((n_arms, 1 + self.n_samples, n_features), np.float32)
        self.covariance = np.zeros((n_arms, n_features, n_features), np.float32)

    def set_prior(self, row: int, arm: str) -> None:
        """Forget what was learned of the arm at ``row``; it is ``arm`` now."""
        n_features = self.features.n_features
        self._copies.changed(row)
        self.weights[row, 0] = 0.0
        self.weights[row, 1:] = normals(self.seed, arm, 0, shape=(self.n_samples, n_features))
        self.covariance[row] = np.eye(n_features, dtype=np.float32)

    def update(self, row: int, phi: Float32Array, reward: float, noise: Float32Array, root: float = 1.0) -> float:
        """Learn one reward of the arm at ``row``; what was predicted is ``reward`` minus the result.

        Parameters
        ----------
        phi
            Shape (F,).
        noise
            Shape (1 + B,); the first place is overwritten.
        root
            √w, the square root of the reward's weight: √w·φ and √w·y are learned in place of φ and y, which is what
            learning them w times comes to.

        Returns
        -------
        float
            reward − prediction, NaN where numbers broke down: the arm is at its prior again then.
        """
        target = reward - self.offset
        if root == 1.0:
            if self.shared is not None:
                target = self.shared.update(row, phi, target)
            return self._update(row, phi, target, noise)
        left = target
        if self.shared is not None:
            left, target = self.shared.update_weighted(row, phi, target, root)
        return left - target + self._update(row, phi * np.float32(root), target * root, noise) / root

    def _update(self, row: int, phi: Float32Array, target: float, noise: Float32Array) -> float:
        weights, triangle = self.weights[row], self.covariance[row].T
        gain = blas.ssymv(1.0, triangle, phi, lower=1)
        spread = 1.0 + float(gain.dot(phi))  # `@` costs half a microsecond more a call
        if not 1.0 <= spread < np.inf:  # rounding has cost P its definiteness
            self.covariance[row] = np.eye(len(phi), dtype=np.float32)
            gain = phi.copy()
            spread = 1.0 + float(gain @ phi)
        noise[0] = target
        step = noise - weights.dot(phi)
        error = float(step[0])
        blas.sger(1.0 / spread, gain, step, a=weights.T, overwrite_a=1)
        self._copies.changed(row)
        blas.ssyr(-1.0 / spread, gain, a=triangle, lower=1, overwrite_a=1)
        return error

    def inflate(self, factor: float) -> None:
        """Widen every arm's deviation by ``factor``, the estimates staying: what is coming counts for more.

        An arm whose deviation is ``MAX_WIDENING`` times the prior's already stays as it is.
        """
        variances = self.covariance.diagonal(axis1=1, axis2=2)
        bearable = np.maximum.reduce(variances, axis=1, initial=0.0) <= (MAX_WIDENING / factor) ** 2
        if bearable.all():
            self.covariance *= np.float32(factor * factor)
            self.weights[:, 1:] *= np.float32(factor)
        else:
            self.covariance[bearable] *= np.float32(factor * factor)
            self.weights[bearable, 1:] *= np.float32(factor)
        self._copies.changed_all()

    def widen(self, width: int, arms: list[str]) -> None:
        """Make room for more linear features; they begin at their prior."""
        self.relay(np.arange(self.features.width), width, self.features.encoder, arms, width)

    def relay(
        self, kept: NDArray[np.intp], width: int, encoder: FrozenEncoder, arms: list[str], *domain: int | str
    ) -> None:
        """Only these of the linear features stay, in this order, and then there is room for others, at their prior.

        What the others knew is left out, as if their weights were not known: P keeps its rows and columns.

        Parameters
        ----------
        kept
            Indices of linear features, ascending.
        width
            Room for linear features from now on.
        encoder
            What gives the z-scores from now on.
        domain
            Of the random numbers.
        """
        features = self.features
        n, before, n_features = len(kept), features.width, features.n_features
        grown = n_features + width - before
        source = np.concatenate([[0], 1 + kept, np.arange(1 + before, n_features)])
        at = np.concatenate([np.arange(1 + n), np.arange(1 + width, grown)])
        new = np.arange(1 + n, 1 + width)
        self.features = features.relaid(kept, width, encoder)
        weights, covariance = self.weights, self.covariance
        self.weights = np.zeros((len(weights), 1 + self.n_samples, grown), np.float32)
        self.covariance = np.zeros((len(weights), grown, grown), np.float32)
        self.weights[..., at] = weights[..., source]
        self._copies = RowCopies()
        for row in range(len(covariance)):  # one at a time: a copy of all of P may be what memory has no room for
            self.covariance[row, at[:, None], at] = covariance[row, source[:, None], source]
        self.covariance[:, new, new] = 1.0
        for row, arm in enumerate(arms):
            self.weights[row, 1:, new] = normals(self.seed, arm, *domain, shape=(self.n_samples, len(new))).T
        if self.shared is not None:
            self.shared.relay(self.features, kept)

    def dump(self) -> dict[str, Any]:
        """Everything but the encoder, as plain values."""
        n = self.n_arms
        features = self.features
        return {
            "n_arms": n,
            "width": features.width,
            "linear": features.linear,
            "landmarks": features.landmarks.dump(),
            "amplitude": features.amplitude,
            "profile": list(self.profile),
            "offset": self.offset,
            "weights": self.weights[:n].tobytes(),
            "covariance": self.covariance[:n].tobytes(),
            "shared": self.shared.dump() if self.shared is not None else None,
        }

    @classmethod
    def load(cls, state: dict[str, Any], encoder: Any, n_samples: int, seed: int) -> ArmRegressions:
        """The inverse of ``dump``."""
        landmarks = Landmarks.load(state["landmarks"])
        features = FeatureMap(encoder, state["width"], state["linear"], landmarks, state["amplitude"])
        shared = SharedRegression.load(state["shared"], features) if state["shared"] is not None else None
        loaded = cls(features, Profile(*state["profile"]), shared, state["offset"], n_samples, seed)
        n, n_features = state["n_arms"], features.n_features
        loaded.n_arms = n
        weights, covariance = (np.frombuffer(state[part], np.float32) for part in ("weights", "covariance"))
        loaded.weights = weights.reshape(n, 1 + n_samples, n_features).copy()
        loaded.covariance = covariance.reshape(n, n_features, n_features).copy()
        return loaded


def _extended(array: Float32Array) -> Float32Array:
    return np.concatenate([array, np.zeros((GROWTH, *array.shape[1:]), array.dtype)])

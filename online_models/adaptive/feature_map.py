"""From a raw context to the features a linear model works on: intercept, z-scores, a kernel at landmarks."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from online_models.adaptive.landmarks import Landmarks, no_landmarks
from online_models.frozen_encoder import FrozenEncoder
from online_models.reward_model import Float32Array, FloatArray

LINEAR_SCALE = 2.5
"""The z-scores enter as 2.5/√d, so that one prior precision fits contexts of any width."""

INTERCEPT = 0.1**0.5
"""Beside landmarks, else 1: what an arm brought in one place says little about places unlike it."""


class FeatureMap:
    """φ(x) = [intercept, linear · z, amplitude · landmark features of z], an immutable function of arrays.

    Parameters
    ----------
    encoder
        Raw features → d z-scores.
    width
        Room L ≥ d of the linear block; what is beyond d is 0.
    linear
        Factor of the z-scores.
    landmarks
        D features that curve; D may be 0.
    amplitude
        Their factor.
    """

    __slots__ = ("amplitude", "encoder", "intercept", "landmarks", "linear", "n_features", "width")

    def __init__(
        self, encoder: FrozenEncoder, width: int, linear: float, landmarks: Landmarks, amplitude: float
    ) -> None:
        self.encoder, self.width, self.linear = encoder, width, linear
        self.landmarks, self.amplitude = landmarks, amplitude
        self.intercept = INTERCEPT if len(landmarks) else 1.0
        self.n_features = 1 + width + len(landmarks)

    def with_encoder(self, encoder: FrozenEncoder, linear: float) -> FeatureMap:
        """The same landmarks over another scaling."""
        return FeatureMap(encoder, self.width, linear, self.landmarks, self.amplitude)

    def relaid(self, kept: NDArray[np.intp], width: int, encoder: FrozenEncoder) -> FeatureMap:
        """The same over these of the z-scores, which another encoder gives, with room for ``width``."""
        return FeatureMap(encoder, width, self.linear, self.landmarks.relaid(kept, width), self.amplitude)

    def encode_all(self, contexts: Sequence[Mapping[Any, Any]]) -> Float32Array:
        """φ of B contexts, shape (B, F): each the same bits as alone."""
        if len(contexts) == 1:
            return self.encode(contexts[0])[None]
        z = self.encoder.encode_all(contexts)
        width, d = self.width, z.shape[1]
        phi = np.zeros((len(contexts), self.n_features), np.float32)
        phi[:, 0] = self.intercept
        np.multiply(z, self.linear, out=phi[:, 1 : 1 + d])
        if len(self.landmarks):
            np.multiply(self.landmarks.features(z), self.amplitude, out=phi[:, 1 + width :])
        return phi

    def encode(self, context: Mapping[Any, Any]) -> Float32Array:
        """φ(context), shape (F,)."""
        return self._of_one(self.encoder.encode(context))

    def encode_raw(self, raw: FloatArray) -> Float32Array:
        """φ of one raw row of the encoder's width as ``Encoder.learn`` gives it, shape (F,): for learning."""
        return self._of_one(self.encoder.scale_one(raw))

    def _of_one(self, z: Float32Array) -> Float32Array:
        phi = np.zeros(self.n_features, np.float32)
        phi[0] = self.intercept
        np.multiply(z, self.linear, out=phi[1 : 1 + len(z)])
        if len(self.landmarks):
            curved = phi[1 + self.width :]
            self.landmarks.write_features(z, curved)
            curved *= self.amplitude
        return phi

    def from_raw(self, raw: np.ndarray) -> Float32Array:
        """φ of many raw rows at once, shape (n, F), by one matrix product: for fitting, not for deciding."""
        phi = np.zeros((len(raw), self.n_features), np.float32)
        z = self._write_linear(raw, phi)
        if len(self.landmarks):
            curved = self.landmarks.features_of_many(z)
            np.multiply(curved, np.float32(self.amplitude), out=phi[:, 1 + self.width :])
        return phi

    def linear_from_raw(self, raw: np.ndarray) -> Float32Array:
        """The first 1 + L features of many raw rows, shape (n, 1 + L), as ``from_raw`` gives them: a shared
        regression looks at no others, and the landmarks are most of the work."""
        u = np.zeros((len(raw), 1 + self.width), np.float32)
        self._write_linear(raw, u)
        return u

    def _write_linear(self, raw: np.ndarray, phi: Float32Array) -> Float32Array:
        """Intercept and linear block to their places in φ; the z-scores."""
        z = self.encoder.scale(raw)
        phi[:, 0] = self.intercept
        np.multiply(z, np.float32(self.linear), out=phi[:, 1 : 1 + z.shape[1]])
        return z


def feature_map(
    encoder: FrozenEncoder, width: int, linear: float, random: float = 0.0, landmarks: Landmarks | None = None
) -> FeatureMap:
    """φ whose weights have variance 1 a priori.

    Parameters
    ----------
    linear, random
        Variances of the two blocks; random = 0: without landmarks.
    """
    if landmarks is None or not random:
        landmarks = no_landmarks(width)
    factor = LINEAR_SCALE * (linear / max(1, encoder.n_dims)) ** 0.5
    return FeatureMap(encoder, width, factor, landmarks, random**0.5)

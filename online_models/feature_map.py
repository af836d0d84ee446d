"""From a raw context to the features a linear model works on: intercept, z-scores, random Fourier features."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from online_models.encoding import FrozenEncoder
from online_models.reward_model import Float32Array, FloatArray

LINEAR_SCALE = 2.5
"""The z-scores enter as 2.5/√d, so that one prior precision fits contexts of any width."""

LENGTH_SCALE = 0.8
"""Of the random features' Gaussian kernel, in units of √d: two typical z-scored contexts are √(2d) apart."""


class FeatureMap:
    """φ(x) = [1, linear · z, amplitude · cos(Wz + b)], an immutable function of arrays.

    Parameters
    ----------
    encoder
        Raw features → d z-scores.
    width
        Room L ≥ d of the linear block; what is beyond d is 0.
    linear
        Factor of the z-scores.
    directions
        W, shape (D, L), float32; D may be 0.
    phases
        b, shape (D,), float32.
    amplitude
        Factor of the D cosines.

    References
    ----------
    Rahimi and Recht (2007), Random Features for Large-Scale Kernel Machines; Yu et al. (2016), Orthogonal
    Random Features.
    """

    __slots__ = ("amplitude", "directions", "encoder", "linear", "n_features", "phases", "width")

    def __init__(
        self,
        encoder: FrozenEncoder,
        width: int,
        linear: float,
        directions: Float32Array,
        phases: Float32Array,
        amplitude: float,
    ) -> None:
        self.encoder, self.width, self.linear = encoder, width, linear
        self.directions, self.phases, self.amplitude = directions, phases, amplitude
        self.n_features = 1 + width + len(phases)

    def with_encoder(self, encoder: FrozenEncoder, linear: float) -> FeatureMap:
        """The same random features over another scaling."""
        return FeatureMap(encoder, self.width, linear, self.directions, self.phases, self.amplitude)

    def encode_all(self, contexts: Sequence[Mapping[Any, Any]]) -> Float32Array:
        """φ of B contexts, shape (B, F): each the same bits as alone."""
        z = self.encoder.encode_all(contexts)
        width, n_rows = self.width, len(contexts)
        phi = np.zeros((n_rows, self.n_features), np.float32)
        phi[:, 0] = 1.0
        if len(self.phases):
            padded = np.zeros((n_rows, width, 1), np.float32)
            padded[:, : z.shape[1], 0] = z
            angles = np.matmul(self.directions, padded)[:, :, 0]
            angles += self.phases
            np.cos(angles, out=angles)
            np.multiply(angles, np.float32(self.amplitude), out=phi[:, 1 + width :])
        np.multiply(z, np.float32(self.linear), out=phi[:, 1 : 1 + z.shape[1]])
        return phi

    def encode(self, context: Mapping[Any, Any]) -> Float32Array:
        """φ(context), shape (F,)."""
        phi: Float32Array = self.encode_all([context])[0]
        return phi

    def from_raw(self, raw: np.ndarray) -> Float32Array:
        """φ of many raw rows at once, shape (n, F), by one matrix product: for fitting, not for deciding."""
        z = self.encoder.scale(raw)
        phi = np.zeros((len(raw), self.n_features), np.float32)
        phi[:, 0] = 1.0
        d, width = z.shape[1], self.width
        if len(self.phases):
            angles = z @ self.directions[:, :d].T
            angles += self.phases
            np.cos(angles, out=angles)
            np.multiply(angles, np.float32(self.amplitude), out=phi[:, 1 + width :])
        np.multiply(z, np.float32(self.linear), out=phi[:, 1 : 1 + d])
        return phi


def feature_map(
    encoder: FrozenEncoder,
    width: int,
    linear: float,
    random: float,
    n_random: int,
    metric: FloatArray | None,
    seed: int,
) -> FeatureMap:
    """φ whose weights have variance 1 a priori.

    Parameters
    ----------
    linear, random
        Variances of the two blocks; random = 0: without.
    n_random
        D.
    metric
        Shape (d', d') with d' ≤ d, applied to the first d' z-scores before the random directions; None: none.
    """
    d = max(1, encoder.n_dims)
    n_random = n_random if random else 0
    directions = np.zeros((n_random, width), np.float32)
    phases = np.zeros(n_random, np.float32)
    if n_random:
        drawn, phases = orthogonal_directions(d, n_random, seed)
        if metric is not None:
            known = len(metric)
            drawn[:, :known] = drawn[:, :known] @ metric
        directions[:, :d] = drawn
    amplitude = (2.0 * random / max(1, n_random)) ** 0.5
    return FeatureMap(encoder, width, LINEAR_SCALE * (linear / d) ** 0.5, directions, phases, amplitude)


def orthogonal_directions(d: int, n: int, seed: int) -> tuple[FloatArray, Float32Array]:
    """W, shape (n, d), from orthogonal blocks with the lengths of Gaussian rows, and phases b, shape (n,)."""
    rng = np.random.default_rng([seed, d])
    blocks = []
    for _ in range(-(-n // d)):
        block, _ = np.linalg.qr(rng.standard_normal((d, d)))
        blocks.append(block * np.sqrt(rng.chisquare(d, d))[:, None])
    directions = np.concatenate(blocks)[:n] / (LENGTH_SCALE * d**0.5)
    return directions, rng.uniform(0.0, 2.0 * np.pi, n).astype(np.float32)

"""Curved features: a Gaussian kernel at contexts that were really seen."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.linalg import lapack

from online_models.reward_model import Float32Array, FloatArray

LENGTH_SCALE = 0.75
"""Of the kernel, in units of √d: two typical z-scored contexts are √(2d) apart."""

JITTER = 0.01
"""On the kernel matrix of the landmarks: its smallest eigenvalues are rounding, and single precision has to bear
their inverse. A tenth costs .02 on letters, a third of it gains nothing."""


@dataclass(frozen=True, slots=True)
class Landmarks:
    """φ(z) = R k(z), k_j(z) = exp(−½|T(z − c_j)|²), RᵀR = (K + εI)⁻¹: φ(z)·φ(z') is about exp(−½|T(z − z')|²).

    Attributes
    ----------
    directions
        TᵀT c_j of the D landmarks and, below them, the r rows of T itself: shape (D + r, L), float32.
    half
        ½|T c_j|², shape (D,), float32.
    whitening
        R, lower triangular, shape (D, D), float32.

    References
    ----------
    Williams and Seeger (2001), Using the Nyström Method to Speed Up Kernel Machines; Yang et al. (2012), Nyström
    Method vs Random Fourier Features.
    """

    directions: Float32Array
    half: Float32Array
    whitening: Float32Array

    def __len__(self) -> int:
        """The number of landmarks, D."""
        return len(self.half)

    def features(self, z: Float32Array) -> Float32Array:
        """φ of contexts of any width d ≤ L, shape (B, D): each the same bits as alone, one after the other."""
        features: Float32Array = np.empty((len(z), len(self.half)), np.float32)
        for row, context in enumerate(z):
            self.write_features(context, features[row])
        return features

    def write_features(self, context: Float32Array, out: Float32Array) -> None:
        """Write φ of one context, shape (d,), to ``out``, shape (D,).

        In calls that take vectors: at these sizes the products are all the cost.
        """
        n = len(self.half)
        projected = self.directions[:, : len(context)].dot(context)
        kernel, rest = projected[:n], projected[n:]
        kernel -= self.half
        kernel -= 0.5 * float(rest.dot(rest))
        np.exp(kernel, out=kernel)
        self.whitening.dot(kernel, out=out)

    def features_of_many(self, z: Float32Array) -> Float32Array:
        """φ of contexts of any width d ≤ L, shape (n, D), by matrix products: for fitting, not for deciding."""
        kernel = self._kernel(z @ self.directions[:, : z.shape[1]].T)
        features: Float32Array = kernel @ self.whitening.T
        return features

    def gradients(self, z: Float32Array, weights: Float32Array) -> Float32Array:
        """Gradient of weights · φ(z) by z, row by row.

        Parameters
        ----------
        z
            Shape (n, d).
        weights
            Shape (n, D).

        Returns
        -------
        Float32Array
            Shape (n, d).
        """
        directions = self.directions[:, : z.shape[1]]
        projected = z @ directions.T
        pull = (weights @ self.whitening) * self._kernel(projected)
        n = len(self)
        falling = pull.sum(axis=1, keepdims=True) * (projected[:, n:] @ directions[n:])
        gradients: Float32Array = pull @ directions[:n] - falling
        return gradients

    def _kernel(self, projected: Float32Array) -> Float32Array:
        n = len(self)
        rest = projected[:, n:]
        kernel: Float32Array = projected[:, :n] - self.half
        kernel -= np.float32(0.5) * np.add.reduce(rest * rest, axis=1, keepdims=True)
        np.exp(kernel, out=kernel)
        return kernel

    def relaid(self, kept: NDArray[np.intp], width: int) -> Landmarks:
        """The same over contexts with these of the features, and others, which play no part in them."""
        directions = np.zeros((len(self.directions), width), np.float32)
        directions[:, : len(kept)] = self.directions[:, kept]
        return Landmarks(directions, self.half, self.whitening)

    def dump(self) -> dict[str, Any]:
        """Everything, as plain values."""
        return {
            "width": self.directions.shape[1],
            "directions": self.directions.tobytes(),
            "half": self.half.tobytes(),
            "whitening": self.whitening[np.tril_indices(len(self))].tobytes(),
        }

    @classmethod
    def load(cls, state: dict[str, Any]) -> Landmarks:
        """The inverse of ``dump``."""
        half = np.frombuffer(state["half"], np.float32)
        whitening = np.zeros((len(half), len(half)), np.float32)
        whitening[np.tril_indices(len(half))] = np.frombuffer(state["whitening"], np.float32)
        directions = np.frombuffer(state["directions"], np.float32).reshape(-1, state["width"])
        return cls(directions, half, whitening)


def no_landmarks(width: int) -> Landmarks:
    """None of them, of a map that is linear."""
    return Landmarks(np.zeros((0, width), np.float32), np.zeros(0, np.float32), np.zeros((0, 0), np.float32))


def drawn(n_rows: int, n: int, seed: int) -> NDArray[np.intp]:
    """Indices of at most ``n`` of so many rows, without preference."""
    return np.random.default_rng([seed, n_rows]).permutation(n_rows)[:n]


def landmarks_at(z: Float32Array, width: int, metric: FloatArray | None) -> Landmarks:
    """The contexts as landmarks; equal ones count once. Costs O(n³).

    Parameters
    ----------
    z
        Shape (n, d).
    width
        L ≥ d.
    metric
        Shape (d', d') with d' ≤ d, applied to the first d' z-scores before distances are taken; None: none.
    """
    d = z.shape[1]
    if not (d and len(z)):
        return no_landmarks(width)
    transform = np.eye(d)
    if metric is not None:
        transform[: len(metric), : len(metric)] = metric
    transform /= LENGTH_SCALE * d**0.5
    chosen = np.unique(z, axis=0).astype(np.float64) @ transform
    half = 0.5 * np.add.reduce(chosen * chosen, axis=1)
    kernel = np.exp(np.minimum(chosen @ chosen.T - half - half[:, None], 0.0))
    kernel[np.diag_indices(len(kernel))] += JITTER
    lower, _ = lapack.dpotrf(kernel, lower=1, clean=1)
    whitening, _ = lapack.dtrtri(lower, lower=1)
    directions = np.zeros((len(chosen) + d, width), np.float32)
    directions[: len(chosen), :d] = chosen @ transform.T
    directions[len(chosen) :, :d] = transform.T
    return Landmarks(directions, half.astype(np.float32), np.ascontiguousarray(whitening, np.float32))

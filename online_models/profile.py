"""How strongly weights are held at zero, and the choice among such profiles by leave-one-out error."""

from __future__ import annotations

from collections.abc import Generator
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from online_models.reward_model import Float32Array, FloatArray

CLEAR = 2.0
"""Standard errors by which another profile must predict better than the first before it takes over."""

AS_GOOD = 1.0
"""Standard errors within which a more rigid profile counts as good as the best."""

MAX_SQUARED_ERROR = 4.0
"""One outlier decides nothing: rewards lie in [0, 1]."""


class Profile(NamedTuple):
    """A prior: what the weights may be before anything was learned.

    Attributes
    ----------
    linear, random
        Variance of the linear and of the random block, in units of the noise variance per weight; 0: without.
    shared
        Whether arms have one regression in common even without features of their own, and are fitted to what it
        leaves. No profile below has it: at 2 % clicks it halved what was learned, on Jester it gained nothing.
    optimism
        Deviation of an arm never tried, in units of the noise.
    """

    linear: float
    random: float
    shared: bool
    optimism: float

    @property
    def variance(self) -> float:
        """φᵀφ of a typical context: the intercept, z-scores of square d under (2.5/√d)², the cosines."""
        return 1.0 + 6.25 * self.linear + self.random


FLEXIBLE = Profile(1.0, 9.0, shared=False, optimism=2.0)
"""For rewards that are a clear, curved function of the context."""

PROFILES = (
    FLEXIBLE,
    Profile(1.0, 0.0, shared=False, optimism=2.0),
    Profile(1 / 6, 0.0, shared=False, optimism=1.5),
    Profile(1 / 30, 0.0, shared=False, optimism=1.0),
    Profile(1 / 100, 0.0, shared=False, optimism=1.0),
)
"""Judged in this order: the first leads unless another is clearly better. All but it are linear."""


def leave_one_out(phi: FloatArray, y: FloatArray) -> FloatArray:
    """Errors of a ridge regression (variance 1 per weight) at each row when fitted to all others, exactly.

    Parameters
    ----------
    phi
        Shape (n, F).
    y
        Targets, shape (n,).

    >>> x, y = np.eye(2), np.array([1.0, 3.0])
    >>> leave_one_out(x, y).tolist()
    [1.0, 3.0]
    """
    n, n_features = phi.shape
    if n <= n_features:
        inverse = np.linalg.inv(phi @ phi.T + np.eye(n))
        return (inverse @ y) / inverse.diagonal()
    inverse = np.linalg.inv(phi.T @ phi + np.eye(n_features))
    leverage = np.add.reduce((phi @ inverse) * phi, axis=1)
    errors: FloatArray = (y - phi @ (inverse @ (phi.T @ y))) / np.maximum(1.0 - leverage, 1e-6)
    return errors


CHUNK_ROWS = 256


def leave_one_out_steps(phi: Float32Array, y: FloatArray) -> Generator[float, int, FloatArray]:
    """``leave_one_out`` in steps of a millisecond or so; yields their cost in µs (a count, not a clock)."""
    n, n_features = phi.shape
    if n <= n_features:
        yield 60.0 + 2e-4 * n * n * (n + n_features)
        return leave_one_out(phi.astype(np.float64), y)
    gram, moment = np.eye(n_features), np.zeros(n_features)
    for start in range(0, n, CHUNK_ROWS):
        part = phi[start : start + CHUNK_ROWS]
        gram += part.T @ part
        moment += part.T @ y[start : start + CHUNK_ROWS]
        yield 20.0 + 6e-5 * len(part) * n_features * n_features
    inverse = np.linalg.inv(gram)
    theta = inverse @ moment
    yield 50.0 + 2e-4 * n_features**3
    single, errors = inverse.astype(np.float32), np.empty(n)
    for start in range(0, n, CHUNK_ROWS):
        part, at = phi[start : start + CHUNK_ROWS], slice(start, start + CHUNK_ROWS)
        leverage = np.add.reduce((part @ single) * part, axis=1, dtype=np.float64)
        errors[at] = (y[at] - part @ theta) / np.maximum(1.0 - leverage, 1e-6)
        yield 20.0 + 6e-5 * len(part) * n_features * n_features
    return errors


def squared_errors(
    phi: Float32Array, arm: NDArray[np.int32], target: FloatArray
) -> Generator[float, int, FloatArray]:
    """Squared leave-one-out errors of one profile, each arm fitted to its own rows; shape (n,)."""
    squared = np.zeros(len(target))
    for row in np.unique(arm).tolist():
        at = np.flatnonzero(arm == row)
        error = yield from leave_one_out_steps(phi[at], target[at])
        squared[at] = np.minimum(error * error, MAX_SQUARED_ERROR)
    return squared


def best_of(squared: list[FloatArray]) -> int:
    """Index of the profile to take; they are ordered from the most flexible to the most rigid.

    The first, unless another predicts clearly better; then the most rigid one that is no worse than the best by
    more than chance (the one-standard-error rule): at a few per cent leave-one-out error hardly separates the
    linear profiles.
    """
    best = int(np.argmin([each.sum() for each in squared]))
    if _gain(squared[0], squared[best]) <= CLEAR:
        return 0
    return max(i for i, each in enumerate(squared) if i >= best and _gain(each, squared[best]) <= AS_GOOD)


def _gain(worse: FloatArray, better: FloatArray) -> float:
    """Paired gain of one over the other, in standard errors."""
    gain = worse - better
    return float(gain.sum() / np.sqrt((gain * gain).sum() + 1e-12))

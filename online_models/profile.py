"""How strongly weights are held at zero, and the choice among such profiles by cross-validation in closed form."""

from __future__ import annotations

from collections.abc import Generator
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from online_models.reward_model import Float32Array, FloatArray

CLEAR = 3.0
"""Standard errors by which another profile must predict better than the first before it takes over."""

STAY = 2.0
"""As many, by which it must go on doing so."""

MATERIAL = 0.006
"""Of the spread of one reward, by which it must do so before it takes over. A policy that is right nearly always
hardly tries what is wrong, so that "this arm brings 1" predicts a little better than the truth, and surely: by
.0025 and twenty standard errors, and a fifth of all rewards was lost. Where linear profiles belong, they gain .05
and more while they are new."""

AS_GOOD = 1.0
"""Standard errors within which a more rigid profile counts as good as the best."""

MAX_SQUARED_ERROR = 4.0
"""One outlier decides nothing: rewards lie in [0, 1]."""


class Profile(NamedTuple):
    """A prior: what the weights may be before anything was learned.

    Attributes
    ----------
    linear, random
        Variance of the linear block and of the features at random landmarks, in units of the noise variance per
        weight; 0: without.
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
        """φᵀφ of a typical context: the intercept, z-scores of square d under (2.5/√d)², the landmarks."""
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


CHUNK_ROWS = 256
"""Rows per step; a multiple of the largest block."""

MAX_BLOCK = 64
BLOCKS = 8


def block_rows(n: int) -> int:
    """Neighbouring rows left out together: a visitor's rows come in bursts and would vouch for one another.

    A power of two, about n/8, at most 64.

    >>> block_rows(5), block_rows(40), block_rows(5000)
    (1, 4, 64)
    """
    block = 1
    while block < MAX_BLOCK and 2 * block * BLOCKS <= n:
        block *= 2
    return block


def left_out_errors(phi: Float32Array, y: FloatArray, block: int) -> Generator[float, int, FloatArray]:
    """Errors of a ridge regression (variance 1 per weight) at blocks of rows when fitted to all others, exactly.

    With H = Φ(ΦᵀΦ + I)⁻¹Φᵀ the errors of block b are (I − H_bb)⁻¹ (y − Hy)_b. In steps of a millisecond or so;
    yields their cost in µs (a count, not a clock).

    Parameters
    ----------
    phi
        Shape (n, F).
    y
        Targets, shape (n,).
    block
        Neighbouring rows left out together.
    """
    n, n_features = phi.shape
    errors = np.empty(n)
    if n <= n_features:
        wide = phi.astype(np.float64)
        inverse: Any = np.linalg.inv(wide @ wide.T + np.eye(n))
        solved = inverse @ y
        whole = n - n % block
        blocks = inverse[:whole, :whole].reshape(whole // block, block, whole // block, block)
        diagonal = np.arange(whole // block)
        errors[:whole] = _solved(blocks[diagonal, :, diagonal], solved[:whole])
        errors[whole:] = _solved(inverse[None, whole:, whole:], solved[whole:])
        yield 60.0 + 2e-4 * n * n * (n + n_features) + 1.0 * n / block
        return errors
    gram, moment = np.eye(n_features), np.zeros(n_features)
    for start in range(0, n, CHUNK_ROWS):
        part = phi[start : start + CHUNK_ROWS]
        gram += part.T @ part
        moment += part.T @ y[start : start + CHUNK_ROWS]
        yield 20.0 + 6e-5 * len(part) * n_features * n_features
    inverse = np.linalg.inv(gram)
    theta = inverse @ moment
    yield 50.0 + 2e-4 * n_features**3
    single = inverse.astype(np.float32)
    for start in range(0, n, CHUNK_ROWS):
        part = phi[start : start + CHUNK_ROWS]
        weighted = part @ single
        residual = y[start : start + CHUNK_ROWS] - part @ theta
        whole = len(part) - len(part) % block
        for at, n_blocks in ((slice(0, whole), whole // block), (slice(whole, None), 1)):
            if len(part[at]):
                shape = (n_blocks, -1, n_features)
                hat = weighted[at].reshape(shape) @ part[at].reshape(shape).transpose(0, 2, 1)
                left: FloatArray = np.eye(hat.shape[1]) * (1.0 + 1e-6) - hat
                errors[start : start + len(part)][at] = _solved(left, residual[at])
        yield 40.0 + 6e-5 * len(part) * n_features * n_features + 2.0 * len(part) / block
    return errors


def _solved(blocks: FloatArray, right: FloatArray) -> FloatArray:
    """Each block's equations, all in one call: shapes (m, b, b) and (m · b,) → (m · b,)."""
    if not len(right):
        return right
    if blocks.shape[1] == 1:
        return right / blocks[:, 0, 0]
    solved = np.linalg.solve(blocks, right.reshape(len(blocks), -1, 1))
    return np.ravel(solved).astype(np.float64, copy=False)


def squared_errors(
    phi: Float32Array, arm: NDArray[np.int32], target: FloatArray
) -> Generator[float, int, FloatArray]:
    """Squared errors of one profile at rows left out, each arm fitted to its own rows; shape (n,)."""
    squared = np.zeros(len(target))
    for row in np.unique(arm).tolist():
        at = np.flatnonzero(arm == row)
        error = yield from left_out_errors(phi[at], target[at], block_rows(len(at)))
        squared[at] = np.minimum(error * error, MAX_SQUARED_ERROR)
    return squared


def best_of(squared: list[FloatArray], rewards: FloatArray, in_force: int = 0) -> int:
    """Index of the profile to take; they are ordered from the most flexible to the most rigid.

    The first, unless another predicts clearly and materially better, or still by two standard errors once the first
    is left; then the most rigid one that is no worse than the best by more than chance (the one-standard-error
    rule): at a few per cent leave-one-out error hardly separates the linear profiles.

    Parameters
    ----------
    squared
        Squared errors of each profile, shape (n,).
    rewards
        Shape (n,), in [0, 1].
    in_force
        Index of the profile there is.
    """
    best = int(np.argmin([each.sum() for each in squared]))
    standard_errors = _gain(squared[0], squared[best])
    if in_force and standard_errors <= STAY:
        return 0
    material = float((squared[0] - squared[best]).mean()) > MATERIAL * spread_of(rewards)
    if not in_force and (standard_errors <= CLEAR or not material):
        return 0
    return max(i for i, each in enumerate(squared) if i >= best and _gain(each, squared[best]) <= AS_GOOD)


def spread_of(rewards: FloatArray) -> float:
    """Variance of the rewards, as if no more than half of what could be had were: near the top it is not small.

    >>> spread_of(np.array([1.0, 0.0, 0.0, 0.0])), spread_of(np.array([1.0, 1.0, 1.0, 0.0]))
    (0.1875, 0.25)
    """
    mean = float(rewards.mean())
    coin, capped = mean * (1.0 - mean), min(0.5, mean)
    return capped * (1.0 - capped) * (float(rewards.var()) / coin if coin > 0.0 else 1.0)


def _gain(worse: FloatArray, better: FloatArray) -> float:
    """Paired gain of one over the other, in standard errors."""
    gain = worse - better
    return float(gain.sum() / np.sqrt((gain * gain).sum() + 1e-12))

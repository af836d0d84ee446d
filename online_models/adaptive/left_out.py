"""Cross-validation in closed form: the errors of ridge regressions at blocks of rows they were not fitted to."""

from __future__ import annotations

from collections.abc import Generator

import numpy as np
from numpy.typing import NDArray
from scipy.linalg import lapack

from online_models.reward_model import Float32Array, FloatArray

CHUNK_ROWS = 256
"""Rows per step; a multiple of the largest block."""

MAX_BLOCK = 64
BLOCKS = 8

MAX_SQUARED_ERROR = 4.0
"""One outlier decides nothing: rewards lie in [0, 1]."""

JITTER = 1e-6
"""Of 1 − the leverage of a block."""


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


def inverse_of(matrix: FloatArray) -> FloatArray:
    """Invert a symmetric positive definite matrix by Cholesky: half the work of a general one."""
    lower, _ = lapack.dpotrf(matrix, lower=1)
    half, _ = lapack.dpotri(lower, lower=1, overwrite_c=1)
    whole: FloatArray = half + half.T
    np.fill_diagonal(whole, half.diagonal())
    return whole


def left_out_errors(
    phi: Float32Array, variances: FloatArray, y: FloatArray, block: int
) -> Generator[float, int, FloatArray]:
    """Errors of V ridge regressions at blocks of rows, each fitted to all other rows, exactly.

    With H = Φ(ΦᵀΦ + diag(1/v))⁻¹Φᵀ the errors of block b are (I − H_bb)⁻¹ (y − Hy)_b. In steps of a millisecond or
    so; yields their cost in µs (a count, not a clock).

    Parameters
    ----------
    phi
        Shape (n, F).
    variances
        Of the weights a priori, in units of the noise's, shape (V, F), each above 0.
    y
        Targets, shape (V, n).
    block
        Neighbouring rows left out together.

    Returns
    -------
    numpy.ndarray
        Shape (V, n).
    """
    n, n_features = phi.shape
    if n <= n_features:
        return (yield from _in_dual_form(phi, variances, y, block))
    gram = np.zeros((n_features, n_features))
    moments = np.zeros((len(variances), n_features))
    for start in range(0, n, CHUNK_ROWS):
        part = phi[start : start + CHUNK_ROWS]
        gram += part.T @ part
        moments += y[:, start : start + CHUNK_ROWS] @ part
        yield 20.0 + 6e-5 * len(part) * n_features * n_features
    inverses = np.empty((len(variances), n_features, n_features), np.float32)
    thetas = np.empty(moments.shape)
    for v, variance in enumerate(variances):
        inverse = inverse_of(gram + np.diag(1.0 / variance))
        thetas[v] = inverse @ moments[v]
        inverses[v] = inverse
        yield 20.0 + 1e-4 * n_features**3
    errors = np.empty(y.shape)
    for start in range(0, n, CHUNK_ROWS):
        part = phi[start : start + CHUNK_ROWS]
        weighted = part @ inverses
        residual = y[:, start : start + CHUNK_ROWS] - thetas @ part.T
        whole = len(part) - len(part) % block
        for at, n_blocks in ((slice(0, whole), whole // block), (slice(whole, None), 1)):
            if len(part[at]):
                of_blocks = part[at].reshape(n_blocks, -1, n_features)
                hat = weighted[:, at].reshape(-1, *of_blocks.shape) @ of_blocks.transpose(0, 2, 1)
                left: FloatArray = np.eye(hat.shape[2]) * (1.0 + JITTER) - hat
                errors[:, start : start + len(part)][:, at] = _solved(left, residual[:, at])
        yield 40.0 + len(variances) * (6e-5 * len(part) * n_features * n_features + 2.0 * len(part) / block)
    return errors


def _in_dual_form(
    phi: Float32Array, variances: FloatArray, y: FloatArray, block: int
) -> Generator[float, int, FloatArray]:
    """Leave one out where there are fewer rows than features."""
    n, n_features = phi.shape
    wide = phi.astype(np.float64)
    errors = np.empty(y.shape)
    whole = n - n % block
    diagonal = np.arange(whole // block)
    for v, variance in enumerate(variances):
        inverse = inverse_of((wide * variance) @ wide.T + np.eye(n))
        solved = inverse @ y[v]
        blocks = inverse[:whole, :whole].reshape(whole // block, block, whole // block, block)
        errors[v, :whole] = _solved(blocks[diagonal, :, diagonal], solved[:whole])
        errors[v, whole:] = _solved(inverse[None, whole:, whole:], solved[whole:])
        yield 30.0 + 1e-4 * n * n * (n + n_features) + 1.0 * n / block
    return errors


def _solved(blocks: FloatArray, right: FloatArray) -> FloatArray:
    """Each block's equations, all in one call: shapes (…, m, b, b) and (…, m · b) → (…, m · b)."""
    if not right.size:
        return right
    if blocks.shape[-1] == 1:
        return right / blocks[..., 0, 0]
    solved = np.linalg.solve(blocks, right.reshape(*blocks.shape[:-1], 1))
    return np.reshape(solved, right.shape).astype(np.float64, copy=False)


def squared_errors(
    phi: Float32Array,
    variances: FloatArray,
    arm: NDArray[np.int32],
    targets: FloatArray,
    root: Float32Array,
) -> Generator[float, int, FloatArray]:
    """Squared errors of V priors at rows left out, each arm fitted to its own rows; a row counts by its weight.

    Parameters
    ----------
    phi, variances, targets
        As in ``left_out_errors``: shapes (n, F), (V, F) and (V, n); φ and targets scaled by ``root``.
    arm
        Of each row, shape (n,).
    root
        Square roots of the rows' weights, shape (n,).

    Returns
    -------
    numpy.ndarray
        Shape (V, n).
    """
    squared = np.zeros(targets.shape)
    weight = root.astype(np.float64) ** 2
    weight /= weight.mean()
    for row in np.unique(arm).tolist():
        at = np.flatnonzero(arm == row)
        error = yield from left_out_errors(phi[at], variances, targets[:, at], block_rows(len(at)))
        error /= root[at]
        squared[:, at] = np.minimum(error * error, MAX_SQUARED_ERROR) * weight[at]
    return squared

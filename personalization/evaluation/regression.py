"""What a treatment changed in an amount, freed of what visitors brought with them, from sums alone.

Of each side a regression says what the amount would have been, from what came before the first exposure (x). A
visitor's *pseudo-outcomes* are what the regressions of both sides say of them, that of the side they were on being
corrected by its error over the probability of that side (Robins, Rotnitzky and Zhao 1994). Their means are those of
the two sides, whatever the regressions are worth; the better these are, the less they spread (Lin 2013). As a
pseudo-outcome is linear in (1, x, y), its moments follow from the sums of their products.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple, TypeAlias

import numpy as np
from numpy.typing import NDArray

FloatArray: TypeAlias = NDArray[np.float64]

_NO_SPREAD = 1e-9
"""An x that spreads by less than this share of its mean square is constant, up to rounding."""


class Products(NamedTuple):
    """The sums of products of (1, x, y) over the participants of both sides who came under one split.

    Attributes
    ----------
    share
        How probable the first side was, 0 < π < 1.
    side, against
        Σ (1, x, y)ᵀ(1, x, y), shape (..., 3, 3), of each side; the leading axes are looks, for instance.
    """

    share: float
    side: FloatArray
    against: FloatArray


class Pseudo(NamedTuple):
    """The two sides' weighed mean pseudo-outcomes.

    Attributes
    ----------
    n
        How much the participants tell, as a number of participants of an even split: 4 Σ π(1 − π).
    side, against
        The means, shape (...).
    variance_side, covariance, variance_against
        By these the pseudo-outcomes of ``n`` such participants spread, shape (...).
    """

    n: FloatArray
    side: FloatArray
    against: FloatArray
    variance_side: FloatArray
    covariance: FloatArray
    variance_against: FloatArray

    def variance(self, ratio: float = 1.0) -> FloatArray:
        """By which the pseudo-outcome of the first side less ``ratio`` times that of the other spreads."""
        found = self.variance_side - 2.0 * ratio * self.covariance + ratio**2 * self.variance_against
        return np.maximum(found, 0.0)


def products(n: float, x: float, xx: float, y: float, yy: float, xy: float) -> FloatArray:
    """Of n, Σx, Σx², Σy, Σy² and Σxy, as shape (3, 3)."""
    return np.array([[n, x, y], [x, xx, xy], [y, xy, yy]], dtype=np.float64)


def pseudo_outcomes(seen: Sequence[Products], *, use_before: bool = True) -> Pseudo:
    """The pseudo-outcomes of participants who came under one split or more, each weighed by π(1 − π).

    Parameters
    ----------
    use_before
        Whether the regressions look at x.
    """
    first = _regression(sum((1.0 - each.share) * each.side for each in seen), use_before=use_before)
    second = _regression(sum(each.share * each.against for each in seen), use_before=use_before)
    coefficients = [_coefficients(each.share, first, second) for each in seen]
    weight = sum(
        each.share * (1.0 - each.share) * (each.side[..., 0, 0] + each.against[..., 0, 0]) for each in seen
    )
    means = [
        np.asarray(
            sum(
                each.share * (1.0 - each.share) * (_total(of[0][at], each.side) + _total(of[1][at], each.against))
                for each, of in zip(seen, coefficients, strict=True)
            )
        )
        / weight
        for at in (0, 1)
    ]
    spread = []
    for one, other in ((0, 0), (0, 1), (1, 1)):
        total = 0.0
        for each, of in zip(seen, coefficients, strict=True):
            squared = (each.share * (1.0 - each.share)) ** 2
            for side, sums in ((0, each.side), (1, each.against)):
                left, right = (_less(of[side][at], means[at]) for at in (one, other))
                total = total + squared * np.einsum("...i,...ij,...j->...", left, sums, right)
        spread.append(4.0 * np.asarray(total) / weight)
    return Pseudo(4.0 * np.asarray(weight), *map(np.asarray, means), *spread)


def _regression(sums: FloatArray | float, *, use_before: bool) -> tuple[FloatArray, FloatArray]:
    """The line of y on x that fits best: its height at x = 0, and its slope."""
    given = np.asarray(sums)
    n, x, y = (given[..., 0, at] for at in (0, 1, 2))
    some = np.maximum(n, np.finfo(float).tiny)
    mean_x, mean_y = x / some, y / some
    spread = given[..., 1, 1] / some - mean_x**2
    together = given[..., 1, 2] / some - mean_x * mean_y
    is_line = use_before & (spread > _NO_SPREAD * given[..., 1, 1] / some)
    slope = np.where(is_line, together / np.where(is_line, spread, 1.0), 0.0)
    return mean_y - slope * mean_x, slope


def _coefficients(
    share: float, first: tuple[FloatArray, FloatArray], second: tuple[FloatArray, FloatArray]
) -> tuple[tuple[FloatArray, FloatArray], tuple[FloatArray, FloatArray]]:
    """By the side a participant was on, both pseudo-outcomes as coefficients of (1, x, y), shape (..., 3) each."""
    zero = np.zeros_like(first[0])

    def seen(line: tuple[FloatArray, FloatArray], probability: float) -> FloatArray:
        rest = 1.0 - 1.0 / probability
        return np.stack([line[0] * rest, line[1] * rest, zero + 1.0 / probability], axis=-1)

    def said(line: tuple[FloatArray, FloatArray]) -> FloatArray:
        return np.stack([line[0], line[1], zero], axis=-1)

    return (seen(first, share), said(second)), (said(first), seen(second, 1.0 - share))


def _total(coefficients: FloatArray, sums: FloatArray) -> FloatArray:
    return np.asarray(np.einsum("...i,...i->...", coefficients, sums[..., 0, :]))


def _less(coefficients: FloatArray, mean: FloatArray) -> FloatArray:
    return coefficients - np.stack([mean, np.zeros_like(mean), np.zeros_like(mean)], axis=-1)

"""Running statistics, a number a dimension."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from online_models.reward_model import FloatArray

MIN_DEVIATION = 1e-9
"""Below this share of its own magnitude a feature counts as constant and is 0."""

SETTLE = 8.0
"""A deviation is trusted fully after about so many values; before, z is damped (n/(n + SETTLE))."""


def inverse_deviation(count: FloatArray, mean: FloatArray, m2: FloatArray) -> FloatArray:
    """1 / deviation of each dimension, damped while young; 0 for a constant. All shapes (d,).

    Parameters
    ----------
    m2
        Sums of squared differences from the mean.
    """
    n = np.maximum(count, 1.0)
    variance = m2 / n
    varies = variance > (MIN_DEVIATION * np.maximum(np.abs(mean), 1.0)) ** 2
    inverse = np.zeros_like(variance)
    np.divide(n / (n + SETTLE), np.sqrt(variance, where=varies, out=inverse), where=varies, out=inverse)
    return inverse


def replaced(values: NDArray[Any], at: int, value: float) -> NDArray[Any]:
    """A copy with one number set; ``at`` its end, it is one longer."""
    return np.concatenate([values[:at], np.array([value], values.dtype), values[at + 1 :]])

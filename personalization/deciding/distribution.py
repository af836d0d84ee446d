"""The probability of every eligible arm, as integers over 2³², and the draw from it.

Integers make the logged propensity exact: what was drawn from is what is written down, on any machine.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TypeAlias

import msgspec
import numpy as np
from numpy.typing import NDArray

from personalization.keyed_hash import hmac_sha256

SCALE = 1 << 32
"""Probabilities are counts of 2⁻³²: exact to add, small to store, finer than any weight we would trust."""

FloatArray: TypeAlias = NDArray[np.float64]


class ArmDistribution(msgspec.Struct, frozen=True):
    """What a policy says about the eligible arms, in their order.

    Attributes
    ----------
    arms
        Ids of the eligible arms, K of them, K ≥ 1.
    weights
        K integers ≥ 0 that sum to 2³²: the probabilities.
    means, sds
        The model's estimate of each arm's reward and its standard deviation, reward units; K each.
    policy
        Name of the policy that made it.
    model_version
        Version of the snapshot scored, 0 for the prior.
    """

    arms: tuple[str, ...]
    weights: tuple[int, ...]
    means: tuple[float, ...]
    sds: tuple[float, ...]
    policy: str
    model_version: int

    def draw(self, ticket: int) -> int:
        """Index of the arm that the ``ticket`` in [0, 2³²) falls on.

        >>> d = ArmDistribution(("a", "b"), (SCALE // 4, 3 * (SCALE // 4)), (0, 0), (0, 0), "fixed", 0)
        >>> d.draw(0), d.draw(SCALE // 4 - 1), d.draw(SCALE // 4), d.draw(SCALE - 1)
        (0, 0, 1, 1)
        """
        total = 0
        for index, weight in enumerate(self.weights):
            total += weight
            if ticket < total:
                return index
        raise AssertionError("weights do not sum to 2**32")

    def probability(self, index: int) -> float:
        """The probability of the arm at ``index``, in [0, 1]."""
        return self.weights[index] / SCALE


def quantise(probabilities: FloatArray | Sequence[float]) -> tuple[int, ...]:
    """Turn K probabilities into K integers over 2³² that sum to exactly 2³².

    Parameters
    ----------
    probabilities
        Shape (K,), finite, ≥ 0, with a positive sum; they need not sum to one.

    Raises
    ------
    ValueError
        For a negative, non-finite or all-zero input.

    >>> quantise([0.5, 0.25, 0.25]) == (2**31, 2**30, 2**30)
    True
    >>> sum(quantise([1, 1, 1])) == 2**32
    True
    """
    # In plain Python: for a few dozen arms faster than ten calls of numpy, each a microsecond whatever it does.
    p: list[float] = probabilities.tolist() if isinstance(probabilities, np.ndarray) else list(probabilities)
    total = sum(p)
    if not (p and 0 < total < math.inf and min(p) >= 0):  # NaN makes the total NaN, which no comparison lets pass
        raise ValueError(f"not a distribution: {p!r}")
    factor = SCALE / total
    weights = [int(share * factor) for share in p]
    # What truncation left over, at most K of 2³² (or, where rounding went up, taken back), is the likeliest arm's.
    weights[p.index(max(p))] += SCALE - sum(weights)
    return tuple(weights)


def quantise_all(probabilities: FloatArray) -> list[tuple[int, ...]]:
    """``quantise`` of each of B rows, shape (B, K): the same integers, at half the cost for a dozen rows.

    Raises
    ------
    ValueError
        Where one of the rows is none.

    >>> rows = np.array([[0.5, 0.25, 0.25], [1, 1, 1]])
    >>> quantise_all(rows) == [quantise(row) for row in rows]
    True
    """
    totals = np.array([sum(row) for row in probabilities.tolist()])
    if not (probabilities.size and totals.min() > 0 and totals.max() < math.inf and probabilities.min() >= 0):
        raise ValueError(f"not distributions: {probabilities!r}")
    weights = (probabilities * (SCALE / totals)[:, None]).astype(np.int64)
    weights[np.arange(len(weights)), probabilities.argmax(axis=1)] += SCALE - np.add.reduce(weights, axis=1)
    return list(map(tuple, weights.tolist()))


def ticket(secret: bytes, name: str) -> int:
    """The draw that belongs to ``name``: a keyed hash in [0, 2³²), so a caller who picks ids cannot steer it.

    >>> ticket(b"s", "d1") == ticket(b"s", "d1") != ticket(b"s", "d2")
    True
    """
    return int.from_bytes(hmac_sha256(secret, name.encode())[:4], "big")


def uniform(arms: tuple[str, ...], policy: str) -> ArmDistribution:
    """Every arm alike; the remainder of 2³² goes to the first ones.

    >>> uniform(("a", "b", "c"), "uniform").weights
    (1431655766, 1431655765, 1431655765)
    """
    share, rest = divmod(SCALE, len(arms))
    zeros = (0.0,) * len(arms)
    weights = tuple(share + (index < rest) for index in range(len(arms)))
    return ArmDistribution(arms, weights, zeros, zeros, policy, 0)

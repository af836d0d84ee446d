"""Normal deviates that are a pure function of what they are for: a replay draws the same."""

from __future__ import annotations

import hashlib

import numpy as np

from online_models.reward_model import Float32Array

BLOCK = 64
N_KEPT = 3
"""Blocks: that of the row being learned, and two that a rebuild catching up with it is at."""


def normals(seed: int, *domain: int | str, shape: tuple[int, ...]) -> Float32Array:
    """Standard normals, a pure function of (seed, domain)."""
    digest = hashlib.blake2b(repr((seed, *domain)).encode(), digest_size=16).digest()
    key = np.frombuffer(digest, np.uint64)
    return np.random.Generator(np.random.Philox(key=key)).standard_normal(shape, dtype=np.float32)


class RowNoise:
    """What perturbs the posterior samples at each outcome: [room for the reward, ε], shape (1 + B,)."""

    def __init__(self, seed: int, n_samples: int) -> None:
        self._seed, self._shape = seed, (BLOCK, 1 + n_samples)
        self._drawn: dict[int, Float32Array] = {}

    def __call__(self, number: int) -> Float32Array:
        """Draw the noise of the row with this number; the first place may be written to."""
        block, at = divmod(number, BLOCK)
        drawn = self._drawn.get(block)
        if drawn is None:
            if len(self._drawn) >= N_KEPT:
                del self._drawn[next(iter(self._drawn))]
            drawn = self._drawn[block] = normals(self._seed, "noise", block, shape=self._shape)
        row: Float32Array = drawn[at]
        return row

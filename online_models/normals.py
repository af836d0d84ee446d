"""Normal deviates that are a pure function of what they are for: a replay draws the same."""

from __future__ import annotations

import hashlib

import numpy as np

from online_models.reward_model import Float32Array

BLOCK = 64


def normals(seed: int, *domain: int | str, shape: tuple[int, ...]) -> Float32Array:
    """Standard normals, a pure function of (seed, domain)."""
    digest = hashlib.blake2b(repr((seed, *domain)).encode(), digest_size=16).digest()
    key = np.frombuffer(digest, np.uint64)
    return np.random.Generator(np.random.Philox(key=key)).standard_normal(shape, dtype=np.float32)


class RowNoise:
    """What perturbs the posterior samples at each outcome: [room for the reward, ε], shape (1 + B,)."""

    def __init__(self, seed: int, n_samples: int) -> None:
        self._seed, self._shape = seed, (BLOCK, 1 + n_samples)
        self._drawn: Float32Array = np.zeros(self._shape, np.float32)
        self._block = -1

    def __call__(self, number: int) -> Float32Array:
        """Of the row with this number."""
        block, at = divmod(number, BLOCK)
        if block != self._block:
            self._drawn = normals(self._seed, "noise", block, shape=self._shape)
            self._block = block
        row: Float32Array = self._drawn[at].copy()
        return row

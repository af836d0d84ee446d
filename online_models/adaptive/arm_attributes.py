"""What is known of the arms themselves, as the shared regression takes it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from online_models.adaptive.matching import Terms, terms
from online_models.frozen_encoder import FrozenEncoder
from online_models.reward_model import Float32Array

ARM_SCALE = 0.5
"""Arm features enter the shared regression as 0.5/√G of their z-scores."""


class ArmAttributes:
    """The attributes of A arms.

    Parameters
    ----------
    encoder
        Raw arm features → G z-scores; of no dimensions while no arm has features.
    encoded
        g of every arm, shape (A, G), float32.
    terms
        What every arm is about.
    """

    def __init__(self, encoder: FrozenEncoder, encoded: Float32Array, terms: list[Terms]) -> None:
        self.encoder, self.encoded, self.terms = encoder, encoded, terms

    @classmethod
    def of(cls, encoder: FrozenEncoder, arms: Sequence[Mapping[str, Any] | None]) -> ArmAttributes:
        """Encode arms with these raw features; None: nothing is known of the arm."""
        attributes = cls(encoder, np.zeros((0, encoder.n_dims), np.float32), [])
        attributes.encoded = np.zeros((len(arms), encoder.n_dims), np.float32)
        for row, raw in enumerate(arms):
            attributes.encoded[row] = encode_arm(encoder, raw)
        attributes.terms = [terms(raw) for raw in arms]
        return attributes

    def __len__(self) -> int:
        return len(self.terms)

    @property
    def width(self) -> int:
        """G."""
        return self.encoder.n_dims

    def add(self, raw: Mapping[str, Any] | None) -> None:
        """One more arm."""
        self.encoded = np.concatenate([self.encoded, encode_arm(self.encoder, raw)[None]])
        self.terms.append(terms(raw))

    def replace(self, row: int, raw: Mapping[str, Any] | None) -> None:
        """Another arm took this one's place."""
        self.encoded[row] = encode_arm(self.encoder, raw)
        self.terms[row] = terms(raw)

    def copy(self) -> ArmAttributes:
        """Another one that goes its own way."""
        return ArmAttributes(self.encoder, self.encoded.copy(), list(self.terms))

    def dump(self) -> dict[str, Any]:
        """Everything, as plain values."""
        return {
            "encoder": self.encoder.dump(),
            "encoded": self.encoded.tobytes(),
            "terms": [sorted(each) for each in self.terms],
        }

    @classmethod
    def load(cls, state: dict[str, Any]) -> ArmAttributes:
        """The inverse of ``dump``."""
        encoder = FrozenEncoder.load(state["encoder"])
        about: list[Terms] = [frozenset((name, term) for name, term in each) for each in state["terms"]]
        encoded = np.frombuffer(state["encoded"], np.float32).reshape(len(about), encoder.n_dims).copy()
        return cls(encoder, encoded, about)


def encode_arm(encoder: FrozenEncoder, raw: Mapping[str, Any] | None) -> Float32Array:
    """g, shape (G,); of an arm of which nothing is known: that of an average one, 0."""
    if not raw:
        return np.zeros(encoder.n_dims, np.float32)
    z = encoder.encode(raw)
    z *= np.float32(ARM_SCALE / max(1, len(z)) ** 0.5)
    return z


def encode_arms(encoder: FrozenEncoder, raws: Sequence[Mapping[str, Any]]) -> Float32Array:
    """``encode_arm`` of several arms of which something is known: shape (K, G), the same bits."""
    z = encoder.encode_all(raws)
    z *= np.float32(ARM_SCALE / max(1, encoder.n_dims) ** 0.5)
    return z

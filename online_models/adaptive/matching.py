"""What a visitor likes and what an arm is about, brought together: how much of the one is in the other.

Visitors have affinities by name (``affinities.genre.Western``), arms have attributes (``genre: Western``, or
several: ``genre.Western: 1``). Where a family of context features and an attribute of arms name the same things,
the weight a visitor has for what this arm is about is a feature of the pair. One slope serves all arms: what is
learned of one tells of the others, also of those never shown. Nobody has to say which families belong together.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, NamedTuple, TypeAlias

import msgspec
import numpy as np

from online_models.adaptive.feature_map import FeatureMap, feature_map
from online_models.frozen_encoder import FrozenEncoder
from online_models.reward_model import Float32Array

MATCH_SCALE = 0.5
"""Matches enter the shared regression as 0.5/√P of their z-scores, as arm features do."""

MIN_DEVIATION = 1e-6
"""Of a match, as a share of the largest number it is added up from: below it, it is constant but for rounding. Held
against the largest match, a family that nobody sends any more passed: its matches are rounding alone."""

MAX_PAIRS = 6
"""Of a family and an attribute; those with the most names in common."""

Terms: TypeAlias = frozenset[tuple[str, str]]
"""(attribute, name) pairs: what an arm is about."""

NO_TERMS: Terms = frozenset()


class Pair(NamedTuple):
    """A family of context features and an attribute of arms, and how their match is brought to scale."""

    family: str
    attribute: str
    centre: float
    scale: float


def terms(arm_features: Mapping[str, Any] | None) -> Terms:
    """What an arm is about.

    >>> sorted(terms({"theme": "sale", "genres.War": 1.0, "genres.Western": 1.0, "genres.Drama": 0.0}))
    [('genres', 'War'), ('genres', 'Western'), ('theme', 'sale')]
    """
    return frozenset(_terms(arm_features)) if arm_features else NO_TERMS


def _terms(arm_features: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    for name, value in arm_features.items():
        if isinstance(value, str):
            yield name, value
        elif value:
            attribute, dot, member = name.partition(".")
            if dot:
                yield attribute, member


class Places(NamedTuple):
    """Rows of (arm, pair, dimension), shape (n, 3), of so many arms."""

    n_arms: int
    at: np.ndarray

    def followed_by(self, other: Places) -> Places:
        """These arms and then those."""
        return Places(
            self.n_arms + other.n_arms, np.concatenate([self.at, other.at + np.array([self.n_arms, 0, 0])])
        )


class Matching(msgspec.Struct, frozen=True):
    """The pairs there are. Matches are in units of the raw context features, whatever the scaling of these.

    Attributes
    ----------
    pairs
        P of them.
    """

    pairs: tuple[Pair, ...] = ()

    def places(self, encoder: FrozenEncoder, arms: Sequence[Terms]) -> Places:
        """Which features count for which pair of which arm; the scaling of features leaves it as it is."""
        found = [
            (row, at, dim)
            for row, about in enumerate(arms)
            for at, pair in enumerate(self.pairs)
            for attribute, name in sorted(about)
            if attribute == pair.attribute and (dim := encoder.numeric.get(f"{pair.family}.{name}")) is not None
        ]
        return Places(len(arms), np.array(found, np.intp).reshape(-1, 3))

    def coefficients(self, features: FeatureMap, places: Places) -> Float32Array:
        """C, shape (A, P, 1 + L): the matches of arm a in a context are C_a u with u = φ[: 1 + L]."""
        encoder = features.encoder
        found = np.zeros((places.n_arms, len(self.pairs), 1 + features.width))
        unit = np.zeros(encoder.n_dims)
        np.divide(1.0, features.linear * encoder.inverse_sd, where=encoder.inverse_sd > 0, out=unit)
        row, at, dim = places.at.T
        found[row, at, 1 + dim] = unit[dim]
        np.add.at(found, (row, at, 0), encoder.mean[dim])
        found[:, :, 0] -= np.array([pair.centre for pair in self.pairs])
        found *= MATCH_SCALE / len(self.pairs) ** 0.5 / np.array([[pair.scale] for pair in self.pairs])
        return found.astype(np.float32)


def fitted_matching(encoder: FrozenEncoder, arms: Sequence[Terms], raw: Float32Array, arm: np.ndarray) -> Matching:
    """The pairs among these features and arms, brought to scale over n rows.

    Parameters
    ----------
    arms
        What every arm is about.
    raw
        Shape (n, ·), as ``Encoder.learn`` gives them.
    arm
        Of each row, shape (n,).
    """
    common = _common(encoder, arms)
    if not common or not len(raw):
        return Matching()
    plain = Matching(
        tuple(Pair(family, attribute, 0.0, MATCH_SCALE / len(common) ** 0.5) for family, attribute in common)
    )
    features = feature_map(encoder, encoder.n_dims, 1.0)
    coefficients = plain.coefficients(features, plain.places(encoder, arms))
    parts = coefficients[arm] * features.from_raw(raw)[:, None]
    matches = parts.sum(axis=2, dtype=np.float64)
    largest = float(np.abs(parts).max())
    return Matching(
        tuple(
            pair._replace(centre=centre, scale=deviation)
            for pair, centre, deviation in zip(
                plain.pairs, matches.mean(axis=0).tolist(), matches.std(axis=0).tolist(), strict=True
            )
            if deviation > MIN_DEVIATION * largest
        )
    )


def _common(encoder: FrozenEncoder, arms: Sequence[Terms]) -> list[tuple[str, str]]:
    """(family, attribute) pairs with names in common, the most first."""
    families: dict[str, list[str]] = defaultdict(list)
    for name in encoder.numeric:
        parts = str(name).split(".")
        for at in range(1, len(parts)):
            families[".".join(parts[at:])].append(".".join(parts[:at]))
    counts: dict[tuple[str, str], int] = defaultdict(int)
    for attribute, member in sorted(set().union(*arms)):
        for family in families.get(member, ()):
            counts[family, attribute] += 1
    return sorted(counts, key=lambda pair: (-counts[pair], pair))[:MAX_PAIRS]

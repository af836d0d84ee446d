"""Scoring all arms of a model that is linear in its features at once, from arrays alone: what a decider holds."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from online_models.adaptive.arm_attributes import encode_arms
from online_models.adaptive.feature_map import FeatureMap
from online_models.adaptive.matching import NO_TERMS, Matching, terms
from online_models.frozen_encoder import FrozenEncoder
from online_models.reward_model import Estimates, Float32Array

MAX_CACHED_SELECTIONS = 256


class Places(NamedTuple):
    """Where the arms asked for are: their rows, which of them are unknown, whether they are all, in order."""

    rows: NDArray[np.intp]
    unknown: NDArray[np.bool_] | None
    whole: bool


class ArmIndex:
    """Rows of arms by name. Snapshots in a row may share it: the same lists are asked for again and again.

    Parameters
    ----------
    arms
        Ids of the A arms.
    """

    __slots__ = ("_found", "arms", "rows")

    def __init__(self, arms: tuple[str, ...]) -> None:
        self.arms = arms
        self.rows = {arm: row for row, arm in enumerate(arms)}
        self._found: dict[tuple[str, ...], Places] = {}

    def places(self, key: tuple[str, ...]) -> Places:
        """Find the rows of these arms; −1: the arm is unknown."""
        places = self._found.get(key)
        if places is None:
            rows = np.array([self.rows.get(arm, -1) for arm in key], dtype=np.intp)
            unknown = rows < 0
            places = Places(rows, unknown if unknown.any() else None, key == self.arms)
            if len(self._found) >= MAX_CACHED_SELECTIONS:
                self._found.clear()
            self._found[key] = places
        return places


class _Selection(NamedTuple):
    """What is worked out once for the arms asked for: their places, counts, and rows of the shared regression.

    It holds the features it was worked out from, so that no other mapping can take their place in memory.
    """

    places: Places
    n: NDArray[np.float64]
    bases: Float32Array | None
    arm_features: Mapping[str, Any] | None


class LinearScorer:
    """The arrays of a per-arm Bayesian linear model, ready to score.

    Parameters
    ----------
    features
        Raw context → φ, shape (F,).
    arms
        Ids of the A arms it knows.
    weights
        Shape (A, 1 + B, F), float32: per arm the posterior mean θ and B posterior samples around zero.
    n
        Outcomes learned per arm, shape (A,).
    touched
        Outcome count at which each arm's numbers last changed, shape (A,): what a delta has to carry.
    prior_variance
        φᵀPφ of a typical context before anything was learned.
    offset
        m₀, added to every estimate.
    noise
        σ of one reward.
    optimism
        Factor of the posterior deviation, so that an arm never tried has about σ · optimism.
    base
        U, shape (1 + G, 1 + L): what arms have in common adds [1, g] U φ[: 1 + L]; None: nothing.
    arm_features
        g of each arm, shape (A, G); None without ``base``.
    arm_encoder
        Raw arm features → g, for arms it does not know.
    matching, slopes
        What visitors like × what arms are about, and its weights, shape (P,); None: nothing.
    features_touched
        Outcome count at which the landmarks last changed.
    arm_index
        Of the same arms, where there is one already.
    """

    __slots__ = (
        "_flat",
        "_sd_factor",
        "_selections",
        "arm_encoder",
        "arm_features",
        "arm_index",
        "arms",
        "base",
        "features",
        "features_touched",
        "index",
        "matching",
        "n",
        "noise",
        "offset",
        "optimism",
        "prior_variance",
        "slopes",
        "touched",
        "weights",
    )

    def __init__(
        self,
        features: FeatureMap,
        arms: tuple[str, ...],
        weights: Float32Array,
        n: NDArray[np.float64],
        touched: NDArray[np.int64],
        *,
        prior_variance: float,
        offset: float,
        noise: float,
        optimism: float,
        base: Float32Array | None = None,
        arm_features: Float32Array | None = None,
        arm_encoder: FrozenEncoder | None = None,
        matching: Matching | None = None,
        slopes: Float32Array | None = None,
        features_touched: int = 0,
        arm_index: ArmIndex | None = None,
    ) -> None:
        self.features, self.arms, self.weights, self.n, self.touched = features, arms, weights, n, touched
        self.prior_variance, self.offset = prior_variance, offset
        self.noise, self.optimism = noise, optimism
        self.base, self.arm_features, self.arm_encoder = base, arm_features, arm_encoder
        self.matching, self.slopes = matching, slopes
        self.features_touched = features_touched
        self.arm_index = arm_index if arm_index is not None else ArmIndex(arms)
        self.index = self.arm_index.rows
        self._flat = weights.reshape(-1, weights.shape[2])
        self._selections: dict[tuple[str, ...], _Selection] = {}
        self._sd_factor = noise * optimism / math.sqrt(prior_variance * (weights.shape[1] - 1))

    def estimate(
        self, arms: Sequence[str], context: Mapping[Any, Any], arm_features: Mapping[str, Any] | None = None
    ) -> Estimates:
        """Mean, deviation and count of the K ``arms``, shape (K,); one that is not known has the prior."""
        found = self.estimate_all(arms, [context], arm_features)
        return Estimates(found.arms, found.mean[0], found.sd[0], found.n, found.noise_sd)

    def estimate_all(
        self,
        arms: Sequence[str],
        contexts: Sequence[Mapping[Any, Any]],
        arm_features: Mapping[str, Any] | None = None,
    ) -> Estimates:
        """``estimate`` for B contexts at once, shape (B, K): the same bits as one by one.

        B products of a matrix and a vector, not one of two matrices: that would add up in another order, and a
        decision made again from its record would differ in the last digit.
        """
        key = tuple(arms)
        selection = self._selections.get(key)
        if selection is None or (
            # By identity first: the features of a catalog version are one mapping, which nobody changes.
            selection.arm_features is not arm_features and selection.arm_features != arm_features
        ):
            selection = self._select(key, arm_features)
        (rows, unknown, whole), n, bases, _ = selection
        n_arms, width, n_features = self.weights.shape
        phi = self.features.encode_all(contexts)
        columns = phi[:, :, None]
        if whole or 2 * len(key) >= n_arms > 0:
            projected = (self._flat @ columns).reshape(-1, n_arms, width)
            if not whole:
                projected = projected.take(rows, axis=1)
        elif n_arms:
            projected = (self.weights[rows].reshape(-1, n_features) @ columns).reshape(-1, len(key), width)
        else:
            projected = np.zeros((len(contexts), len(key), width), np.float32)
        samples = projected[:, :, 1:]
        squares = np.vecdot(samples, samples)
        mean = projected[:, :, 0].astype(np.float64)
        mean += self.offset
        if unknown is not None:
            mean[:, unknown] = self.offset
            squares[:, unknown] = (width - 1) * np.add.reduce(phi * phi, axis=1, keepdims=True)
        if bases is not None:
            mean += (bases @ columns[:, : bases.shape[1]])[:, :, 0]
        sd = np.sqrt(squares.astype(np.float64))
        sd *= self._sd_factor
        return Estimates(key, mean, sd, n, self.noise)

    def _select(self, key: tuple[str, ...], arm_features: Mapping[str, Any] | None) -> _Selection:
        places = self.arm_index.places(key)
        rows, unknown, whole = places
        n = self.n if whole else self.n.take(rows, mode="clip") if len(self.arms) else np.zeros(len(key))
        if unknown is not None:
            n[unknown] = 0.0
        bases = self.bases(key, rows, arm_features)
        selection = _Selection(places, n, bases, arm_features)
        if len(self._selections) >= MAX_CACHED_SELECTIONS:
            self._selections.clear()
        self._selections[key] = selection
        return selection

    def bases(
        self, arms: Sequence[str], rows: NDArray[np.intp], arm_features: Mapping[str, Any] | None
    ) -> Float32Array | None:
        """What arms have in common, as weights of φ[: 1 + L] of each of K arms, shape (K, 1 + L); None: nothing."""
        if self.base is None:
            return None
        known = np.zeros((len(arms), self.base.shape[0] - 1), np.float32)
        if self.arm_features is not None:
            known[rows >= 0] = self.arm_features[rows[rows >= 0]]
        if self.arm_encoder is not None and arm_features is not None:
            told = [at for at in np.flatnonzero(rows < 0).tolist() if arm_features.get(arms[at])]
            if told:
                known[told] = encode_arms(self.arm_encoder, [arm_features[arms[at]] for at in told])
        bases = _bases(self.base, known)
        if self.matching is not None and self.matching.pairs and self.slopes is not None:
            about = [terms(arm_features.get(arm)) if arm_features else NO_TERMS for arm in arms]
            matches = self.matching.places(self.features.encoder, about)
            coefficients = self.matching.coefficients(self.features, matches)
            bases += (coefficients * self.slopes[:, None]).sum(axis=1)
        return bases


def _bases(base: Float32Array, arm_features: Float32Array) -> Float32Array:
    """[1, g] U of each arm, shape (K, 1 + L), arm by arm: the same bits whatever others are asked for."""
    if base.shape[0] == 1:
        return np.broadcast_to(base, (len(arm_features), base.shape[1])).copy()
    rows = np.empty((len(arm_features), base.shape[1]), np.float32)
    for at, g in enumerate(arm_features):
        rows[at] = base[0] + g @ base[1:]
    return rows

"""Contexts to ask a model about: one feature another than in the mean context, all else as it is there."""

from __future__ import annotations

from collections.abc import Collection
from typing import NamedTuple

import numpy as np

from online_models.adaptive.linear_contributions import estimates_at
from online_models.adaptive.linear_scorer import LinearScorer
from online_models.feature_owners import OTHERS, FeatureOwners
from online_models.frozen_encoder import CLIP, FrozenEncoder
from online_models.reward_model import Float32Array, FloatArray
from online_models.river_model import RiverModel
from online_models.waiting_names import Name


class Probe(NamedTuple):
    """Two contexts that differ in one feature, and how much of what is seen that stands for.

    Attributes
    ----------
    feature
        By the name that the catalog gives it.
    what
        The feature; of a category also the level, as ``device=phone``.
    below, above
        Encoded, shape (d,): a deviation below the mean and one above; of a category the mean, and the level.
    often
        How often a context is like that; of a number 1.
    """

    feature: str
    what: str
    below: Float32Array
    above: Float32Array
    often: float


def probes_of(encoder: FrozenEncoder, n_seen: int, at_least: int, of_few: Collection[Name] = ()) -> list[Probe]:
    """A probe of each number, and of each level seen ``at_least`` so often: a rarer one may name a person.

    Parameters
    ----------
    of_few
        Names and levels that few persons have brought, however often: of these there is none.
    """
    probes = []
    for name, dims in sorted(FeatureOwners(encoder, {}).groups().items()):
        if name == OTHERS:
            continue
        levels = encoder.levels.get(name)
        if levels is None:
            if (name, None) in of_few:
                continue
            dim = encoder.numeric[name]
            if encoder.inverse_sd[dim]:
                above = np.zeros(encoder.n_dims, np.float32)
                above[dim] = 1.0
                probes.append(Probe(name, name, -above, above, 1.0))
            continue
        absent = np.zeros(encoder.n_dims, np.float32)
        absent[dims] = encoder.base[dims]
        for level, dim in sorted(levels.items()):
            often = float(encoder.mean[dim])
            if often * n_seen >= at_least and (name, level) not in of_few:
                above = absent.copy()
                above[dim] = min(CLIP, (1.0 - often) * encoder.inverse_sd[dim])
                probes.append(Probe(name, f"{name}={level}", np.zeros_like(above), above, often))
    return probes


def answers_to(
    scorer: LinearScorer | RiverModel, arms: tuple[str, ...], contexts: list[Float32Array]
) -> FloatArray:
    """Estimates of K arms, all known to the model, in P encoded contexts: shape (P, K), on the scale [0, 1]."""
    if not contexts:
        return np.zeros((0, len(arms)))
    if isinstance(scorer, RiverModel):
        return np.array([[scorer.predict_encoded(arm, z) for arm in arms] for z in contexts])
    return estimates_at(scorer, arms, np.stack(contexts))

"""A frozen model's estimate taken apart by features of the context, for every kind of model."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from online_models.adaptive.linear_contributions import integrated_gradients
from online_models.adaptive.linear_scorer import LinearScorer
from online_models.feature_owners import FeatureOwners
from online_models.reward_model import FloatArray
from online_models.river_contributions import contributions_by_feature
from online_models.river_model import RiverModel
from personalization.explaining.contributions import Contributions


def contributions_of(
    scorer: LinearScorer | RiverModel,
    arm: str,
    context: Mapping[Any, Any],
    arm_features: Mapping[str, Any] | None = None,
    reward_range: tuple[float, float] = (0.0, 1.0),
) -> Contributions:
    """Take the estimate of one arm in this context apart, in reward units; its own features stay as they are.

    The mean context is the one that every feature's mean makes, as far as the model has seen: its z-scores are 0.
    A match of a visitor's liking with what the arm is about is the liking's: the arm is the same in both contexts.
    """
    low, high = reward_range
    scale = high - low
    if isinstance(scorer, RiverModel):
        parts = contributions_by_feature(scorer, arm, context)
        z = scorer.encoder.encode(context)
        known = arm in scorer.n
        mean = scorer.predict_encoded(arm, np.zeros_like(z)) if known else scorer.mean_reward
        estimate = scorer.predict_encoded(arm, z) if known else scorer.mean_reward
    else:
        encoder = scorer.features.encoder
        z64: FloatArray = encoder.encode(context).astype(np.float64)
        found = integrated_gradients(scorer, (arm,), z64, arm_features)
        parts = FeatureOwners(encoder, context).added_up(found.by_dimension[0])
        mean, estimate = float(found.mean[0]), float(found.estimate[0])
    by_feature = {name: scale * part for name, part in parts.items()}
    return Contributions(low + scale * mean, low + scale * estimate, by_feature)

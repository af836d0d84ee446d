"""What each feature of a context has to do with the reward expected of an arm."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Protocol

import msgspec

from personalization.features import Features


class Contributions(msgspec.Struct, frozen=True):
    """Why the estimate of an arm in this context is another than in the mean context.

    Attributes
    ----------
    mean_estimate
        What the model expects of the arm in the mean context, reward units.
    estimate
        What it expects in this one; a model keeps single precision, so that a record may differ by some 1e-6.
    by_feature
        Signed, reward units, the largest first. They sum to ``estimate − mean_estimate``. A feature that the
        context does not name can have one: not to be a subscriber says something, too.
    """

    mean_estimate: float
    estimate: float
    by_feature: dict[str, float]


class ContributionsOf(Protocol):
    """A model that can say so."""

    def contributions(
        self, arm: str, features: Features, arm_features: Mapping[str, Features] | None = None
    ) -> Contributions:
        """Take the estimate of one arm in this context apart.

        Parameters
        ----------
        features
            The context, raw, as it is logged.
        arm_features
            Features of the arms themselves, by arm, as ``RewardScorer.distribution`` takes them.
        """
        ...

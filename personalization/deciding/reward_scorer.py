"""What the decider needs of a model: the probability of every eligible arm. Snapshots of any model fit."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Protocol

from personalization.catalog.policy_spec import PolicySpec
from personalization.deciding.distribution import ArmDistribution
from personalization.features import Features


class RewardScorer(Protocol):
    """A frozen model of one placement, ready to decide."""

    def distribution(
        self,
        arms: Sequence[str],
        features: Features,
        *,
        policy: PolicySpec,
        arm_features: Mapping[str, Features] | None = None,
    ) -> ArmDistribution:
        """The probabilities of ``arms`` (K ≥ 1) in this context; same inputs, same answer."""
        ...

    def distributions(
        self,
        arms: Sequence[str],
        contexts: Sequence[Features],
        *,
        policy: PolicySpec,
        arm_features: Mapping[str, Features] | None = None,
    ) -> Sequence[ArmDistribution]:
        """``distribution`` in each of several contexts, the very same answers."""
        ...

"""What a rebuild begins with: enough to begin it once more from a checkpoint."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import numpy as np

from online_models.adaptive.arm_attributes import ArmAttributes
from online_models.adaptive.feature_map import FeatureMap, feature_map
from online_models.adaptive.landmarks import Landmarks
from online_models.adaptive.matching import Matching, fitted_matching
from online_models.adaptive.profile import Profile
from online_models.adaptive.row_buffer import RowBuffer
from online_models.frozen_encoder import FrozenEncoder
from online_models.reward_model import FloatArray
from personalization.features import FeatureValue

MATCHING_ROWS = 1_024


@dataclass(slots=True)
class Plan:
    """What a rebuild begins with.

    Attributes
    ----------
    first, last
        Numbers of the rows to fit: [first, last).
    first_trial
        From this row on they also judge the profiles.
    profiles
        Indices of the profiles to judge; one alone is taken unseen.
    encoder, width
        The scaler from now on, and the room for linear features.
    metric
        See ``learned_metric``; None: the plain one.
    n_random
        Landmarks D of a profile that has them, at most.
    offset
        m₀.
    in_force
        Index of the profile there is.
    attributes
        Of the arms.
    held
        Index of the profile in force where its regressions know rows that are kept no more: it is not fitted
        anew, and forgets nothing.
    late
        Raw features of arms that came since, as they were when they came.
    """

    first: int
    last: int
    first_trial: int
    profiles: tuple[int, ...]
    encoder: FrozenEncoder
    width: int
    metric: FloatArray | None
    n_random: int
    offset: float
    in_force: int
    attributes: ArmAttributes
    n_samples: int
    seed: int
    held: int | None = None
    late: dict[str, dict[str, FeatureValue]] = field(default_factory=dict)

    def dump(self) -> dict[str, Any]:
        """Everything, as plain values."""
        return {
            "rows": [self.first, self.last, self.first_trial],
            "profiles": list(self.profiles),
            "encoder": self.encoder.dump(),
            "width": self.width,
            "metric": self.metric.tobytes() if self.metric is not None else None,
            "n_random": self.n_random,
            "offset": self.offset,
            "in_force": self.in_force,
            "attributes": self.attributes.dump(),
            "n_samples": self.n_samples,
            "seed": self.seed,
            "held": self.held,
            "late": dict(self.late),
        }

    @classmethod
    def load(cls, state: dict[str, Any]) -> Plan:
        """The inverse of ``dump``."""
        metric = None
        if state["metric"] is not None:
            metric = np.frombuffer(state["metric"], np.float64)
            metric = metric.reshape(int(len(metric) ** 0.5), -1).copy()
        first, last, first_trial = state["rows"]
        return cls(
            first,
            last,
            first_trial,
            tuple(state["profiles"]),
            FrozenEncoder.load(state["encoder"]),
            state["width"],
            metric,
            state["n_random"],
            state["offset"],
            state["in_force"],
            ArmAttributes.load(state["attributes"]),
            state["n_samples"],
            state["seed"],
            state["held"],
            {name: dict(each) for name, each in state["late"].items()},
        )

    def features(self, profile: Profile, landmarks: Landmarks | None) -> FeatureMap:
        """φ under this profile."""
        return feature_map(self.encoder, self.width, profile.linear, profile.random, landmarks)

    def shares(self, profile: Profile) -> bool:
        """Whether arms have a regression in common."""
        return profile.shared or self.attributes.width > 0

    def matching(self, buffer: RowBuffer) -> Matching:
        """The matches there are between what visitors like and what arms are about."""
        raw, arm, _ = buffer.rows(max(self.first, self.last - MATCHING_ROWS), self.last)
        known = arm >= 0
        return fitted_matching(self.encoder, self.attributes.terms, raw[known], arm[known])

"""What a reward model is: a River estimator over ``{"arm": id, **context}``.

Any River regressor or classifier fits behind ``learn_one`` and ``predict_one`` (or ``predict_proba_one``).
One that also offers ``score_arms`` is scored for all arms in one vectorised call.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple, Protocol, TypeAlias, runtime_checkable

import numpy as np
from numpy.typing import NDArray

FloatArray: TypeAlias = NDArray[np.float64]
Float32Array: TypeAlias = NDArray[np.float32]

ARM = "arm"
"""Key of the arm's id in what a reward model learns from."""


ARM_FEATURES = "arm_features"
"""Key of the arm's own features there, a map; it may be missing."""


MIN_ROOM = 0.02


def in_turn(p: FloatArray) -> FloatArray:
    """Sums along the last axis, kept, shape (…, 1), added up one after the other, as plain Python does."""
    total: FloatArray = np.add.accumulate(p, axis=-1)[..., -1:]
    return total


class Scores(NamedTuple):
    """Estimated reward of K arms: posterior ``mean`` and standard deviation ``sd``, shape (K,), float64."""

    mean: FloatArray
    sd: FloatArray


@dataclass(frozen=True, slots=True)
class Estimates:
    """All that an exploration policy may look at. Rewards are on the scale [0, 1].

    For one context, or for B contexts with the same eligible arms at once: a policy works along the last axis,
    so that a context's probabilities are the same bits whatever others it is scored with.

    Attributes
    ----------
    arms
        Ids of the K eligible arms.
    mean, sd
        Reward estimate and its posterior standard deviation, shape (K,) or (B, K).
    n
        Outcomes learned per arm, shape (K,).
    noise_sd
        Standard deviation of one reward around its mean (σ), a scalar.
    """

    arms: tuple[str, ...]
    mean: FloatArray
    sd: FloatArray
    n: FloatArray
    noise_sd: float = 0.5
    _room: list[FloatArray] = field(default_factory=list, init=False, repr=False, compare=False)

    @property
    def room(self) -> FloatArray:
        """What is still to be gained: 1 − the best estimate, in [0.02, 1], shape (1,) or (B, 1).

        Near the top of the scale exploring can win little, so optimism and floors shrink with it.
        """
        if not self._room:  # worked out once: policy and floors both ask for it
            best = np.maximum.reduce(self.mean, axis=-1, keepdims=True)
            self._room.append(np.minimum(1.0, np.maximum(MIN_ROOM, 1.0 - best)))
        return self._room[0]


@runtime_checkable
class RewardModel(Protocol):
    """The part of River's protocol the loop needs."""

    def learn_one(self, x: dict[str, Any], y: Any) -> None:
        """Learn the reward ``y`` of the arm ``x["arm"]`` in the context that is the rest of ``x``."""

    def predict_one(self, x: dict[str, Any]) -> Any:
        """The reward expected of ``x["arm"]`` in this context."""


@runtime_checkable
class VectorisedRewardModel(RewardModel, Protocol):
    """A reward model that scores all arms at once."""

    def score_arms(self, x: dict[str, Any], arms: Sequence[str]) -> Scores:
        """Means and standard deviations of the ``arms`` in the context ``x`` (without ``arm``)."""

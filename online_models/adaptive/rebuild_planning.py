"""What the next rebuild fits, and what it goes by: rows, offset, metric, and the profiles that are judged."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from online_models.adaptive.arm_book import ArmBook
from online_models.adaptive.arm_regressions import ArmRegressions
from online_models.adaptive.dimensions import room_for
from online_models.adaptive.metric import learned_metric
from online_models.adaptive.profile import PROFILES, flexible_leads_at
from online_models.adaptive.rebuild import Built
from online_models.adaptive.rebuild_plan import Plan
from online_models.adaptive.row_buffer import FORGOTTEN, RowBuffer
from online_models.frozen_encoder import FrozenEncoder
from online_models.reward_model import Float32Array, FloatArray

WINDOW = 8_192
"""Rows fitted at a noise of ½; at 2 % clicks they would hold 160 clicks, so that it grows with 1/σ⁴."""

TRIAL_ROWS = 8_192
"""That judge the profiles, at a noise of ½: as many as will be fitted. With 768 a linear profile won on letters and
shuttles at 5,000 rows, because so few hold no more; with 2,048, on an exclusive or of four features."""

FIRST_TRIAL = 48
"""Rows below which no profile can be told from another."""

METRIC_ROWS = 512
OFFSET_REWARDS = 16.0
"""m₀ is the mean reward until so many have come: chosen nearly at random, as an arm not known would bring, and
enough at any rate (the first 64 rows at 2 % may hold no click or three)."""

MAX_FLOATS = 8 << 20
"""Of P over all arms (32 MB) up to which landmarks are allowed."""

SETTLED_ROWS = 1_024
"""Rows of a fit behind which the scaling of features is good for ever."""


class RebuildPlanning:
    """Plans rebuilds, and knows what the last one came to.

    Parameters
    ----------
    n_random
        Random landmarks D, at most; 0: linear.
    n_samples, seed
        Of the model.

    Attributes
    ----------
    profile
        Index of the one in force.
    fitted
        Rows that the regressions in force were fitted to.
    """

    def __init__(self, n_random: int, n_samples: int, seed: int) -> None:
        self.n_random = n_random
        self.n_samples = n_samples
        self.seed = seed
        self.profile = 0
        self.fitted = 0
        self._offset = 0.0
        self._offset_n = 0
        self._metric: FloatArray | None = None

    def plan(
        self,
        buffer: RowBuffer,
        first_row: int,
        encoder: FrozenEncoder,
        regressions: ArmRegressions,
        arms: ArmBook,
        noise_of_a_coin: float,
        *,
        judge: bool,
    ) -> tuple[Plan, int]:
        """What a rebuild that begins now fits, and how many rows it would fit at most.

        Parameters
        ----------
        first_row
            Number of the first row that still holds.
        noise_of_a_coin
            See ``RewardNoise``.
        judge
            Whether the profiles compete.
        """
        n = buffer.n
        quarter = 0.25 / noise_of_a_coin**2
        window = min(buffer.capacity - buffer.capacity // 8, int(WINDOW * quarter * quarter))
        first = max(buffer.oldest, first_row, n - window)
        if self._offset * self._offset_n < OFFSET_REWARDS:
            self._look_at_offset(buffer, first)
        if regressions.profile.random:
            raw, arm, _ = buffer.rows(max(first, n - METRIC_ROWS), n)
            metric = learned_metric(regressions, raw[arm >= 0], arm[arm >= 0])
            self._metric = metric if metric is not None else self._metric
        # The context being learned may have brought features that nothing was widened for yet.
        width = max(regressions.features.width, room_for(encoder.n_dims))
        profiles = tuple(range(len(PROFILES)))
        if not self.fits_random(len(arms), regressions.features.width):
            profiles = profiles[1:]
        first_trial = max(first, n - int(TRIAL_ROWS * quarter))
        n_forgotten = buffer.n_forgotten(first_trial, n)
        too_few = n < FIRST_TRIAL or (n_forgotten > 0 and n - first_trial - n_forgotten < FIRST_TRIAL)
        if not judge or too_few:
            if too_few and not flexible_leads_at(encoder.n_dims):
                self.profile = max(1, self.profile)
            profiles = (self.profile,) if self.profile in profiles else profiles[:1]
        plan = Plan(
            first,
            n,
            first_trial,
            profiles,
            encoder,
            width,
            self._metric,
            self.n_random,
            self._offset,
            self.profile,
            arms.attributes(),
            self.n_samples,
            self.seed,
            self._held(first, first_row) if judge else None,
        )
        return plan, window

    def fits_random(self, n_arms: int, width: int) -> bool:
        """Whether so many arms may have landmarks beside so many linear features."""
        n_features = 1 + width + self.n_random
        return n_arms * n_features * n_features <= MAX_FLOATS

    def taken(self, plan: Plan, built: Built) -> None:
        """What was built is in force."""
        self.fitted, self.profile = plan.last - plan.first, built.profile

    def select(self, kept: NDArray[np.intp]) -> None:
        """Only these dimensions stay."""
        if self._metric is not None:
            inside = kept[kept < len(self._metric)]
            self._metric = self._metric[np.ix_(inside, inside)] if len(inside) else None

    def _look_at_offset(self, buffer: RowBuffer, first: int) -> None:
        _, arm, reward = buffer.rows(first, buffer.n)
        known = arm != FORGOTTEN
        if known.any():
            self._offset = _mean(reward[known], buffer.roots(first, buffer.n)[known])
            self._offset_n = int(known.sum())

    def _held(self, first: int, first_row: int) -> int | None:
        """The profile in force where fitting it to the rows from ``first`` on would only forget.

        With landmarks a new fit also brings a better metric. At a hundred thousand ratings of films,
        forgetting costs .01 of the hit rate.
        """
        linear = not PROFILES[self.profile].random
        return self.profile if linear and self.fitted >= SETTLED_ROWS and first > first_row else None

    def dump(self) -> dict[str, Any]:
        """Everything but what the model is made with, as plain values."""
        return {
            "offset": [self._offset, self._offset_n],
            "metric": self._metric.tobytes() if self._metric is not None else None,
            "profile": self.profile,
        }

    def take_up(self, state: dict[str, Any], fitted: int) -> None:
        """Go on where another stood: the inverse of ``dump``."""
        self._offset, self._offset_n = state["offset"]
        if state["metric"] is not None:
            metric = np.frombuffer(state["metric"], np.float64)
            self._metric = metric.reshape(int(len(metric) ** 0.5), -1).copy()
        self.profile, self.fitted = state["profile"], fitted


def _mean(reward: Float32Array, root: Float32Array) -> float:
    """The weighted mean of the rewards."""
    if (root == 1.0).all():
        return float(reward.mean(dtype=np.float64))
    return float(np.average(reward, weights=root.astype(np.float64) ** 2))

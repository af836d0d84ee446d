"""Whether a model's predictions came true, of all arms of one side of a placement together."""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

from personalization.catalog.duration import DAY_MS
from personalization.projecting.arms import N_BINS, ArmOfSide, ArmSums

OVER_MS = 7 * DAY_MS
"""Looked back on."""


class Calibrated(NamedTuple):
    """Outcomes whose prediction lay in one tenth of the reward's range, reward units.

    Attributes
    ----------
    low, high
        The tenth.
    n
        Outcomes, by weight.
    predicted, observed
        Means of what was predicted when they were decided, and of what came.
    """

    low: float
    high: float
    n: float
    predicted: float
    observed: float


def calibration(
    arms: Mapping[ArmOfSide, ArmSums], side: str, reward_range: tuple[float, float]
) -> list[Calibrated]:
    """The tenths in which something was predicted, in order.

    Parameters
    ----------
    side
        A variant's name; empty: the placement as it is written.
    """
    low, high = reward_range
    width = (high - low) / N_BINS
    found = []
    for at in range(N_BINS):
        bins = [sums.calibration[at] for of, sums in arms.items() if of.side == side]
        n = sum(each.n for each in bins)
        if n > 0.0:
            predicted, reward = sum(each.predicted for each in bins), sum(each.reward for each in bins)
            found.append(Calibrated(low + at * width, low + (at + 1) * width, n, predicted / n, reward / n))
    return found

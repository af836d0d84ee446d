"""How strongly weights are held at zero, and the choice among such profiles by their errors at rows left out."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from online_models.reward_model import FloatArray

CLEAR = 3.0
"""Standard errors by which another profile must predict better than the first before it takes over."""

STAY = 2.0
"""As many, by which it must go on doing so."""

MATERIAL = 0.006
"""Of the spread of one reward, by which it must do so before it takes over. A policy that is right nearly always
hardly tries what is wrong, so that "this arm brings 1" predicts a little better than the truth, and surely: by
.0025 and twenty standard errors, and a fifth of all rewards was lost. Where linear profiles belong, they gain .05
and more while they are new."""

MAX_FLEXIBLE_DIMS = 128
"""Encoded features up to which the first profile leads; beyond, the linear ones do. A kernel over so many that
most say nothing tells no contexts apart: at 180 and 240 features its lead cost .013 to .017 of all rewards, and
half of the time; at 140 normal ones .012, at 100 nothing (``benchmarks.wide``)."""

AS_GOOD = 1.0
"""Standard errors within which a more rigid profile counts as good as the best."""


class Profile(NamedTuple):
    """A prior: what the weights may be before anything was learned.

    Attributes
    ----------
    linear, random
        Variance of the linear block and of the features at random landmarks, in units of the noise variance per
        weight; 0: without.
    shared
        Whether arms have one regression in common even without features of their own, and are fitted to what it
        leaves. No profile below has it: at 2 % clicks it halved what was learned, on Jester it gained nothing.
    optimism
        Deviation of an arm never tried, in units of the noise.
    """

    linear: float
    random: float
    shared: bool
    optimism: float

    @property
    def variance(self) -> float:
        """φᵀφ of a typical context: the intercept, z-scores of square d under (2.5/√d)², the landmarks."""
        return 1.0 + 6.25 * self.linear + self.random


FLEXIBLE = Profile(1.0, 9.0, shared=False, optimism=2.0)
"""For rewards that are a clear, curved function of the context."""

PROFILES = (
    FLEXIBLE,
    Profile(1.0, 0.0, shared=False, optimism=2.0),
    Profile(1 / 6, 0.0, shared=False, optimism=1.5),
    Profile(1 / 30, 0.0, shared=False, optimism=1.0),
    Profile(1 / 100, 0.0, shared=False, optimism=1.0),
)
"""Judged in this order: the first leads unless another is clearly better. All but it are linear."""


def flexible_leads_at(n_dims: int) -> bool:
    """Whether the first profile leads over so many encoded features."""
    return n_dims <= MAX_FLEXIBLE_DIMS


def best_of(squared: list[FloatArray], rewards: FloatArray, in_force: int = 0, flexible_leads: bool = True) -> int:
    """Index of the profile to take; they are ordered from the most flexible to the most rigid.

    The first, unless another predicts clearly and materially better, or still by two standard errors once the first
    is left; then the most rigid one that is no worse than the best by more than chance (the one-standard-error
    rule): at a few per cent leave-one-out error hardly separates the linear profiles.

    Parameters
    ----------
    squared
        Squared errors of each profile, shape (n,).
    rewards
        Shape (n,), in [0, 1].
    in_force
        Index of the profile there is.
    flexible_leads
        Whether it is the first that leads; else it is the others, of which it must be better in the same way.
    """
    best = int(np.argmin([each.sum() for each in squared]))
    if not flexible_leads and len(squared) > 1:
        best = 1 + int(np.argmin([each.sum() for each in squared[1:]]))
        needed = CLEAR if in_force else STAY
        material = not in_force or _is_material(squared[best], squared[0], rewards)
        if _gain(squared[best], squared[0]) > needed and material:
            return 0
        return _most_rigid(squared, best)
    standard_errors = _gain(squared[0], squared[best])
    if in_force and standard_errors <= STAY:
        return 0
    if not in_force and (standard_errors <= CLEAR or not _is_material(squared[0], squared[best], rewards)):
        return 0
    return _most_rigid(squared, best)


def _most_rigid(squared: list[FloatArray], best: int) -> int:
    return max(i for i, each in enumerate(squared) if i >= best and _gain(each, squared[best]) <= AS_GOOD)


def _is_material(worse: FloatArray, better: FloatArray, rewards: FloatArray) -> bool:
    return float((worse - better).mean()) > MATERIAL * spread_of(rewards)


def spread_of(rewards: FloatArray) -> float:
    """Variance of the rewards, as if no more than half of what could be had were: near the top it is not small.

    >>> spread_of(np.array([1.0, 0.0, 0.0, 0.0])), spread_of(np.array([1.0, 1.0, 1.0, 0.0]))
    (0.1875, 0.25)
    """
    mean = float(rewards.mean())
    coin, capped = mean * (1.0 - mean), min(0.5, mean)
    return capped * (1.0 - capped) * (float(rewards.var()) / coin if coin > 0.0 else 1.0)


def _gain(worse: FloatArray, better: FloatArray) -> float:
    """Paired gain of one over the other, in standard errors."""
    gain = worse - better
    return float(gain.sum() / np.sqrt((gain * gain).sum() + 1e-12))

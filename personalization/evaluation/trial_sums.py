"""Sums over decisions that a policy on trial was asked beside."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(slots=True)
class TrialSums:
    """Sums over decisions of one placement that one policy on trial was asked beside.

    Attributes
    ----------
    n_decisions, match
        How many, and Σ min(1, w): in so many both may make the very same choice, if they draw alike.
    n
        Outcomes, by weight; the sums below count by it too.
    n_clipped
        Those whose ratio counts less than it was.
    ratios, ratio_squares
        Σw and Σw².
    reward, reward_squares
        Σr and Σr².
    weighed, weighed_squares
        Σwr and Σw²r².
    products, cross
        Σwr² and Σw²r.
    """

    n_decisions: float = 0.0
    match: float = 0.0
    n: float = 0.0
    n_clipped: float = 0.0
    ratios: float = 0.0
    ratio_squares: float = 0.0
    reward: float = 0.0
    reward_squares: float = 0.0
    weighed: float = 0.0
    weighed_squares: float = 0.0
    products: float = 0.0
    cross: float = 0.0

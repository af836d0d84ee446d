"""What a policy on trial would have brought beyond the one in force, with an interval that is valid at every look.

The value of the policy on trial is self-normalised inverse propensity scoring (Swaminathan and Joachims 2015), the
difference to the mean that was earned is linearised around both, and the interval is that of ``asymptotic``. An
outcome counts as one, whoever's it is: where visitors are rewarded many times, ``nextbest evaluate`` says more.
"""

from __future__ import annotations

import math

import msgspec

from personalization.evaluation.asymptotic import half_width
from personalization.evaluation.trial_sums import TrialSums

LEAST_OUTCOMES, LEAST_EFFECTIVE = 1_000, 200
"""Fewer outcomes, or as many that tell as much as fewer of equal weight, say nothing of the variance."""


class PolicyTrial(msgspec.Struct, rename="camel", frozen=True, kw_only=True):
    """A policy on trial, compared.

    Attributes
    ----------
    n_decisions, match_rate
        Decisions that it was asked beside, and the share in which both may make the same choice: 1 less their total
        variation distance.
    n_outcomes, effective
        Outcomes that are compared, and how many of equal weight tell as much (Kish 1965).
    in_force, on_trial
        The mean reward of a decision by the policy in force, and by the other; None: too few to say.
    difference, low, high
        That of the policy on trial less that of the one in force, with a 95 % interval.
    missing
        Why nothing can be said yet, and what to do; empty: something can.
    """

    n_decisions: int
    match_rate: float | None
    n_outcomes: int
    effective: int
    in_force: float | None = None
    on_trial: float | None = None
    difference: float | None = None
    low: float | None = None
    high: float | None = None
    missing: str = ""


def compare(sums: TrialSums, alpha: float = 0.05) -> PolicyTrial:
    """Compare the two policies.

    >>> compare(TrialSums()).missing
    'nothing was decided yet beside which it was asked'
    """
    n_decisions, n = round(sums.n_decisions), sums.n
    match = sums.match / sums.n_decisions if sums.n_decisions else None
    effective = sums.ratios**2 / sums.ratio_squares if sums.ratio_squares else 0.0
    missing = _missing(sums, effective)
    if missing:
        return PolicyTrial(
            n_decisions=n_decisions,
            match_rate=match,
            n_outcomes=round(n),
            effective=round(effective),
            missing=missing,
        )
    earned, mean_ratio = sums.reward / n, sums.ratios / n
    value = sums.weighed / sums.ratios
    of_trial = (sums.weighed_squares - 2 * value * sums.cross + value**2 * sums.ratio_squares) / n
    of_force = sums.reward_squares / n - earned**2
    of_both = (sums.products - (value + earned) * sums.weighed + value * earned * sums.ratios) / n
    variance = of_trial / mean_ratio**2 - 2 * of_both / mean_ratio + of_force
    half = half_width(n, math.sqrt(max(0.0, variance)), alpha)
    return PolicyTrial(
        n_decisions=n_decisions,
        match_rate=match,
        n_outcomes=round(n),
        effective=round(effective),
        in_force=earned,
        on_trial=value,
        difference=value - earned,
        low=value - earned - half,
        high=value - earned + half,
    )


def _missing(sums: TrialSums, effective: float) -> str:
    if not sums.n_decisions:
        return "nothing was decided yet beside which it was asked"
    if not sums.n:
        return "no decision has closed yet: wait until the reward window ends"
    if sums.n < LEAST_OUTCOMES:
        return f"{sums.n:,.0f} outcomes are too few to compare policies by; wait for {LEAST_OUTCOMES:,}"
    if effective < LEAST_EFFECTIVE:
        return (
            f"it chooses otherwise so often that {sums.n:,.0f} outcomes tell as much as {effective:,.0f}: "
            "wait for more, or raise min_probability of the policy in force"
        )
    return ""

"""What policies on trial would have chosen and brought, beside those in force, by day: sums over their decisions.

An outcome counts by the ratio w of the probabilities that the two policies gave its arm. The sums give the value of
the policy on trial, and what it would have brought beyond the one in force, with variances.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import fields

from personalization.catalog.duration import DAY_MS
from personalization.evaluation.trial_sums import TrialSums
from personalization.events.outcome import EARNED
from personalization.events.participant import Participant
from personalization.projecting.facts import DecisionFact, OutcomeFact
from personalization.projecting.sums import Bucket, ReadSums, Sums, add

KEPT_DAYS = 90

MAX_RATIO = 100.0
"""Larger ratios count as this: few decisions would outweigh all others. It makes a better policy look less good."""


class Trials:
    """The read model: adds decisions and outcomes that a policy on trial was asked beside.

    A placement has a bucket of each day; in it a sum is called by what the trial is called.
    """

    def begin(self, now_ms: int) -> list[str]:
        """It has to know nothing beforehand."""
        return []

    def remember(self, buckets: Mapping[str, ReadSums]) -> None:
        """Nothing is remembered."""

    def decided(self, fact: DecisionFact, sums: Sums) -> None:
        """Add a decision."""
        choice = fact.choice
        if choice.trial:
            numbers = TrialSums(n_decisions=1.0, match=min(1.0, choice.trial_weight / choice.weight))
            self._add(choice.placement, choice.trial, fact.decided_at_ms, numbers, sums)

    def closed(self, fact: OutcomeFact, sums: Sums) -> None:
        """Add an outcome, if all is known that the decision earned."""
        choice = fact.choice
        if not choice.trial or not fact.trains or fact.reason not in EARNED or fact.exposed_at_ms is None:
            return
        k, r, ratio = fact.sample_weight, fact.reward, choice.trial_weight / choice.weight
        w = min(ratio, MAX_RATIO)
        numbers = TrialSums(
            n=k,
            n_clipped=k * (ratio > MAX_RATIO),
            ratios=k * w,
            ratio_squares=k * w * w,
            reward=k * r,
            reward_squares=k * r * r,
            weighed=k * w * r,
            weighed_squares=k * w * w * r * r,
            products=k * w * r * r,
            cross=k * w * w * r,
        )
        self._add(choice.placement, choice.trial, fact.closed_at_ms, numbers, sums)

    def participated(self, participant: Participant, sums: Sums) -> None:
        """A participant is no decision."""

    def _add(self, placement: str, trial: int, at_ms: int, numbers: TrialSums, sums: Sums) -> None:
        day = at_ms // DAY_MS
        to = sums[Bucket(bucket_name(placement, day), (day + KEPT_DAYS) * DAY_MS)]
        add(to, str(trial), [getattr(numbers, name) for name in _NAMES])


def bucket_name(placement: str, day: int) -> str:
    """The name of a placement's bucket of a day since 1970.

    >>> bucket_name("hero", 20_000)
    'trials:20000:hero'
    """
    return f"trials:{day}:{placement}"


def trials_in(buckets: Iterable[ReadSums]) -> dict[int, TrialSums]:
    """What the sums of a placement's buckets say, by what a trial is called."""
    found: dict[int, TrialSums] = {}
    for sums in buckets:
        for trial, numbers in sums.items():
            of_trial = found.setdefault(int(trial), TrialSums())
            for name, number in zip(_NAMES, numbers, strict=False):
                setattr(of_trial, name, getattr(of_trial, name) + number)
    return found


_NAMES = tuple(each.name for each in fields(TrialSums))

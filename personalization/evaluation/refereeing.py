"""What has to become of a policy on trial: promoted if it would have brought more, taken back if it does harm."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal, NamedTuple

from personalization.catalog.sections.challengers import DEMOTED, PROMOTED, Standing, contest_of
from personalization.catalog.sections.metrics import is_reward
from personalization.catalog.sections.placements import Placement
from personalization.catalog.split import CONTROL
from personalization.evaluation.experiment_report import TREATED, Difference
from personalization.evaluation.policy_trial import PolicyTrial


class Verdict(NamedTuple):
    """A policy is to be promoted or demoted; ``why``, for people."""

    becomes: Literal["promoted", "demoted"]
    why: str


def standing_of(placement: Placement, standing: Standing | None) -> Standing | None:
    """The standing, if it is said of the two policies that the placement has now."""
    if placement.challenger is None or standing is None or standing.contest != contest_of(placement):
        return None
    return standing


def promotion(placement: Placement, standing: Standing | None, trial: PolicyTrial) -> Verdict | None:
    """Whether the policy on trial is to take the other one's place by itself.

    Parameters
    ----------
    placement
        As it is written.
    trial
        Of its challenger, beside the policy in force.
    """
    challenger = placement.challenger
    if challenger is None or challenger.promote != "when_better" or standing_of(placement, standing) is not None:
        return None
    if trial.low is None or trial.low <= 0.0:
        return None
    return Verdict(
        PROMOTED,
        f"{challenger.policy.name} would have brought {trial.on_trial:.4g} a decision, {placement.policy.name} "
        f"brought {trial.in_force:.4g}: {trial.difference:.4g} more, at least {trial.low:.4g}",
    )


def demotion(
    placement: Placement, standing: Standing | None, since_promoted: Sequence[Difference]
) -> Verdict | None:
    """Whether a policy that was promoted is to be taken back: its visitors were rewarded less than the control's.

    Parameters
    ----------
    since_promoted
        What was found of those who came to the placement since.
    """
    known = standing_of(placement, standing)
    if known is None or known.is_now != PROMOTED:
        return None
    for each in since_promoted:
        of_all = (each.side, each.against, each.segment) == (TREATED, CONTROL, "")
        if of_all and is_reward(each.metric):
            is_worse = each.high is not None and each.high < 0.0
            return Verdict(DEMOTED, each.words) if is_worse else None  # the first reward decides: it is one look
    return None

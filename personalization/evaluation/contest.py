"""How a placement's challenger stands beside the policy in force, with what it would have brought, in words."""

from __future__ import annotations

from collections.abc import Mapping

import msgspec

from personalization.catalog.compiled_catalog import CompiledCatalog
from personalization.catalog.sections.challengers import Shadow
from personalization.evaluation.policy_trial import PolicyTrial, compare
from personalization.evaluation.refereeing import standing_of
from personalization.evaluation.trial_sums import TrialSums


class Contest(msgspec.Struct, rename="camel", frozen=True, kw_only=True):
    """Two policies of a placement: the one in force, and the one on trial.

    Attributes
    ----------
    standing
        ``on trial``, ``promoted`` or ``demoted``: what became of the challenger.
    since_ms
        Since when, milliseconds since 1970; 0: from the beginning.
    words
        What was found, as a sentence.
    """

    placement: str
    in_force: str
    on_trial: str
    standing: str
    since_ms: int
    why: str
    found: PolicyTrial
    words: str


def contest_in(catalog: CompiledCatalog, name: str, shadow: Shadow, trials: Mapping[int, TrialSums]) -> Contest:
    """That of one of the catalog's placements.

    Parameters
    ----------
    shadow
        What is on trial there.
    trials
        What policies on trial would have brought there, by what a trial is called.
    """
    placement = catalog.placements[name]
    known = standing_of(catalog.catalog.placements[name], catalog.standings.get(name))
    standing, why = ("on trial", "") if known is None else (known.is_now, known.why)
    in_force, on_trial = placement.spec.policy.name, shadow.policy.name
    found = compare(trials.get(shadow.trial, TrialSums()))
    became = f" The challenger is {standing}, {why}." if why else ""
    return Contest(
        placement=name,
        in_force=in_force,
        on_trial=on_trial,
        standing=standing,
        since_ms=0 if known is None else known.since_ms,
        why=why,
        found=found,
        words=trial_words(in_force, on_trial, found) + became,
    )


def trial_words(in_force: str, on_trial: str, found: PolicyTrial) -> str:
    """What was found of a policy on trial, as a sentence.

    >>> numbers = {"n_decisions": 9, "match_rate": 0.5, "n_outcomes": 9, "effective": 5}
    >>> trial_words("default", "thompson", PolicyTrial(difference=0.1, low=0.05, high=0.15, **numbers))
    'thompson would have brought 0.1 more a decision, between 0.05 and 0.15 (9 outcomes).'
    """
    if found.difference is None or found.low is None or found.high is None:
        return f"{on_trial} cannot be compared yet: {found.missing}."
    if found.match_rate == 1.0:
        return f"{on_trial} would have chosen just as {in_force} did, in every decision so far."
    if found.low <= 0.0 <= found.high:
        between = f"the difference lies between {found.low:.4g} and {found.high:.4g}"
        return f"{on_trial} would have brought neither clearly more nor less: {between}."
    more, ends = ("more", (found.low, found.high)) if found.low > 0.0 else ("less", (-found.high, -found.low))
    return (
        f"{on_trial} would have brought {abs(found.difference):.4g} {more} a decision, "
        f"between {ends[0]:.4g} and {ends[1]:.4g} ({found.n_outcomes:,} outcomes)."
    )

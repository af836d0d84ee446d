"""What a visitor would see: decided as any request is, by the same steps, and written down nowhere.

Each placement is decided with what was shown before it, as in one call. What comes out has no ids: nothing was
exposed, nothing can be rewarded.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field

from personalization.audience.variables import VisitorScope
from personalization.deciding.call import Call
from personalization.deciding.decision import Decision
from personalization.deciding.distribution import ArmDistribution
from personalization.deciding.eligibility import RULE
from personalization.deciding.filling import Filling
from personalization.deciding.questions import Question
from personalization.deciding.request import PlacementRequest
from personalization.deciding.slots import fill
from personalization.explaining.facts import Facts, take_over
from personalization.explaining.refusal_words import refusal_words
from personalization.explaining.rule_reasons import RuleReason, explain_rule


@dataclass(frozen=True, slots=True)
class PreviewedArm:
    """An arm that may be shown.

    Attributes
    ----------
    estimate, uncertainty
        What the model expects of it, in units of reward, and the standard deviation of that; None: none was asked.
    """

    content: str
    probability: float
    estimate: float | None
    uncertainty: float | None


@dataclass(frozen=True, slots=True)
class PreviewedSlot:
    """What would stand in a slot.

    Attributes
    ----------
    decision
        One draw of it; its id is nobody's.
    arms
        What it was drawn from; empty for a choice that the session keeps.
    """

    decision: Decision
    arms: tuple[PreviewedArm, ...]


@dataclass(frozen=True, slots=True)
class RefusedArm:
    """An arm that may not be shown.

    Attributes
    ----------
    reason
        The word that records have for it.
    words
        The same for people.
    rule
        Why its rule does not hold, if that is the reason.
    """

    content: str
    reason: str
    words: str
    rule: RuleReason | None = None


@dataclass(slots=True)
class PreviewedPlacement:
    """What a visitor would see in a placement.

    Attributes
    ----------
    rule
        Why the placement's own rule holds or does not; None: it has none.
    missing
        The purpose without whose consent nothing is personalised here; None: none is missing.
    held_out
        Whether the visitor is served its control.
    variant
        Empty: none.
    """

    placement: str
    rule: RuleReason | None
    missing: str | None
    held_out: bool
    variant: str
    slots: list[PreviewedSlot] = field(default_factory=list)
    refused: list[RefusedArm] = field(default_factory=list)


def previewed(call: Call, facts: Facts) -> Iterator[PreviewedPlacement]:
    """Each placement that the call asks for, in its order."""
    take_over(call.scope, facts)
    for asked in call.request.placements:
        yield _placement(call, asked, facts)


def _placement(call: Call, asked: PlacementRequest, facts: Facts) -> PreviewedPlacement:
    placement = call.catalog.placements[asked.placement]
    missing = call.consents.missing(placement.compiled.consent)
    scope = call.scope_without(missing)
    if scope is not call.scope:
        take_over(scope, facts)
    filling = Filling(call, placement, scope, missing)
    when = filling.placement.compiled.when
    found = PreviewedPlacement(
        asked.placement,
        None if when is None else explain_rule(when, scope),
        missing,
        filling.control,
        filling.placement.compiled.variant,
    )
    for slot in range(asked.slots or placement.compiled.spec.slots):
        n_drawn = len(call.answer.distributions)
        if not _filled(filling, slot):
            break
        drawn_from = call.answer.distributions[n_drawn:]
        found.slots.append(PreviewedSlot(call.answer.decisions[-1], _arms(drawn_from[0]) if drawn_from else ()))
    found.refused = [_refused(filling, arm, reason, scope) for arm, reason in filling.filtered.items()]
    return found


def _filled(filling: Filling, slot: int) -> bool:
    """Fill a slot, asking the model at once; False where nothing is left to show."""
    steps = fill(filling, slot)
    try:
        question: Question = next(steps)
        while True:
            try:
                distribution = question.answer()
            except Exception as error:  # the model's: the decision knows what to do without one
                question = steps.throw(error)
            else:
                question = steps.send(distribution)
    except StopIteration as finished:
        return bool(finished.value)


def _arms(distribution: ArmDistribution) -> tuple[PreviewedArm, ...]:
    asked = distribution.model_version > 0 or any(distribution.sds)
    return tuple(
        PreviewedArm(arm, weight / 2**32, float(mean) if asked else None, float(sd) if asked else None)
        for arm, weight, mean, sd in zip(
            distribution.arms, distribution.weights, distribution.means, distribution.sds, strict=True
        )
    )


def _refused(filling: Filling, arm: str, reason: str, scope: VisitorScope) -> RefusedArm:
    known = filling.candidates.by_id.get(arm)
    when = None if known is None else known.when
    rule = explain_rule(when, scope) if reason == RULE and when is not None else None
    return RefusedArm(arm, reason, refusal_words(reason, rule), rule)

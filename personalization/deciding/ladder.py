"""The ladder of tiers: who answers a slot. The control if held out, else the model, else rules, else the default.

A rung says by which probabilities to draw, or which arm it is for certain; it records nothing.
"""

from __future__ import annotations

import msgspec

from personalization.deciding.decision import Tier
from personalization.deciding.distribution import SCALE, ArmDistribution, uniform
from personalization.deciding.filling import Filling
from personalization.deciding.questions import Question
from personalization.visitor.visitor_key import NOBODY


class Rung(msgspec.Struct, frozen=True, gc=False):
    """The rung that answers a slot.

    Attributes
    ----------
    distribution
        The probabilities of the eligible arms; of an arm that is certain, its own alone.
    draws
        Whether a ticket is drawn from it.
    reason
        For people.
    policy
        Of an apprentice, what its policy would have drawn from; None: that is ``distribution``.
    """

    distribution: ArmDistribution
    draws: bool
    tier: Tier
    reason: str
    policy: ArmDistribution | None = None


def climb(filling: Filling, arms: tuple[str, ...]) -> Rung | Question | None:
    """The rung for one slot with ``arms`` left, or what has to be asked first; None: nothing is left to show."""
    if filling.control and filling.open:
        return _control(filling, arms)
    if not arms:
        return _default(filling)
    obstacle = _obstacle(filling)
    if obstacle is not None:
        return _rules(filling, arms, obstacle)
    features = filling.features()
    try:
        scorer = filling.call.models[filling.model]
    except Exception as error:
        return failed(filling, arms, error)
    return Question(scorer, arms, features, filling.spec.policy, filling.candidates.features)


def answered(filling: Filling, distribution: ArmDistribution) -> Rung:
    """The model's rung; of an apprentice the baseline, for certain, with what the model's would have been."""
    if filling.spec.apprentice:
        return _apprentice(filling, distribution)
    return Rung(distribution, True, _tier(filling), _drawn_by(filling, distribution))


def _apprentice(filling: Filling, distribution: ArmDistribution) -> Rung:
    arm = filling.baseline(distribution.arms)
    at = distribution.arms.index(arm)
    shown = ArmDistribution(
        (arm,),
        (SCALE,),
        (distribution.means[at],),
        (distribution.sds[at],),
        "apprentice",
        distribution.model_version,
    )
    reason = f"apprentice: the baseline, beside what {distribution.policy} would have drawn"
    return Rung(shown, True, _tier(filling), reason, distribution)


def failed(filling: Filling, arms: tuple[str, ...], error: Exception) -> Rung:
    """The rung below a model that raised: whatever it was, the visitor gets an answer; the caller counts it."""
    filling.call.answer.faults.append((filling.model, error))
    return _rules(filling, arms, "the model failed to answer")


def _rules(filling: Filling, arms: tuple[str, ...], obstacle: str) -> Rung:
    if filling.spec.apprentice:
        return _certain(filling.baseline(arms), Tier.RULES, "rules", f"{obstacle}: the baseline")
    chosen = filling.first_by_priority(arms)
    return _certain(chosen, Tier.RULES, "rules", f"{obstacle}: the first eligible by priority")


def _obstacle(filling: Filling) -> str | None:
    """Why the model may not choose."""
    if filling.missing is not None:
        return f"no consent to {filling.missing}"
    if filling.model not in filling.call.models:
        return "no model could be read"
    if filling.call.out_of_time():
        return "the deadline has passed"
    return None


def _drawn_by(filling: Filling, distribution: ArmDistribution) -> str:
    drawn = f"drawn by {distribution.policy} from {len(distribution.arms)} eligible"
    if filling.scope.state is not None:
        return drawn
    return f"{'no visitor is named' if filling.call.key == NOBODY else 'visitor state unreadable'}: {drawn}"


def _control(filling: Filling, arms: tuple[str, ...]) -> Rung | None:
    if filling.spec.control == "uniform":
        if not arms:
            return _default(filling)
        reason = f"held out: drawn evenly from {len(arms)} eligible"
        return Rung(uniform(arms, "uniform"), True, _tier(filling), reason)
    default = filling.default
    if default in filling.call.taken:
        if not arms:
            return None
        default = filling.first_by_priority(arms)
    return _certain(default, _tier(filling), "default", "held out: the placement's control")


def _default(filling: Filling) -> Rung | None:
    default = filling.default
    if default in filling.call.taken:
        return None
    why = "nothing is eligible" if filling.open else "the placement's rule does not hold"
    return _certain(default, Tier.DEFAULT, "default", f"{why}: the default content")


def _certain(arm: str, tier: Tier, policy: str, reason: str) -> Rung:
    return Rung(ArmDistribution((arm,), (SCALE,), (0.0,), (0.0,), policy, 0), False, tier, reason)


def _tier(filling: Filling) -> Tier:
    return Tier.PERSONALISED if filling.scope.state is not None else Tier.CONTEXTUAL

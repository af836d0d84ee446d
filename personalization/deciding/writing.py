"""A slot's choice as it is answered, entered into the visitor's log, and recorded."""

from __future__ import annotations

import msgspec

from personalization.catalog.caps import counted_with
from personalization.deciding.candidates import told_of
from personalization.deciding.decision import Decision, Tier
from personalization.deciding.distribution import SCALE, ArmDistribution
from personalization.deciding.filling import Filling
from personalization.deciding.ladder import Rung
from personalization.events.decision_record import DecisionRecord, pack_f32
from personalization.events.entry import Entry
from personalization.events.event import DecisionMade
from personalization.features import pack
from personalization.visitor.choice import Choice
from personalization.visitor.visitor_key import NOBODY
from personalization.visitor.visitor_state import Sticky


class Drawn(msgspec.Struct, frozen=True, gc=False):
    """What was drawn from a rung.

    Attributes
    ----------
    arm_index
        Of the arm, in the rung's distribution.
    ticket
        What it was drawn with, in [0, 2³²); None where nothing was drawn.
    sticky
        Whether the session keeps it.
    name
        What was drawn by, where that is not the decision's id.
    replaces
        The trial of the choice that a sticky one replaces; empty: the first of its slot.
    """

    decision_id: str
    arm_index: int
    ticket: int | None
    sticky: bool = False
    replaces: str = ""
    name: str = ""


class Beside(msgspec.Struct, frozen=True, gc=False):
    """What the policy on trial would have drawn from; ``trial`` names it."""

    trial: int
    distribution: ArmDistribution

    def weight(self, arm: str) -> int:
        """Its probability of the arm, an integer over 2³²."""
        arms = self.distribution.arms
        return self.distribution.weights[arms.index(arm)] if arm in arms else 0


def write(filling: Filling, slot: int, rung: Rung, drawn: Drawn, beside: Beside | None = None) -> None:
    """Answer the slot with what was drawn, and log it, as far as the visitor agreed to that."""
    call, distribution = filling.call, rung.distribution
    asked = distribution if rung.policy is None else rung.policy
    policy_arm = ""
    if rung.policy is not None and drawn.ticket is not None:
        policy_arm = rung.policy.arms[rung.policy.draw(drawn.ticket)]
    above = tuple(call.taken)
    choice = Choice(
        drawn.decision_id,
        filling.name,
        slot,
        distribution.arms[drawn.arm_index],
        distribution.weights[drawn.arm_index],
        distribution.policy,
        distribution.model_version,
        call.catalog.catalog.version,
        filling.control if filling.scope.state is not None else None,
        filling.placement.compiled.variant,
        filling.placement.compiled.is_shared,
        policy_arm,
        0 if beside is None else beside.trial,
        0 if beside is None else beside.weight(distribution.arms[drawn.arm_index]),
    )
    call.answer.distributions.append(distribution)
    _answer(filling, choice, rung.tier, rung.reason, sticky=drawn.sticky)
    if filling.key == NOBODY:
        return  # without consent, or without knowing of it, nothing is logged under a visitor's key
    message_id = filling.nonce(slot).hex() if drawn.sticky else drawn.name or drawn.decision_id
    is_trial = drawn.ticket is not None and rung.tier is Tier.PERSONALISED and not filling.control
    trains = is_trial and not call.is_crawler
    features = filling.features_used
    made = DecisionMade(
        message_id=message_id,
        choice=choice,
        exposed=call.request.activate,
        trains=trains,
        sticky=drawn.sticky,
        replaces=drawn.replaces,
        unit=call.unit,
    )
    if trains:
        made.features = pack(features)
        made.arm_features = filling.candidates.packed_features(choice.arm)
        if not policy_arm:
            made.predicted = distribution.means[drawn.arm_index]
    _enter(filling, made)
    call.answer.records.append(
        DecisionRecord(
            choice=choice,
            message_id=message_id,
            request_id=call.request.request_id,
            key=call.key,
            tier=rung.tier.value,
            reason=rung.reason,
            decided_at_ms=call.now_ms,
            arms=asked.arms,
            weights=asked.weights,
            means_f32=pack_f32(asked.means),
            sds_f32=pack_f32(asked.sds),
            filtered=dict(filling.filtered),
            above=above,
            features=features if drawn.ticket is not None else {},
            arm_features=told_of(filling.candidates, asked.arms) if drawn.ticket is not None else {},
            state_revision=call.answer.state_revision,
            state_age_ms=call.answer.state_age_ms,
            ticket=drawn.ticket,
            session=call.session,
            exposed=call.request.activate,
            sticky=drawn.sticky,
            trains=trains,
            unit=call.unit,
            replaces=drawn.replaces,
            crawler=call.is_crawler,
            agreed=call.consents.agreed(filling.placement.compiled.consent, call.now_ms),
        )
    )


def write_kept(filling: Filling, slot: int, kept: Sticky) -> None:
    """Answer the slot with the choice the session keeps: one more exposure of the original decision, no trial."""
    call = filling.call
    choice = Choice(
        kept.decision_id,
        filling.name,
        slot,
        kept.arm,
        kept.weight,
        "control" if filling.control else filling.spec.policy.name,
        catalog_version=call.catalog.catalog.version,
        holdout=filling.control,
        variant=filling.placement.compiled.variant,
        shared=filling.placement.compiled.is_shared,
    )
    _answer(filling, choice, Tier.PERSONALISED, "kept in this session", sticky=True)
    if not call.request.activate:
        return  # no trial and no exposure: a repeat that is deferred says nothing new
    _enter(
        filling,
        DecisionMade(
            message_id=filling.nonce(slot).hex(),
            choice=choice,
            exposed=call.request.activate,
            trains=False,
            sticky=True,
            unit=call.unit,
        ),
    )


def _enter(filling: Filling, made: DecisionMade) -> None:
    call = filling.call
    call.answer.entries.append(
        Entry(
            received_at_ms=call.now_ms,
            occurred_at_ms=call.now_ms,
            catalog_version=call.catalog.catalog.version,
            event=made,
        )
    )


def _answer(filling: Filling, choice: Choice, tier: Tier, reason: str, *, sticky: bool) -> None:
    call = filling.call
    call.taken.append(choice.arm)
    if choice.arm in call.catalog.counted_together:
        for name in counted_with(call.catalog.catalog.arms[choice.arm].content, filling.name):
            call.counted[name] = call.counted.get(name, 0) + 1
    call.answer.decisions.append(
        Decision(
            choice.placement,
            choice.slot,
            choice.decision_id,
            choice.arm,
            filling.shown(choice.arm),
            choice.weight / SCALE,
            choice.policy,
            tier,
            reason,
            filling.control,
            sticky,
            choice.variant,
            choice.model,
            choice.policy_arm,
        )
    )

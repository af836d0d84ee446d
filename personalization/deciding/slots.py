"""The slots of one placement: each is kept, held out, drawn or falls back, and is written down."""

from __future__ import annotations

from collections.abc import Generator

from personalization.audience.context import raw_features
from personalization.audience.variables import VisitorScope
from personalization.deciding.call import Call
from personalization.deciding.decider_catalog import PreparedPlacement
from personalization.deciding.decision import Decision, Tier
from personalization.deciding.distribution import SCALE, ArmDistribution, ticket, uniform
from personalization.deciding.draw import draw_name, sticky_decision_id
from personalization.deciding.eligibility import TAKEN, refusals
from personalization.deciding.holdout import is_control
from personalization.deciding.questions import Question
from personalization.events.decision_id import mint, trial_of
from personalization.events.decision_record import DecisionRecord, pack_f32
from personalization.events.entry import Entry
from personalization.events.event import DecisionMade
from personalization.features import NO_FEATURES, FeatureValue, pack
from personalization.visitor.visitor_key import NOBODY


class Slots:
    """The slots of one placement while they are filled."""

    def __init__(self, call: Call, placement: PreparedPlacement, scope: VisitorScope, missing: str | None) -> None:
        self.call = call
        self.placement = placement
        self.spec = placement.compiled.spec
        self.name = placement.compiled.name
        self.scope = scope
        self.missing = missing
        """The purpose that lacks consent."""
        known = scope.state is not None or call.consents.signed
        self.key = call.key if missing is None and known else NOBODY
        """The key decisions are made under: nobody's without consent, as far as is known.

        Where the state could not be read, only a signed grant says that something may be logged under a key.
        """
        self.filtered: dict[str, str] = {}
        self.features: dict[str, FeatureValue] | None = None
        when = placement.compiled.when
        self.sticky = self.spec.sticky or call.request.sticky
        self.open = when is None or scope.holds(when)
        if not self.open:
            self.arms: tuple[str, ...] = ()
        else:
            self.arms = placement.arms
            if placement.conditional:
                self.filtered = refusals(placement.conditional, scope, call.session_start_ms)
                if self.filtered:
                    self.arms = placement.without(self.filtered)
        self.control = missing is None and is_control(call.secret, call.unit, self.name, self.spec, scope.state)

    def fill(self, slot: int) -> Generator[Question, ArmDistribution, bool]:
        """Decide one slot; False where nothing is left to show."""
        taken = self.call.taken
        arms = self.arms
        if taken:
            arms = tuple(arm for arm in arms if arm not in taken)
            if len(arms) != len(self.arms):
                for arm in self.arms:
                    if arm in taken:
                        self.filtered[arm] = TAKEN
        if self._keep(slot, arms):
            return True
        if self.missing is None and self.control and self.open:
            return self._serve_control(slot, arms)
        if not arms:
            return self._serve_default(slot)
        obstacle = self._obstacle()
        if obstacle is None:
            distribution = yield from self._scored(arms)
            if distribution is not None:
                return self._draw(slot, distribution)
            obstacle = "the model failed to answer"
        chosen = next(arm for arm in self.placement.by_priority if arm in arms)
        return self._serve(slot, chosen, Tier.RULES, "rules", f"{obstacle}: the first eligible by priority")

    def _obstacle(self) -> str | None:
        """Why the model may not choose."""
        if self.missing is not None:
            return f"no consent to {self.missing}"
        if self.name not in self.call.models:
            return "no model could be read"
        if self.call.out_of_time():
            return "the deadline has passed"
        return None

    def _scored(self, arms: tuple[str, ...]) -> Generator[Question, ArmDistribution, ArmDistribution | None]:
        if self.features is None:
            self.features = raw_features(self.placement.features, self.scope)
        try:
            scorer = self.call.models[self.name]
            return (yield Question(scorer, arms, self.features, self.spec.policy, self.placement.arm_features))
        except Exception as error:  # whatever a model may raise, the visitor gets an answer; the caller counts it
            self.call.answer.faults.append((self.name, error))
            return None

    def _keep(self, slot: int, arms: tuple[str, ...]) -> bool:
        """Serve the choice this session has already, if it still may be shown."""
        state = self.scope.state
        if not self.sticky or state is None or self.missing is not None:
            return False
        kept = state.sticky.get(f"{self.name}/{slot}")
        if kept is None or kept.at_ms < self.call.session_start_ms:
            return False
        if kept.arm not in arms and not (self.control and kept.arm == self.spec.default):
            return False
        if kept.arm in self.call.taken:
            return False
        call = self.call
        policy = "control" if self.control else self.spec.policy.name
        self._answer(
            slot,
            kept.decision_id,
            kept.arm,
            kept.weight,
            Tier.PERSONALISED,
            policy,
            "kept in this session",
            sticky=True,
        )
        if not call.request.activate:
            return True  # no trial and no exposure: a repeat that is deferred says nothing new
        call.answer.entries.append(
            self._entry(
                DecisionMade(
                    message_id=call.nonce_of(self.name, slot).hex(),
                    decision_id=kept.decision_id,
                    placement=self.name,
                    slot=slot,
                    arm=kept.arm,
                    weight=kept.weight,
                    exposed=call.request.activate,
                    policy=policy,
                    holdout=self.control,
                    trains=False,
                    sticky=True,
                    unit=call.unit,
                )
            )
        )
        return True

    def _serve_control(self, slot: int, arms: tuple[str, ...]) -> bool:
        if self.spec.control == "uniform":
            return self._draw(slot, uniform(arms, "uniform")) if arms else self._serve_default(slot)
        default = self.spec.default
        if default in self.call.taken:
            rest = [arm for arm in self.placement.by_priority if arm in arms]
            if not rest:
                return False
            default = rest[0]
        return self._serve(slot, default, self._tier(), "default", "held out: the placement's control")

    def _serve_default(self, slot: int) -> bool:
        if self.spec.default in self.call.taken:
            return False
        why = "nothing is eligible" if self.open else "the placement's rule does not hold"
        return self._serve(slot, self.spec.default, Tier.DEFAULT, "default", f"{why}: the default content")

    def _tier(self) -> Tier:
        return Tier.PERSONALISED if self.scope.state is not None else Tier.CONTEXTUAL

    def _draw(self, slot: int, distribution: ArmDistribution) -> bool:
        """Draw from the distribution, and write down what it was."""
        call = self.call
        state = self.scope.state
        sticky = self.sticky and state is not None
        kept = state.sticky.get(f"{self.name}/{slot}") if sticky and state is not None else None
        replaces = "" if kept is None else trial_of(kept.decision_id)
        decision_id = "" if sticky else mint(call.secret, self.key, call.nonce_of(self.name, slot))
        name = draw_name(
            decision_id, sticky=sticky, unit=call.unit, placement=self.name, slot=slot, replaces=replaces
        )
        drawn = ticket(call.secret, name)
        index = distribution.draw(drawn)
        arm = distribution.arms[index]
        if sticky:
            decision_id = sticky_decision_id(
                call.secret,
                key=call.key,
                unit=call.unit,
                placement=self.name,
                slot=slot,
                replaces=replaces,
                arm=arm,
            )
        n = len(distribution.arms)
        if self.control:
            reason = f"held out: drawn evenly from {n} eligible"
        elif state is not None:
            reason = f"drawn by {distribution.policy} from {n} eligible"
        else:
            why = "no visitor is named" if call.key == NOBODY else "visitor state unreadable"
            reason = f"{why}: drawn by {distribution.policy} from {n} eligible"
        self._record(slot, decision_id, arm, distribution, index, drawn, self._tier(), reason, sticky, replaces)
        return True

    def _serve(self, slot: int, arm: str, tier: Tier, policy: str, reason: str) -> bool:
        """Serve ``arm`` without a draw."""
        call = self.call
        decision_id = mint(call.secret, self.key, call.nonce_of(self.name, slot))
        certain = ArmDistribution((arm,), (SCALE,), (0.0,), (0.0,), policy, 0)
        self._record(slot, decision_id, arm, certain, 0, None, tier, reason, False)
        return True

    def _record(
        self,
        slot: int,
        decision_id: str,
        arm: str,
        distribution: ArmDistribution,
        index: int,
        drawn: int | None,
        tier: Tier,
        reason: str,
        sticky: bool,
        replaces: str = "",
    ) -> None:
        call = self.call
        weight = distribution.weights[index]
        policy = distribution.policy
        above = tuple(call.taken)
        self._answer(slot, decision_id, arm, weight, tier, policy, reason, sticky=sticky)
        if self.key == NOBODY:
            return  # without consent, or without knowing of it, nothing is logged under a visitor's key
        message_id = call.nonce_of(self.name, slot).hex() if sticky else decision_id
        trains = drawn is not None and tier is Tier.PERSONALISED and not self.control
        features = self.features or {}
        call.answer.entries.append(
            self._entry(
                DecisionMade(
                    message_id=message_id,
                    decision_id=decision_id,
                    placement=self.name,
                    slot=slot,
                    arm=arm,
                    weight=weight,
                    exposed=call.request.activate,
                    features=pack(features) if trains else NO_FEATURES,
                    arm_features=self.placement.packed_arm_features.get(arm, NO_FEATURES)
                    if trains
                    else NO_FEATURES,
                    policy=policy,
                    model_version=distribution.model_version,
                    holdout=self.control if self.scope.state is not None else None,
                    trains=trains,
                    sticky=sticky,
                    replaces=replaces,
                    unit=call.unit,
                )
            )
        )
        call.answer.records.append(
            DecisionRecord(
                decision_id=decision_id,
                message_id=message_id,
                request_id=call.request.request_id,
                key=call.key,
                placement=self.name,
                slot=slot,
                arm=arm,
                weight=weight,
                tier=tier.value,
                reason=reason,
                policy=policy,
                decided_at_ms=call.now_ms,
                catalog_version=call.catalog.catalog.version,
                model_version=distribution.model_version,
                arms=distribution.arms,
                weights=distribution.weights,
                means_f32=pack_f32(distribution.means),
                sds_f32=pack_f32(distribution.sds),
                filtered=dict(self.filtered),
                above=above,
                features=features if drawn is not None else {},
                state_revision=call.answer.state_revision,
                state_age_ms=call.answer.state_age_ms,
                ticket=drawn,
                session=call.session,
                exposed=call.request.activate,
                holdout=self.control,
                sticky=sticky,
                trains=trains,
                unit=call.unit,
                replaces=replaces,
            )
        )

    def _entry(self, made: DecisionMade) -> Entry:
        now_ms = self.call.now_ms
        return Entry(
            received_at_ms=now_ms,
            occurred_at_ms=now_ms,
            catalog_version=self.call.catalog.catalog.version,
            event=made,
        )

    def _answer(
        self,
        slot: int,
        decision_id: str,
        arm: str,
        weight: int,
        tier: Tier,
        policy: str,
        reason: str,
        *,
        sticky: bool,
    ) -> None:
        self.call.taken.append(arm)
        self.call.answer.decisions.append(
            Decision(
                self.name,
                slot,
                decision_id,
                arm,
                self.call.catalog.renderers[arm].render(self.scope),
                weight / SCALE,
                policy,
                tier,
                reason,
                self.control,
                sticky,
            )
        )

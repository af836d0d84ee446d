"""One placement of one call before its slots are filled: for whom, which arms may be shown, on which side."""

from __future__ import annotations

from collections.abc import Mapping
from itertools import islice
from types import MappingProxyType
from typing import Any

from personalization.audience.context import raw_features
from personalization.audience.variables import VisitorScope
from personalization.bounded import short_hash
from personalization.deciding.call import Call
from personalization.deciding.candidates import Candidates
from personalization.deciding.decider_catalog import PreparedPlacement
from personalization.deciding.draw import named_slot
from personalization.deciding.eligibility import CAP, TAKEN, TYPE, capped_together, refusals
from personalization.deciding.holdout import HOLDOUT
from personalization.features import MAX_FEATURES, FeatureValue
from personalization.visitor.visitor_key import NOBODY
from personalization.visitor.visitor_state import Sticky

NOTHING_TOLD: Mapping[str, FeatureValue] = MappingProxyType({})


class Filling:
    """What all slots of one placement share while they are filled.

    Attributes
    ----------
    placement, spec
        As it is written, or as the visitor's variant makes it. Without consent nobody is in a variant.
    scope
        What rules and features may look at.
    model
        The key of the model that may choose.
    missing
        The purpose that lacks consent; None: none does.
    key
        The key decisions are made under: nobody's without consent, as far as is known. Where the state could not be
        read, only a consent receipt says that something may be logged under a key.
    candidates
        The arms there are: the placement's, or those that the caller brought.
    default
        What is served if nothing may be decided: the placement's default, or the first that was brought and may be
        shown.
    sticky
        Whether the session keeps its choices: by the catalog, or as the caller asks.
    open
        Whether the placement's own rule holds.
    arms
        The eligible arms, those taken by earlier slots included.
    features_used
        What the model was told of the visitor; empty while it was not asked.
    filtered
        The other arms, with the reason.
    control
        Whether the visitor is served the placement's control.
    told
        What the model is told besides, by the caller.
    slot_name
        Of the one slot it is for; None: it is for all, which have numbers.
    """

    __slots__ = (
        "arms",
        "call",
        "candidates",
        "control",
        "default",
        "features_used",
        "filtered",
        "key",
        "missing",
        "model",
        "name",
        "open",
        "placement",
        "scope",
        "slot_name",
        "spec",
        "sticky",
        "told",
    )

    def __init__(
        self,
        call: Call,
        placement: PreparedPlacement,
        scope: VisitorScope,
        missing: str | None,
        brought: Candidates | None = None,
        told: Mapping[str, FeatureValue] = NOTHING_TOLD,
        slot_name: str | None = None,
    ) -> None:
        self.call = call
        self.told = told
        self.slot_name = slot_name
        self.control = False
        if missing is None:
            unit = call.unit
            if scope.state is None and call.request.is_nobodys:
                # Those who name nobody are not one person, whose variant all of them would be served.
                unit = short_hash(call.request.request_id)
            assignment = placement.experiments.assignment(call.keys.assignment, unit, scope.state)
            if assignment.overrides is not None:
                placement = assignment.overrides
            else:
                self.control = assignment.experiment == HOLDOUT
        self.placement = placement
        self.candidates = placement.candidates if brought is None else brought
        compiled = placement.compiled
        self.spec = compiled.spec
        self.name = compiled.name
        self.model = compiled.model
        self.scope = scope
        self.missing = missing
        known = scope.state is not None or call.consents.signed(compiled.consent)
        self.key = call.key if missing is None and known else NOBODY
        self.filtered: dict[str, str] = dict(self.candidates.refused)
        self.features_used: dict[str, FeatureValue] = {}
        when = compiled.when
        self.default = self.spec.default if brought is None else brought.first
        # What the caller brings is another choice each time; an apprentice makes none.
        keeps = brought is None and not self.spec.apprentice
        self.sticky = keeps and (self.spec.sticky or call.request.sticky)
        self.open = when is None or scope.holds(when)
        if not self.open:
            self.arms: tuple[str, ...] = ()
        else:
            candidates = self.candidates
            self.arms = candidates.arms
            if candidates.conditional:
                self.filtered.update(refusals(candidates.conditional, scope, call.session_start_ms))
            if call.request.of_type is not None:
                self.filtered |= dict.fromkeys(candidates.of_other_types(call.request.of_type), TYPE)
            if self.filtered:
                self.arms = candidates.without(self.filtered)

    def arms_left(self) -> tuple[str, ...]:
        """The eligible arms beside what earlier slots of the call show; notes the others with the reason."""
        call = self.call
        kept_out = dict.fromkeys(call.taken, TAKEN)
        if call.counted and self.placement.shared_caps:
            shared = self.placement.shared_caps
            for arm in capped_together(shared, call.counted, self.scope, call.session_start_ms):
                kept_out.setdefault(arm, CAP)
        arms = tuple(arm for arm in self.arms if arm not in kept_out)
        if len(arms) != len(self.arms):
            self.filtered |= {arm: kept_out[arm] for arm in self.arms if arm in kept_out}
        return arms

    def features(self) -> dict[str, FeatureValue]:
        """What the model is told of the visitor, worked out when it is first asked for."""
        if not self.features_used:
            features = raw_features(self.placement.features, self.scope)
            if self.told:
                features |= self.told
                if len(features) > MAX_FEATURES:
                    features = dict(islice(features.items(), MAX_FEATURES))
            self.features_used = features
        return self.features_used

    def nonce(self, slot: int) -> bytes:
        """The nonce of a slot: by its name, where it has one."""
        return self.call.nonce_of(self.name, str(slot) if self.slot_name is None else named_slot(self.slot_name))

    def kept(self, slot: int) -> Sticky | None:
        """The choice kept last for the slot, of whichever session; None if there is none that is known of."""
        state = self.scope.state
        return None if state is None else state.sticky.get(f"{self.name}/{slot}")

    def shown(self, arm: str) -> dict[str, Any]:
        """An arm as it is answered."""
        renderer = self.candidates.renderer(arm) or self.call.catalog.renderers[arm]
        return renderer.render(self.scope)

    def baseline(self, arms: tuple[str, ...]) -> str:
        """What is shown of ``arms`` (at least one) where nobody chooses: the default, else what rules take."""
        return self.default if self.default in arms else self.first_by_priority(arms)

    def first_by_priority(self, arms: tuple[str, ...]) -> str:
        """Which of ``arms`` (at least one) rules alone would take."""
        return next(arm for arm in self.candidates.by_priority if arm in arms)

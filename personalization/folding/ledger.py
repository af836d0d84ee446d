"""The ledger of open decisions: opened when made, exposed when shown, credited, and closed into outcomes.

Windows close in log order: only a time-out closes by time, so a reward behind its time-out is late, whatever
its own timestamp.
"""

from __future__ import annotations

from collections.abc import Callable

from personalization import bounded
from personalization.catalog.compiled_catalog import CompiledCatalog, CompiledPlacement
from personalization.events.decision_id import call_of, trial_of
from personalization.events.event import DecisionMade
from personalization.events.outcome import EARNED, USUAL_RANGE, USUAL_WEIGHT, ClosingReason, Outcome
from personalization.features import NO_FEATURES, unpack
from personalization.folding import participating
from personalization.folding.closed_memory import (
    LateReward,
    is_closed,
    late_for_decision,
    remember_closed,
    take_over_closed,
)
from personalization.folding.context import FoldContext
from personalization.folding.eviction import FEW_OPEN, evict
from personalization.folding.page_rewards import NOT_BY_SERVER, most_by_page, refused_of_page
from personalization.folding.reward_total import (
    Worth,
    add_reward,
    names_of,
    total_reward,
    unite,
    weighted,
    worth_of,
)
from personalization.folding.shown import keep_choice, note_exposure
from personalization.visitor.choice import Choice
from personalization.visitor.folder_state import (
    HOLD_MS,
    MAX_HELD_REWARDS,
    FolderState,
    HeldReward,
    Lineage,
    OpenDecision,
    Terms,
)
from personalization.visitor.purposes import PERSONALISING
from personalization.visitor.session import begin_if_over

_UNKNOWN = Lineage("")


class Ledger:
    """The open decisions of one visitor while one entry is folded."""

    __slots__ = ("_fold", "catalog", "folder", "notes", "now_ms", "state")

    def __init__(self, fold: FoldContext) -> None:
        self._fold = fold
        self.state = fold.state
        self.folder = fold.folder
        self.catalog = fold.catalog
        self.notes = fold.notes
        self.now_ms = fold.state.now_ms

    def catalog_of(self, version: int) -> CompiledCatalog:
        """The catalog that a decision was made under."""
        return self._fold.catalog_of(version)

    @property
    def received_at_ms(self) -> int:
        """The entry's own time, which lies behind the fold's clock if entries overtook each other."""
        return self._fold.entry.received_at_ms

    @property
    def by_page(self) -> bool:
        """Whether a write key brought the entry, which everybody has."""
        sender = self._fold.entry.sender
        return sender is not None and sender.by == "write"

    @property
    def page_origin(self) -> bytes:
        """The network of the page that brought the entry; empty where none did, or it is not known."""
        sender = self._fold.entry.sender
        return sender.origin if sender is not None and self.by_page else b""

    @property
    def _unit(self) -> bytes:
        return self.state.unit or (bounded.short_hash(self._fold.key) if self._fold.key else b"")

    def find(self, decision_id: str) -> OpenDecision | None:
        """The open decision of that id, or of the same trial under another key of the visitor."""
        trial = trial_of(decision_id)
        for decision in self.folder.open:
            if trial_of(decision.choice.decision_id) == trial:
                return decision
        return None

    def open(self, made: DecisionMade) -> OpenDecision | None:
        """Enter a decision; a repeat of one known adds an exposure and no trial. Gives it where it is open now."""
        begin_if_over(self.state, self.now_ms, self.catalog.catalog.session_gap_ms)
        self.state.unit = self.state.unit or made.unit
        agreed = keep_choice(self.state, made, self.now_ms, self.catalog)
        choice = made.choice
        known = self.find(choice.decision_id)
        if known is not None or is_closed(self.folder, choice.decision_id):
            if made.exposed:
                self._note_exposure(choice)
            if made.exposed and known is not None and known.exposed_at_ms is None:
                self._start_window(known)
            return None
        placement = self.catalog.placements.get(choice.placement)
        terms = _terms(placement)
        decision = OpenDecision(
            choice=choice,
            terms=terms,
            decided_at_ms=self.received_at_ms,
            due_ms=self.received_at_ms + terms.window_ms,
            features=made.features,
            arm_features=made.arm_features,
            trains=made.trains and agreed,
            lineage=self._lineage(placement),
            predicted=made.predicted,
            trace=self._fold.entry.trace or None,
        )
        self.folder.open.append(decision)
        if not agreed:
            self.notes.append(("disagreed", choice.placement, choice.arm))
        if made.exposed:
            self.expose(decision, at_once=True)
        self.settle_held(decision)
        self.evict()
        return decision if decision in self.folder.open else None

    def expose(self, decision: OpenDecision, *, at_once: bool = False) -> None:
        """The decision was shown: its window starts, it counts for caps, and tells on which side the visitor is."""
        if decision.exposed_at_ms is None:
            self._start_window(decision, at_once=at_once)
            self._note_exposure(decision.choice)

    def credit(self, decision: OpenDecision, worth: Worth, origin: bytes) -> None:
        """Add a weighted reward to an open decision; one not shown so far was shown, by what this says.

        It trains only if its activation comes as well: callers who never activate would train on successes alone.

        Parameters
        ----------
        origin
            The network of the page that brought it, perhaps some time ago; empty: none did, or it is not known.
        """
        if decision.exposed_at_ms is None:
            self.expose(decision)
            decision.by_reward = 1
        add_reward(decision, worth)
        participating.rewarded(self._fold, decision.choice.placement, names_of(worth))
        decision.rewarded_from = origin or decision.rewarded_from
        self.notes.append(("rewarded", decision.choice.placement, decision.choice.arm))

    def close(self, decision: OpenDecision, reason: ClosingReason, *, nobodys: bool = False) -> None:
        """Close an open decision into its outcome; ``nobodys`` leaves out whose it was."""
        self.folder.open.remove(decision)
        remember_closed(self.folder, decision, self.now_ms)
        exposed = decision.exposed_at_ms is not None
        if reason is ClosingReason.WINDOW and not exposed:
            reason = ClosingReason.UNEXPOSED
        choice = decision.choice
        self.notes.append((f"closed_{reason.value}", choice.placement, choice.arm))
        trains = decision.trains and exposed and not choice.holdout and reason in EARNED
        if decision.by_reward:
            trains = False
            self.notes.append(("exposed_by_reward", choice.placement, choice.arm))
        if choice.placement not in self.catalog.placements:
            # Its rewards were nobody's while it was gone: what it did not earn then says nothing of it.
            trains = False
            self.notes.append(("placement_gone", choice.placement, choice.arm))
        lineage = decision.lineage or _UNKNOWN
        weight = USUAL_WEIGHT if decision.sample_weight == USUAL_WEIGHT else decision.sample_weight
        self._fold.emissions.append(
            Outcome(
                choice=choice,
                reward=total_reward(decision),
                reason=reason,
                decided_at_ms=decision.decided_at_ms,
                closed_at_ms=self.now_ms,
                exposed_at_ms=decision.exposed_at_ms,
                n_rewards=decision.n_rewards,
                features=unpack(decision.features),
                arm_features=unpack(decision.arm_features),
                trains=trains,
                training_weight=weight,
                sample_weight=weight,
                unit=b"" if nobodys else self._unit,
                key_class=lineage.key_class,
                # Whoever rewards it, not whoever decided, says what it was worth.
                by="write" if decision.rewarded_from else lineage.by,
                origin=decision.rewarded_from or lineage.origin,
                rules=lineage.rules,
                shown_by_reward=bool(decision.by_reward),
                free=self.catalog.catalog.influence == "free",
                predicted=decision.predicted,
                reward_range=_range_of(decision),
                trace=b"" if nobodys else decision.trace or b"",
            )
        )

    def reward(self, decision_id: str, value: float | None, *, final: bool, name: str = "") -> None:
        """An explicit reward (or, with ``value`` None, an activation) by decision id; held if it came too early."""
        until_ms = self.now_ms + HOLD_MS
        self._reward(HeldReward(decision_id, value, final, until_ms, name, self.by_page, self.page_origin))

    def activate_call(self, decision_id: str, placement: str) -> list[OpenDecision]:
        """All that a call decided for a placement was shown, and what is on its way. Gives what was not so far.

        Parameters
        ----------
        decision_id
            For the whole call (``call_of``).
        """
        held = HeldReward(decision_id, None, False, self.now_ms + HOLD_MS, placement=placement)
        self._hold(held)
        return self._show_call(held)

    def _show_call(self, held: HeldReward) -> list[OpenDecision]:
        shown = []
        for decision in [each for each in self.folder.open if _is_of(each, held)]:
            is_new = decision.exposed_at_ms is None
            self._apply_explicit(decision, held)
            if is_new and decision in self.folder.open:
                shown.append(decision)
        return shown

    def _hold(self, held: HeldReward) -> None:
        self.folder.held.append(held)
        while len(self.folder.held) > MAX_HELD_REWARDS:
            self._note_orphan(self.folder.held.pop(0))

    def _note_orphan(self, held: HeldReward) -> None:
        if not held.placement:
            self.notes.append(("orphan", "", ""))

    def _reward(self, held: HeldReward) -> None:
        decision_id = held.decision_id
        decision = self.find(decision_id)
        if decision is not None:
            self._apply_explicit(decision, held)
        elif is_closed(self.folder, decision_id):
            if held.value is not None:
                self.note_late(late_for_decision(self.folder, decision_id, self.catalog, self.now_ms))
        else:
            self._hold(held)

    def note_late(self, late: LateReward) -> None:
        """A reward came for a decision that is closed."""
        self._fold.note_late(late)

    def settle_held(self, decision: OpenDecision) -> None:
        """Apply the rewards that waited for this decision."""
        for held in self.folder.held:
            if _is_of(decision, held):
                self._apply_explicit(decision, held)
        trial = trial_of(decision.choice.decision_id)
        waiting = [held for held in self.folder.held if trial_of(held.decision_id) == trial]
        if not waiting:
            return
        self.folder.held = [held for held in self.folder.held if trial_of(held.decision_id) != trial]
        for held in sorted(waiting, key=lambda held: (held.value is not None, held.final)):  # activations first
            self._reward(held)

    def time_out(self) -> None:
        """Close every window that has ended by now, and give up on rewards held too long."""
        for decision in sorted(self.folder.open, key=lambda decision: decision.due_ms):
            if decision.due_ms <= self.now_ms:
                self.close(decision, ClosingReason.WINDOW)
        for held in self.folder.held:
            if held.until_ms <= self.now_ms:
                self._note_orphan(held)
        self.folder.held = [held for held in self.folder.held if held.until_ms > self.now_ms]

    def withdraw(self, allowed: Callable[[str], bool]) -> None:
        """Close what is open without consent, untrained and without what was known of the visitor."""
        for decision in list(self.folder.open):
            placement = self.catalog.placements.get(decision.choice.placement)
            if all(map(allowed, (PERSONALISING,) if placement is None else placement.consent)):
                continue
            self._withdraw(decision)

    def withdraw_all(self) -> None:
        """Close all that is open in the same way, whatever was agreed to, and as nobody's."""
        for decision in list(self.folder.open):
            self._withdraw(decision, nobodys=True)

    def _withdraw(self, decision: OpenDecision, *, nobodys: bool = False) -> None:
        decision.features = decision.arm_features = NO_FEATURES
        self.close(decision, ClosingReason.WITHDRAWN, nobodys=nobodys)

    def evict(self) -> None:
        """Close what is beyond the bounds."""
        if len(self.folder.open) > FEW_OPEN:
            evict(self.folder, self._close_evicted, self._fold.key, self._fold.position)

    def _close_evicted(self, decision: OpenDecision) -> None:
        self.close(decision, ClosingReason.EVICTED)

    def take_over(self, other: FolderState) -> list[OpenDecision]:
        """Take over another visitor's open decisions, held rewards and memory of closed ones; gives arrivals."""
        arrivals = []
        for decision in other.open:
            known = self.find(decision.choice.decision_id)
            if known is not None:
                unite(known, decision)
            elif not is_closed(self.folder, decision.choice.decision_id):
                arrivals.append(decision)
        for decision in [each for each in self.folder.open if is_closed(other, each.choice.decision_id)]:
            self.folder.open.remove(decision)  # closed under the other key: one trial has one outcome
        take_over_closed(self.folder, other)
        self.folder.open = sorted([*self.folder.open, *arrivals], key=lambda decision: decision.decided_at_ms)
        for decision in arrivals:
            self.settle_held(decision)
        for held in other.held:
            awaited = self.find(held.decision_id)
            if held.placement:
                self._hold(held)
                self._show_call(held)
            elif awaited is not None:
                self._apply_explicit(awaited, held)
            else:
                self._hold(held)
        return arrivals

    def _apply_explicit(self, decision: OpenDecision, held: HeldReward) -> None:
        value, final = held.value, held.final
        if value is None:
            final = decision.by_reward == 2
            decision.by_reward = 0
            self.expose(decision)
        elif decision.by_reward == 2:
            self.note_late(
                LateReward(decision.choice.decision_id, decision.choice.placement, decision.choice.arm, None)
            )
            return
        else:
            placement = self.catalog.placements.get(decision.choice.placement)
            spec = None if placement is None else placement.spec
            refusal = refused_of_page(decision, spec, held)
            if refusal is not None:
                self.notes.append((refusal, decision.choice.placement, decision.choice.arm))
                if refusal == NOT_BY_SERVER:
                    return  # nor may a page say that nothing more will come
            else:
                value = min(value, most_by_page(spec)) if held.by_page else value
                name, weighed = weighted(held.name, value, spec)
                worth = worth_of({name: weighed})
                if held.by_page:
                    decision.called = [*decision.called, name]
                if worth is not None:
                    self.credit(decision, worth, held.origin)
        if final and decision.by_reward:
            decision.by_reward = 2  # the activation may be on its way: it closes then, or with its window
        elif final:
            self.close(decision, ClosingReason.FINAL)

    def _lineage(self, placement: CompiledPlacement | None) -> Lineage | None:
        sender = self._fold.entry.sender
        if sender is None:
            return None
        return Lineage(self._fold.key[:1], sender.by, sender.origin, placement.rules if placement else b"")

    def _note_exposure(self, choice: Choice) -> None:
        participating.exposed(self._fold, choice)
        note_exposure(self.state, choice, self.now_ms, self.catalog)

    def _start_window(self, decision: OpenDecision, *, at_once: bool = False) -> None:
        # An activation may be logged before its decision: it is later all the same, and seen to be.
        shown_ms = self.received_at_ms if at_once else max(self.received_at_ms, decision.decided_at_ms + 1)
        decision.exposed_at_ms = shown_ms
        decision.due_ms = shown_ms + decision.terms.window_ms
        self.notes.append(("exposed", decision.choice.placement, decision.choice.arm))


def _is_of(decision: OpenDecision, held: HeldReward) -> bool:
    """Whether an activation of all that a call decided is one of this decision."""
    choice = decision.choice
    return choice.placement == held.placement and call_of(choice.decision_id) == call_of(held.decision_id)


def _range_of(decision: OpenDecision) -> tuple[float, float]:
    """What its prediction is compared to; the usual one where there is none."""
    found = decision.terms.low, decision.terms.high
    return USUAL_RANGE if decision.predicted is None or found == USUAL_RANGE else found


def _terms(placement: CompiledPlacement | None) -> Terms:
    """The placement's terms; the usual ones if it is not in the catalog."""
    if placement is None:
        return Terms()
    spec = placement.spec
    return Terms(
        spec.window_ms, spec.default_reward, *spec.reward_range, "" if spec.combine == "sum" else spec.combine
    )

"""What a visitor was shown, as it is kept of them: choices that stick, sides of experiments, how often for caps."""

from __future__ import annotations

from personalization import bounded
from personalization.audience import windows
from personalization.audience.merge import merged_holdout, trim_sticky
from personalization.catalog.caps import counted_with
from personalization.catalog.compiled_catalog import CompiledCatalog
from personalization.catalog.duration import DAY_MS
from personalization.events.decision_id import trial_of
from personalization.events.event import DecisionMade
from personalization.visitor.choice import Choice
from personalization.visitor.session import prolong
from personalization.visitor.visitor_state import (
    MAX_EXPOSURES,
    MAX_HOLDOUTS,
    Exposure,
    Holdout,
    Sticky,
    VisitorState,
)


def keep_choice(state: VisitorState, made: DecisionMade, now_ms: int, catalog: CompiledCatalog) -> bool:
    """Keep a sticky choice for the session; False where another one is kept already.

    Two calls at once may disagree, by two versions of a model: the first in the log is the trial and sticks.
    """
    if not made.sticky:
        return True
    choice = made.choice
    slot = f"{choice.placement}/{choice.slot}"
    kept = state.sticky.get(slot)
    if kept is not None:
        trial = trial_of(kept.decision_id)
        if trial == trial_of(choice.decision_id):
            return True
        if kept.at_ms >= state.session.started_ms and trial != made.replaces:
            return False
    state.sticky[slot] = Sticky(choice.decision_id, choice.arm, choice.weight, now_ms)
    trim_sticky(state, catalog)
    return True


def note_exposure(state: VisitorState, choice: Choice, now_ms: int, catalog: CompiledCatalog) -> None:
    """The choice was shown: count it for caps, and note the side of the experiment that the visitor is on."""
    prolong(state, now_ms, catalog.catalog.session_gap_ms)
    arm = choice.arm
    _count(state, arm, now_ms)
    known = catalog.arms.get(arm)
    for name in () if known is None else counted_with(known.content, choice.placement):
        if name in catalog.named.capped:
            _count(state, name, now_ms)
        windows.shown(state, name, now_ms, catalog)
    if catalog.series:
        windows.shown(state, arm, now_ms, catalog)
    bounded.trim(state.exposures, MAX_EXPOSURES, lambda exposure: exposure.last_ms, catalog.named.capped)
    _note_side(state, choice, now_ms, catalog)


def _note_side(state: VisitorState, choice: Choice, now_ms: int, catalog: CompiledCatalog) -> None:
    name, held_out = choice.placement, catalog.named.held_out
    if choice.holdout is None or name not in held_out:
        return  # the state could not be read, and this exposure stays outside the experiment; or there is none
    state.holdouts[name] = merged_holdout(state.holdouts.get(name), Holdout(choice.holdout, now_ms))
    bounded.trim(state.holdouts, MAX_HOLDOUTS, lambda side: side.first_ms, held_out)


def _count(state: VisitorState, name: str, now_ms: int) -> None:
    """Once more something was shown that caps count."""
    day = now_ms // DAY_MS
    seen = state.exposures.get(name) or Exposure(0, day, 0, 0, now_ms)
    state.exposures[name] = Exposure(
        seen.total + 1,
        day,
        (seen.on_day if seen.day == day else 0) + 1,
        (seen.in_session if seen.last_ms >= state.session.started_ms else 0) + 1,
        now_ms,
    )

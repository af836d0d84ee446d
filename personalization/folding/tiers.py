"""The part of the fold that tells who reaches another tier of a score, as soon as it is so.

It follows the scores that no model has a say in (``catalog.compiled_scores``). An event changes them, and so does
time alone, as points fade and expire.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable

from personalization.audience import windows
from personalization.audience.rule_scores import tier_of, value
from personalization.audience.score_course import Course
from personalization.audience.tallies import set_tier
from personalization.audience.variables import VisitorScope
from personalization.catalog.compiled_catalog import CompiledCatalog
from personalization.catalog.compiled_scores import CompiledScore
from personalization.catalog.rules import Rule
from personalization.events.event import ClientEvent, Merged, TierChanged
from personalization.events.event_fields import name_in
from personalization.folding.context import FoldContext
from personalization.visitor.folder_state import ALL, FolderState, WatchedTiers
from personalization.visitor.purposes import PERSONALISING, may
from personalization.visitor.visitor_key import is_registered
from personalization.visitor.visitor_state import Points, Session, VisitorState

PUT_OFF_MS = 1_000


class Tiers:
    """The part of the fold that follows the tiers of scores."""

    def observe(self, fold: FoldContext, event: ClientEvent, *, first: bool) -> None:
        """The event may have given points, or taken some."""
        catalog, kept = fold.catalog, fold.folder.tiers
        if kept is None:
            if not catalog.scores.watched:
                return
            kept = fold.folder.tiers = WatchedTiers()
        if catalog.version < kept.version:
            _look_soon(fold, kept)
            return
        if catalog.version > kept.version:
            _look_anew(fold, kept)
            return
        name = name_in(event, catalog.events)
        if touched := catalog.scores.watched_by_event.get(name):
            moved = [score for score in touched if not _is_settled(fold, score, kept, name)]
            if moved:
                _look(fold, moved, kept)

    def time_out(self, fold: FoldContext) -> None:
        """Time alone may have changed something."""
        kept, now_ms = fold.folder.tiers, fold.state.now_ms
        if kept is None:
            profiled = fold.state.first_ms > 0 and may(fold.state.consents, PERSONALISING, default=True)
            if fold.catalog.scores.watched and profiled:
                kept = fold.folder.tiers = WatchedTiers()
                _look_anew(fold, kept)
            return
        if fold.catalog.version > kept.version:
            _look_anew(fold, kept)
            return
        due = [name for name, due_ms in kept.due_ms.items() if due_ms <= now_ms]
        if not due:
            return
        if fold.catalog.version < kept.version:
            # Whoever wakes visitors has not heard of the newer version yet: it will in a moment.
            for name in due:
                kept.due_ms[name] = now_ms + PUT_OFF_MS
        elif ALL in due:
            _look_anew(fold, kept)
        else:
            for name in due:
                del kept.due_ms[name]
            _look(fold, [fold.catalog.scores.watched[name] for name in due], kept)

    def take_over(self, fold: FoldContext, merged: Merged, ours: Session) -> None:
        """The points of both are one score now. A tier that either had reached is not told again."""
        kept, theirs = fold.folder.tiers, merged.folder.tiers
        if kept is None and theirs is None and not fold.catalog.scores.watched:
            return
        if not may(fold.state.consents, PERSONALISING, default=True):
            fold.folder.tiers = None
            return
        kept = fold.folder.tiers = kept or WatchedTiers()
        for score, told_ms in () if theirs is None else theirs.told_ms.items():
            known = kept.told_ms.setdefault(score, {})
            for tier, at_ms in told_ms.items():
                known[tier] = max(at_ms, known.get(tier, 0))
        if merged.more:
            return  # a part of what was known says nothing yet
        kept.version = max(kept.version, 0 if theirs is None else theirs.version)
        if fold.catalog.version < kept.version:
            _look_soon(fold, kept)
        else:
            _look_anew(fold, kept)

    def withdraw(self, fold: FoldContext, allowed: Callable[[str], bool]) -> None:
        """If the visitor refused, nothing is kept of them, and nothing is told."""
        if not allowed(PERSONALISING):
            fold.folder.tiers = None

    def is_behind(self, folder: FolderState, catalog: CompiledCatalog) -> bool:
        """Whether the tiers were found by another version of the catalog."""
        if folder.tiers is None:
            return bool(catalog.scores.watched)
        return folder.tiers.version < catalog.version

    def due_ms(self, folder: FolderState) -> float:
        """When time alone may change something; infinity for never."""
        kept = folder.tiers
        return min(kept.due_ms.values()) if kept is not None and kept.due_ms else math.inf


def _is_settled(fold: FoldContext, score: CompiledScore, kept: WatchedTiers, event: str) -> bool:
    """Whether an event that can only raise the score changes neither its tier nor, for the sooner, when that falls.

    Most events are of this kind, and working out when a tier falls costs ten times as much as the score.
    """
    state = fold.state
    points = state.points
    if event not in score.raised_by or points is None:
        return False
    held = points.tiers.get(score.name)
    next_at = score.next_at.get(held, score.next_at[None])
    if next_at is None:
        return True
    # An upper bound first: the score is worked out once the points given since could reach the next tier.
    room = kept.room.get(score.name, 0.0) - score.most_by_event[event]
    if room > 0:
        kept.room[score.name] = room
        return True
    if score.taken and _has_taken(state, score):
        return False
    holds = _scope(fold).holds if score.has_traits else _nothing_holds
    total = 0.0
    for factor, part in score.parts:
        total += factor * value(part, state, state.now_ms, holds)
    kept.room[score.name] = next_at - total
    return total < next_at


def _nothing_holds(rule: Rule) -> bool:
    return False


def _scope(fold: FoldContext) -> VisitorScope:
    return VisitorScope(fold.state, {}, fold.catalog, fold.state.now_ms, is_registered(fold.key))


def _has_taken(state: VisitorState, score: CompiledScore) -> bool:
    """Whether something took points, which come back as it fades."""
    points = state.points
    for half_life_ms, key in score.taken:
        tallies = None if points is None else points.tallies.get(half_life_ms)
        if (tallies is not None and key in tallies.weights) or key in state.windows:
            return True
    return False


def _look_soon(fold: FoldContext, kept: WatchedTiers) -> None:
    """Have the newer catalog look at all of them: what an entry of an older one changed, only that one can say."""
    kept.room = {}
    kept.due_ms.setdefault(ALL, fold.state.now_ms + PUT_OFF_MS)


def _look_anew(fold: FoldContext, kept: WatchedTiers) -> None:
    """Look at all of them, by today's catalog; what it does not know any more is forgotten."""
    watched, points = fold.catalog.scores.watched, fold.state.points
    kept.version = fold.catalog.version
    kept.due_ms = {}
    kept.room = {}
    kept.told_ms = {name: recent for name, told in kept.told_ms.items() if (recent := _recent(fold, name, told))}
    if points is not None:
        points.tiers = {name: tier for name, tier in points.tiers.items() if name in watched}
    _look(fold, watched.values(), kept)
    if not watched:
        fold.folder.tiers = None


def _recent(fold: FoldContext, name: str, told_ms: dict[str, int]) -> dict[str, int]:
    """What was told of a score, as far as that has a say in what is told next."""
    score = fold.catalog.scores.by_name.get(name)
    rearm_ms = 0 if score is None else score.spec.rearm_ms or 0
    return {tier: at_ms for tier, at_ms in told_ms.items() if fold.state.now_ms - at_ms < rearm_ms}


def _look(fold: FoldContext, scores: Iterable[CompiledScore], kept: WatchedTiers) -> None:
    """See which tier these scores have now, tell of those that changed, and keep when to look again."""
    state, now_ms, scope = fold.state, fold.state.now_ms, _scope(fold)
    before = dict(state.points.tiers) if state.points is not None else {}
    for score in scores:
        name, tiers = score.name, score.tiers
        held = before.get(name, score.rest)
        course = Course(score, score.parts, state, now_ms, scope.holds)
        tier = tier_of(tiers, course.now, held)
        next_at = score.next_at[tier]
        if next_at is None or (score.taken and _has_taken(state, score)):
            kept.room.pop(name, None)  # what was taken comes back with time, which no bound on what is given knows
        else:
            kept.room[name] = next_at - course.now
        due_ms = min(course.next_change_ms(tier), _condition_changes_ms(fold, score))
        # A time that is set already is never put off: each event would ask for a time-out of its own.
        if due_ms < kept.due_ms.get(name, math.inf):
            kept.due_ms[name] = max(int(due_ms), now_ms + 1)
        if tier != held:
            _set_tier(fold, score, tier)
            _tell(fold, kept, score, TierChanged(score=name, tier=tier, before=held))
    _tell_of_axes(fold, kept, before)


def _set_tier(fold: FoldContext, score: CompiledScore, tier: str) -> None:
    points = fold.state.points
    if points is None:
        points = fold.state.points = Points()
    set_tier(points, score, tier)


def _condition_changes_ms(fold: FoldContext, score: CompiledScore) -> float:
    """When time alone next changes a condition on the visitor that the score has points for."""
    changes_ms = math.inf
    for _, part in score.parts:
        for trait in part.traits:
            for window in trait.rule.windows:
                series = fold.catalog.series[window.series.id]
                changes_ms = min(changes_ms, windows.look(window, series, fold.state, fold.state.now_ms)[1])
    return changes_ms


def _tell_of_axes(fold: FoldContext, kept: WatchedTiers, before: dict[str, str]) -> None:
    """Tell of scores whose tier is that of several, if one of them changed."""
    after = fold.state.points.tiers if fold.state.points is not None else {}
    if after == before:
        return
    scores = fold.catalog.scores.by_name
    for score in fold.catalog.scores.of_axes:
        rest = {axis: scores[axis].rest for axis in score.spec.axes}
        was = "".join(before.get(axis, rest[axis]) for axis in score.spec.axes)
        tier = "".join(after.get(axis, rest[axis]) for axis in score.spec.axes)
        if tier != was:
            _tell(fold, kept, score, TierChanged(score=score.name, tier=tier, before=was))


def _tell(fold: FoldContext, kept: WatchedTiers, score: CompiledScore, event: TierChanged) -> None:
    """Tell of a tier, unless it was told a short while ago."""
    rearm_ms, now_ms = score.spec.rearm_ms, fold.state.now_ms
    if rearm_ms is not None:
        told_ms = kept.told_ms.setdefault(score.name, {})
        if now_ms - told_ms.get(event.tier, -rearm_ms) < rearm_ms:
            return
        told_ms[event.tier] = now_ms
    fold.notes.append(("tier_changed", event.score, event.tier))
    fold.tell(event)

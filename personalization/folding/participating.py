"""The part of the fold that follows who takes part in experiments, from first exposure to the end of the horizon.

Who was first shown a placement that has sides to compare takes part in its experiment, once: on the side they were
on, whatever they see later. What counts is what they do until the horizon ends, as often as they come. Then they
are told of once, as a participant. The sides' names are the experiment: if one is added or taken away, another
begins, in which whoever comes takes part anew; that shares change is noted of each who comes.
"""

from __future__ import annotations

import hashlib
import math
from collections.abc import Callable, Mapping

from personalization.audience.segment_lists import segments_inside, why_not_listed
from personalization.catalog.compiled_catalog import CompiledCatalog
from personalization.catalog.sections.metrics import PROFIT, CompiledMetric, is_reward, reward_metric
from personalization.catalog.split import CONTROL
from personalization.events.entry import Position
from personalization.events.event import ClientEvent, Merged
from personalization.events.event_fields import name_in
from personalization.events.event_scope import event_scope
from personalization.events.participant import Participant
from personalization.folding.context import FoldContext
from personalization.visitor.choice import Choice
from personalization.visitor.folder_state import (
    HOLD_MS,
    MAX_PARTICIPATIONS,
    Enrolment,
    FolderState,
    Participation,
    Participations,
)
from personalization.visitor.purposes import PERSONALISING, may
from personalization.visitor.visitor_state import Session

MAX_SEGMENTS = 16
"""Of the catalog, in its order, that a participant is told to be in."""

MAX_RECENT = 16

_ID_BYTES = 12
_SEPARATOR = "\x1f"


class Participating:
    """The part of the fold that follows who takes part."""

    def observe(self, fold: FoldContext, event: ClientEvent, *, first: bool) -> None:
        """The event may count for what the visitor takes part in, or for what came before."""
        if not fold.catalog.has_experiments and fold.folder.participations is None:
            return
        metrics = fold.catalog.metrics_by_event.get(name_in(event, fold.catalog.events))
        if not metrics:
            return
        scope = event_scope(event, fold.catalog)
        for metric in metrics:
            if metric.when is not None and not metric.when.holds(scope):
                continue
            value = 1.0 if metric.value is None else metric.value
            number = value if isinstance(value, float) else value.number(scope)
            if number is not None and math.isfinite(number):
                _count(fold, metric.name, number)

    def time_out(self, fold: FoldContext) -> None:
        """Tell of all whose horizon has ended by now."""
        kept = fold.folder.participations
        if kept is None:
            return
        due = [each for each in kept.open if each.due_ms <= fold.state.now_ms]
        for each in sorted(due, key=lambda each: each.due_ms):
            kept.open.remove(each)
            _tell(fold, each)

    def take_over(self, fold: FoldContext, merged: Merged, ours: Session) -> None:
        """One person takes part once: since the earlier exposure, with what came under both keys."""
        theirs, folder = merged.folder.participations, fold.folder
        if not may(fold.state.consents, PERSONALISING, default=True):
            _refuse(fold)
        elif theirs is not None:
            folder.participations = _united(folder.participations or Participations(), theirs)

    def withdraw(self, fold: FoldContext, allowed: Callable[[str], bool]) -> None:
        """Drop all that is open, untold, if the visitor refused."""
        if fold.folder.participations is not None and not allowed(PERSONALISING):
            _refuse(fold)

    def is_behind(self, folder: FolderState, catalog: CompiledCatalog) -> bool:
        """It is not: what is open keeps the terms it was opened under."""
        return False

    def due_ms(self, folder: FolderState) -> float:
        """When the first horizon ends; infinity if nothing is open."""
        due_ms = math.inf
        if folder.participations is not None:
            for each in folder.participations.open:
                if each.due_ms < due_ms:
                    due_ms = each.due_ms
        return due_ms


def exposed(fold: FoldContext, choice: Choice) -> None:
    """The visitor is about to be noted as having been shown ``choice``: if that is the first, they take part."""
    placement = fold.catalog.placements.get(choice.placement)
    if placement is None or not placement.split:
        return
    kept = fold.folder.participations
    if kept is None:
        kept = fold.folder.participations = Participations()
    _enrol(fold, kept, choice)
    cost = _cost_of(choice.arm, fold.catalog)
    if cost:
        for each in kept.open:
            if each.placement == choice.placement and fold.state.now_ms <= each.due_ms:
                each.cost += cost


def rewarded(fold: FoldContext, placement: str, names: list[str]) -> None:
    """A decision of the placement was rewarded, under these names; an empty one has none."""
    kept = fold.folder.participations
    if kept is None:
        return
    for each in kept.open:
        if each.placement == placement and fold.state.now_ms <= each.due_ms:
            for name in names:
                _happened(each, reward_metric(name), fold.state.now_ms)


def _enrol(fold: FoldContext, kept: Participations, choice: Choice) -> None:
    """Let the visitor take part, unless they do, or nobody knows how probable their side was."""
    name, state, now_ms = choice.placement, fold.state, fold.state.now_ms
    placement = fold.catalog.placements[name]
    side = CONTROL if choice.holdout else choice.variant
    split = placement.split
    before = kept.enrolled.get(name)
    sides = list(split)
    if choice.holdout is None or side not in split or (before is not None and before.sides == sides):
        return
    control = split.get(CONTROL, 0.0)
    if control and name in state.holdouts:
        if before is None:
            return  # on their side since before there was a memory of it: how probable it was then, nobody knows
        control = before.control  # who was drawn once stays there
        split = _with_control(split, control)
    kept.enrolled[name] = Enrolment(sides, control)
    known = fold.catalog.placements
    kept.enrolled = {each: enrolment for each, enrolment in kept.enrolled.items() if each in known}
    if len(kept.open) >= MAX_PARTICIPATIONS:
        fold.notes.append(("participant_skipped", name, ""))
        return
    fold.notes.append(("participant_opened", name, ""))
    kept.open.append(
        Participation(
            participant_id=_id_of(fold.key, fold.position, name),
            placement=name,
            side=side,
            split=dict(split),
            first_ms=now_ms,
            due_ms=now_ms + placement.spec.horizon_ms,
            before=dict(kept.totals),
            segments=_segments(fold),
        )
    )
    _take_overtaking(fold, kept)


def _take_overtaking(fold: FoldContext, kept: Participations) -> None:
    """What came after the decision, and stands before it in the log, counts for whoever has just come in.

    Records are appended without anybody waiting for them: a click can be sooner than what was clicked on.
    """
    participation = kept.open[-1]
    for name, number, at_ms in kept.recent:
        if at_ms > fold.entry.received_at_ms and name in fold.catalog.metrics and name in participation.before:
            _add(participation, name, number, fold.state.now_ms, fold.catalog)
            participation.before[name] -= number


def _with_control(split: Mapping[str, float], control: float) -> dict[str, float]:
    """The same split of those who are not held out, if ``control`` of all are."""
    rest = 1.0 - split[CONTROL]
    others = {side: share / rest * (1.0 - control) for side, share in split.items() if side != CONTROL}
    return {CONTROL: control, **others}


def _segments(fold: FoldContext) -> list[str]:
    rules = {
        name: rule for name, rule in fold.catalog.segments.items() if why_not_listed(rule, fold.catalog) is None
    }
    return segments_inside(fold.key, fold.state, rules, fold.catalog, fold.state.now_ms)[:MAX_SEGMENTS]


def _cost_of(arm: str, catalog: CompiledCatalog) -> float:
    known = catalog.arms.get(arm)
    return 0.0 if known is None else known.content.cost


def _count(fold: FoldContext, name: str, number: float) -> None:
    kept = fold.folder.participations
    if kept is None:
        kept = fold.folder.participations = Participations()
    now_ms = fold.state.now_ms
    for each in kept.open:
        if now_ms <= each.due_ms:  # else its time-out is on its way
            _add(each, name, number, now_ms, fold.catalog)
    at_ms = fold.entry.received_at_ms
    alive = [each for each in kept.recent if each[2] > at_ms - HOLD_MS]
    kept.recent = [*alive, (name, number, at_ms)][-MAX_RECENT:]
    kept.totals[name] = kept.totals.get(name, 0.0) + number
    known = fold.catalog.metrics
    kept.totals = {each: total for each, total in kept.totals.items() if each in known}


def _add(participation: Participation, name: str, number: float, now_ms: int, catalog: CompiledCatalog) -> None:
    if catalog.metrics[name].is_share:
        _happened(participation, name, now_ms)
    else:
        participation.values[name] = participation.values.get(name, 0.0) + number


def _happened(participation: Participation, name: str, now_ms: int) -> None:
    if name not in participation.values:
        participation.values[name] = 1.0
        participation.after_ms[name] = now_ms - participation.first_ms


def _united(ours: Participations, theirs: Participations) -> Participations:
    """What two visitors take part in who are one."""
    by_experiment: dict[tuple[str, str], Participation] = {}
    for each in sorted([*ours.open, *theirs.open], key=lambda each: (each.first_ms, each.participant_id)):
        first = by_experiment.setdefault((each.placement, _SEPARATOR.join(each.split)), each)
        if first is not each:
            _take_in(first, each)
    for one in (ours, theirs):
        for name, enrolment in one.enrolled.items():
            if not any(each.placement == name and list(each.split) == enrolment.sides for each in one.open):
                # They were told of already: this person counts once.
                by_experiment.pop((name, _SEPARATOR.join(enrolment.sides)), None)
    enrolled = {**theirs.enrolled, **ours.enrolled}
    totals = dict(ours.totals)
    for name, total in theirs.totals.items():
        totals[name] = totals.get(name, 0.0) + total
    recent = sorted([*ours.recent, *theirs.recent], key=lambda each: each[2])[-MAX_RECENT:]
    return Participations(list(by_experiment.values())[:MAX_PARTICIPATIONS], enrolled, totals, recent)


def _take_in(first: Participation, later: Participation) -> None:
    """Add what came under the other key; a share came when it came first."""
    first.crossover = first.crossover or later.crossover or first.side != later.side
    first.cost += later.cost
    for name, value in later.values.items():
        if name in later.after_ms:
            after_ms = later.first_ms + later.after_ms[name] - first.first_ms
            first.values[name] = 1.0
            first.after_ms[name] = min(after_ms, first.after_ms.get(name, after_ms))
        else:
            first.values[name] = first.values.get(name, 0.0) + value
    for name, value in later.before.items():
        first.before[name] = first.before.get(name, 0.0) + value


def _refuse(fold: FoldContext) -> None:
    kept = fold.folder.participations
    if kept is not None:
        fold.notes.extend(("participant_refused", each.placement, "") for each in kept.open)
        fold.folder.participations = None


def _tell(fold: FoldContext, participation: Participation) -> None:
    metrics, cost = fold.catalog.metrics, participation.cost
    values, before = (_capped(each, metrics) for each in (participation.values, participation.before))
    if cost or any(metric.margin is not None for metric in metrics.values()):
        values[PROFIT], before[PROFIT] = _earned(values, metrics) - cost, _earned(before, metrics)
    values, before = ({name: value for name, value in each.items() if value} for each in (values, before))
    fold.notes.append(("participant_closed", participation.placement, ""))
    fold.emissions.append(
        Participant(
            participant_id=participation.participant_id,
            placement=participation.placement,
            side=participation.side,
            split=participation.split,
            first_ms=participation.first_ms,
            closed_at_ms=fold.state.now_ms,
            horizon_ms=participation.due_ms - participation.first_ms,
            values=values,
            before=before,
            after_ms=participation.after_ms,
            segments=participation.segments,
            cost=cost,
            crossover=participation.crossover,
        )
    )


def _capped(values: Mapping[str, float], metrics: Mapping[str, CompiledMetric]) -> dict[str, float]:
    """Each within what one visitor counts for at most; without those that the catalog has no more."""
    found = {}
    for name, value in values.items():
        metric = metrics.get(name)
        if metric is not None:
            cap = 1.0 if metric.is_share else metric.cap
            found[name] = max(-cap, min(cap, value))
        elif is_reward(name):
            found[name] = value
    return found


def _earned(values: Mapping[str, float], metrics: Mapping[str, CompiledMetric]) -> float:
    return sum(value * (metrics[name].margin or 0.0) for name, value in values.items() if name in metrics)


def _id_of(key: str, position: Position, placement: str) -> str:
    """Stands for (placement, entry) without naming the visitor."""
    text = f"{placement}\x1f{position.epoch}\x1f{position.offset}\x1f{key}"
    return hashlib.blake2b(text.encode("utf-8", "surrogatepass"), digest_size=_ID_BYTES).hexdigest()

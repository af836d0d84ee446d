"""What the log says of a visitor, a moment at a time, in words; names and amounts, never what anybody typed."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import Any

import msgspec

from operations.stories.untrained import why_untrained
from personalization.events import event as events
from personalization.events.decision_record import DecisionRecord
from personalization.events.logged_entry import LoggedEntry
from personalization.events.outcome import ClosingReason, Outcome
from tracing.trace_context import of_carried

SCALE = 2**32
"""Probabilities are integers over it."""


class Moment(msgspec.Struct, frozen=True, omit_defaults=True, kw_only=True):
    """Something that happened to a visitor.

    Attributes
    ----------
    at_ms
        When, milliseconds since 1970.
    kind
        ``event``, ``identity``, ``decision``, ``shown``, ``reward``, ``audience``, ``time_out`` or ``outcome``.
    key
        The visitor's key that it stands under.
    partition, offset
        Where in the visitor log; None for an outcome, which stands in another.
    """

    at_ms: int
    kind: str
    words: str
    key: str = ""
    partition: int | None = None
    offset: int | None = None
    decision_id: str = ""
    placement: str = ""
    arm: str = ""
    request_id: str = ""
    trace_id: str = ""
    reward: float | None = None

    @property
    def identity(self) -> tuple[object, ...]:
        """What tells it from every other."""
        return (self.kind, self.partition, self.offset, self.decision_id if self.kind == "outcome" else "")


def moment_of(logged: LoggedEntry, records: Mapping[str, DecisionRecord]) -> Moment:
    """The moment of an entry; ``records``: what is recorded of decisions, by id."""
    entry = logged.entry
    event = entry.event
    kind, say = _WORDS.get(type(event), ("event", _other))
    told: dict[str, Any] = {}
    words = say(event)
    decision_id = getattr(event, "decision_id", "")
    if isinstance(event, events.DecisionMade):
        choice = event.choice
        decision_id = choice.decision_id
        told = {"placement": choice.placement, "arm": choice.arm}
        if record := records.get(decision_id):
            told["request_id"] = record.request_id
            words += f": {record.tier}, {record.reason}" if record.reason else f": {record.tier}"
    elif isinstance(event, events.Rewarded | events.Activated):
        told = {"reward": event.value} if isinstance(event, events.Rewarded) else {}
        if record := records.get(decision_id):
            told |= {"placement": record.choice.placement, "arm": record.choice.arm}
            words = words.replace("a decision", f"{record.choice.arm} at {record.choice.placement}", 1)
    if place := of_carried(entry.trace):
        told["trace_id"] = place.trace_id.hex()
    told |= {"key": logged.key, "partition": logged.partition, "offset": logged.offset}
    return Moment(at_ms=entry.received_at_ms, kind=kind, words=words, decision_id=decision_id, **told)


def moment_of_outcome(outcome: Outcome, key: str, record: DecisionRecord | None = None) -> Moment:
    """The moment a decision was closed; ``record``: what is recorded of the decision."""
    choice = outcome.choice
    why_not = why_untrained(outcome, record)
    learned = f"no model learns from it, because {why_not}" if why_not else "the model learns from it"
    closed = f"{choice.arm} at {choice.placement} closed, {_CLOSED[outcome.reason]}"
    place = of_carried(outcome.trace)
    return Moment(
        at_ms=outcome.closed_at_ms,
        kind="outcome",
        words=f"{closed}: reward {outcome.reward:g}; {learned}",
        key=key,
        decision_id=choice.decision_id,
        placement=choice.placement,
        arm=choice.arm,
        reward=outcome.reward,
        trace_id="" if place is None else place.trace_id.hex(),
    )


_CLOSED: Mapping[ClosingReason, str] = MappingProxyType(
    {
        ClosingReason.WINDOW: "as its window ended",
        ClosingReason.FINAL: "as its caller said nothing more will come",
        ClosingReason.EVICTED: "as too many were open",
        ClosingReason.WITHDRAWN: "as the visitor refused",
        ClosingReason.UNEXPOSED: "as it was never shown",
    }
)


def _decided(event: events.DecisionMade) -> str:
    choice = event.choice
    shown = "" if event.exposed else ", not shown yet"
    kept = ", kept from before in this session" if event.sticky and not event.trains else ""
    return (
        f"{choice.arm} was chosen at {choice.placement} with probability {choice.weight / SCALE:.3g}{shown}{kept}"
    )


def _rewarded(event: events.Rewarded) -> str:
    named = f" by {event.name}" if event.name else ""
    return f"a decision was rewarded{named}: {event.value:g}{', and nothing more will come' if event.final else ''}"


def _viewed(event: events.Page | events.Screen) -> str:
    kind = "page" if isinstance(event, events.Page) else "screen"
    return f"{kind} {event.name}" if event.name else kind


def _identified(event: events.Identify) -> str:
    names = sorted({*event.traits, *event.traits_once})
    return f"identified, with {', '.join(names)}" if names else "identified"


def _segment(event: events.SegmentChanged) -> str:
    return f"{'entered' if event.entered else 'left'} the segment {event.segment}"


def _tier(event: events.TierChanged) -> str:
    return f"the score {event.score} went from tier {event.before or '-'} to {event.tier or '-'}"


def _other(event: events.Event) -> str:
    return type(event).__name__


_WORDS: Mapping[type, tuple[str, Callable[[Any], str]]] = MappingProxyType(
    {
        events.Track: ("event", lambda event: event.event),
        events.Page: ("event", _viewed),
        events.Screen: ("event", _viewed),
        events.Identify: ("event", _identified),
        events.Group: ("event", lambda event: "joined a group"),
        events.Alias: ("identity", lambda event: "took over another id"),
        events.Link: ("identity", lambda event: "was found to be another id's person"),
        events.Unlinked: ("identity", lambda event: "was told apart from another id"),
        events.Merged: ("identity", lambda event: "what was known of another id was taken over"),
        events.Redirected: ("identity", lambda event: "goes by another id from now on"),
        events.Offered: ("reward", lambda event: "what was done on a device was counted for its user"),
        events.Backfilled: ("event", lambda event: "times were taken from the log's past"),
        events.SegmentChanged: ("audience", _segment),
        events.TierChanged: ("audience", _tier),
        events.DecisionMade: ("decision", _decided),
        events.Activated: ("shown", lambda event: "a decision was shown"),
        events.Rewarded: ("reward", _rewarded),
        events.Erased: ("identity", lambda event: "was erased"),
        events.TimedOut: ("time_out", lambda event: "time was up"),
    }
)

"""What time was up for: the log says only when, and what came of it at that moment says the rest."""

from __future__ import annotations

from collections.abc import Iterable

from msgspec import structs

from operations.stories.moments import Moment
from personalization.events.event import SegmentChanged, TierChanged
from personalization.events.logged_entry import LoggedEntry
from personalization.events.outcome import ClosingReason, Outcome

_BY_TIME = frozenset({ClosingReason.WINDOW, ClosingReason.UNEXPOSED})

UNTOLD = (
    "time was up for something that leaves no word here: a conversion's or an experiment's horizon, a reward that "
    "waited for its decision, or a segment or tier that stayed as it was"
)


def with_causes(
    moments: Iterable[Moment], entries: Iterable[LoggedEntry], outcomes: Iterable[Outcome]
) -> list[Moment]:
    """The moments, in which each time-out names what ended by it.

    Parameters
    ----------
    entries, outcomes
        What else is known of the visitor.
    """
    ended: dict[int, list[str]] = {}
    for outcome in outcomes:
        if outcome.reason in _BY_TIME:
            of_decision = f"{outcome.choice.arm} at {outcome.choice.placement}"
            ended.setdefault(outcome.closed_at_ms, []).append(of_decision)
    for each in entries:
        event = each.entry.event
        if isinstance(event, SegmentChanged):
            ended.setdefault(each.entry.received_at_ms, []).append(f"the segment {event.segment}")
        elif isinstance(event, TierChanged):
            ended.setdefault(each.entry.received_at_ms, []).append(f"the score {event.score}")
    return [_told(moment, ended) if moment.kind == "time_out" else moment for moment in moments]


def _told(moment: Moment, ended: dict[int, list[str]]) -> Moment:
    causes = dict.fromkeys(ended.get(moment.at_ms, ()))
    return structs.replace(moment, words=f"time was up for {', '.join(causes)}" if causes else UNTOLD)

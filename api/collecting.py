"""The collector of a process: every event checked on its own, the good ones in the log before it returns."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple, TypeVar

from api.events import event_records, own_record
from api.intake import Intake
from api.notice import Notice
from api.services import Services
from eventlog.port import Record
from personalization.errors import InvalidInput
from personalization.events.event import ClientEvent
from personalization.visitor.visitor_key import visitor_key

T = TypeVar("T")


class Incoming(NamedTuple):
    """An event that is as it should be, when it happened, and its record if consent lets it stand."""

    event: ClientEvent
    at_ms: int
    record: Record


def incoming(event: ClientEvent, at_ms: int, field: str, intake: Intake) -> Incoming:
    """An event to be collected; raises ``InvalidInput`` that names what below ``field`` could not be logged."""
    key = visitor_key(event.user_id, event.anonymous_id)
    return Incoming(event, at_ms, own_record(key, event, at_ms, field, intake))


@dataclass(slots=True)
class Taken:
    """What became of the events of one request.

    Attributes
    ----------
    n_accepted
        How many the log has now.
    rejected
        Those that were not as they should be, by their place in the request, and why.
    warnings
        What the sender is told of those that were, by their place in the request.
    """

    n_accepted: int = 0
    rejected: list[tuple[int, InvalidInput]] = field(default_factory=list)
    warnings: list[tuple[int, Notice]] = field(default_factory=list)


class Collector:
    """Takes events into the log, as far as their visitors agreed."""

    def __init__(self, services: Services) -> None:
        self._services = services

    async def take(self, sent: Sequence[T], read: Callable[[int, T], Incoming], intake: Intake) -> Taken:
        """Take what was sent, and wait until the log has it. A bad event keeps no good one back.

        Parameters
        ----------
        read
            Makes an event of what was sent, given its place; raises ``InvalidInput`` that names the field.

        Raises
        ------
        Unavailable
            Where the log did not take them: nothing is accepted.
        """
        taken = Taken()
        good: list[tuple[int, Incoming]] = []
        for index, raw in enumerate(sent):
            try:
                good.append((index, read(index, raw)))
                taken.warnings += [(index, notice) for notice in intake.notices]
            except InvalidInput as error:
                taken.rejected.append((index, error))
            intake.notices.clear()
        if good:
            taken.n_accepted = await self._log(good, intake, taken.warnings)
        n_unlogged = len(good) - taken.n_accepted
        self._services.metrics.collected(taken.n_accepted, len(taken.rejected), n_unlogged)
        return taken

    async def _log(
        self, good: list[tuple[int, Incoming]], intake: Intake, warnings: list[tuple[int, Notice]]
    ) -> int:
        """Append what consent lets be logged, and wait until it is; gives how many events those are."""
        services = self._services
        records: list[Record] = []
        links: list[tuple[str, str]] = []
        n_accepted = 0
        admitted = await services.consent.admit([one.event for _, one in good], intake)
        for (index, one), may_go in zip(good, admitted, strict=True):
            if may_go is None:
                warnings.append((index, _NO_CONSENT))
                continue
            event, agreed = may_go
            new_links = services.linker.links(event, intake.received_at_ms)
            own = one.record if event is one.event and not agreed else None
            records += event_records(event, one.at_ms, new_links, intake, own, agreed=agreed)
            links += new_links
            n_accepted += 1
        if records:
            await services.log.append(records)
            services.linker.appended(links, intake.received_at_ms)
        return n_accepted


_NO_CONSENT = Notice(
    "context.consent",
    "no_consent",
    "was not logged: the visitor has not agreed to personalization, or refused it; send "
    '{"personalization": true} once they agree',
)

"""The collector of a process: every event checked on its own, the good ones in the log before it returns."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple, TypeVar

from msgspec import structs

from api.limits.slices import Slices
from api.reading.events import client_event, event_records, event_time_ms, ids_of, nobody, own_record, whose
from api.reading.notice import Notice
from api.reading.times import WireTime
from api.reading.wire import WireEvent
from api.services.intake import Intake
from api.services.linker import Linked
from api.services.ports import Services
from api.services.proven_pairs import Pair
from api.services.speaking import Named, ProofSource, left_out, unverified
from eventlog.port import Record
from personalization.errors import InvalidInput
from personalization.events.event import ClientEvent
from personalization.visitor.visitor_key import visitor_key

T = TypeVar("T")


class Incoming(NamedTuple):
    """An event that is as it should be.

    Attributes
    ----------
    at_ms
        When it happened.
    record
        What is logged of it if consent lets it stand.
    who
        Whom its ids stand for; there may be doubt about its user.
    field
        Where it stands.
    """

    event: ClientEvent
    at_ms: int
    record: Record
    who: Named
    field: str


def incoming(event: ClientEvent, at_ms: int, who: Named, field: str, intake: Intake) -> Incoming:
    """An event to be collected.

    Raises
    ------
    InvalidInput
        Names what below ``field`` could not be logged, or the user, where there is doubt and nobody else is named.
    """
    if who.doubt is not None and who.anonymous_id is None:
        raise unverified(who, f"{field}.userId")
    key = visitor_key(event.user_id, event.anonymous_id)
    event = intake.with_item(event)
    return Incoming(event, at_ms, own_record(key, event, at_ms, field, intake, proven=who.proven), who, field)


def incoming_of(wire: WireEvent, field: str, sent_at: WireTime, intake: Intake, shown: ProofSource) -> Incoming:
    """An event as it was sent, to be collected.

    Parameters
    ----------
    sent_at
        When its batch was sent, by the sender's clock.
    shown
        What the request as a whole proves of the user it names.

    Raises
    ------
    InvalidInput
        Names the field below ``field``.
    """
    user_id, anonymous_id = ids_of(wire, field, intake)
    if user_id is None and anonymous_id is None:
        raise nobody(wire, field)
    who = whose(wire, user_id, anonymous_id, shown, field, intake)
    event = client_event(wire, field, intake, user_id, anonymous_id)
    return incoming(event, event_time_ms(wire, sent_at, field, intake), who, field, intake)


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
        slices = Slices(self._services.turnstile)
        for index, raw in enumerate(sent):
            if slices.is_over:
                await slices.pause()
            try:
                good.append((index, read(index, raw)))
                taken.warnings += [(index, notice) for notice in intake.notices]
            except InvalidInput as error:
                taken.rejected.append((index, error))
            intake.notices.clear()
        if any(one.who.doubt is not None for _, one in good):
            good = await self._beyond_doubt(good, intake, taken.warnings, slices)
        if good:
            taken.n_accepted = await self._log(good, intake, taken.warnings, slices)
        n_unlogged = len(good) - taken.n_accepted
        self._services.metrics.collected(taken.n_accepted, len(taken.rejected), n_unlogged)
        return taken

    async def _beyond_doubt(
        self,
        good: list[tuple[int, Incoming]],
        intake: Intake,
        warnings: list[tuple[int, Notice]],
        slices: Slices,
    ) -> list[tuple[int, Incoming]]:
        """The events, without users that neither they nor their browser lately proved to be."""
        doubted = (one.who for _, one in good if one.who.doubt is not None)
        pairs: list[Pair] = list(dict.fromkeys((who.anonymous_id or "", who.user_id or "") for who in doubted))
        known = await self._services.proven_pairs.known(pairs, intake.received_at_ms)
        believed: set[tuple[str | None, str | None]] = {
            pair for pair, is_known in zip(pairs, known, strict=True) if is_known
        }
        settled = []
        slices.begin()
        for index, one in good:
            if slices.is_over:
                await slices.pause()
            if one.who.proven:
                believed.add((one.who.anonymous_id, one.who.user_id))  # what follows in the batch comes after it
            if one.who.doubt is not None and (one.who.anonymous_id, one.who.user_id) not in believed:
                warnings.append((index, left_out(one.who, f"{one.field}.userId")))
                event = structs.replace(one.event, user_id=None)
                key = visitor_key(None, event.anonymous_id)
                one = one._replace(event=event, record=intake.record(key, event, one.at_ms))
            settled.append((index, one))
        return settled

    async def _log(
        self,
        good: list[tuple[int, Incoming]],
        intake: Intake,
        warnings: list[tuple[int, Notice]],
        slices: Slices,
    ) -> int:
        """Append what consent lets be logged, and wait until it is; gives how many events those are."""
        services = self._services
        records: list[Record] = []
        links: list[Linked] = []
        pairs: list[Pair] = []
        n_accepted = 0
        admitted = await services.consent.admit([one.event for _, one in good], intake, slices)
        for (index, one), may_go in zip(good, admitted, strict=True):
            if slices.is_over:
                await slices.pause()
            if may_go is None:
                warnings.append((index, _NO_CONSENT))
                continue
            event, agreed = may_go
            proven = one.who.proven
            verifies = intake.caller.access.verify_users
            new_links = services.linker.links(event, intake.received_at_ms, proven=proven, verifies=verifies)
            own = one.record if event is one.event and not agreed else None
            records += event_records(event, one.at_ms, new_links, intake, own, agreed=agreed, proven=proven)
            links += new_links
            n_accepted += 1
            if proven and event.anonymous_id and event.user_id:
                pairs.append((event.anonymous_id, event.user_id))
        if records:
            await services.append(records)
            services.linker.appended(links, intake.received_at_ms)
        slices.begin()
        for anonymous_id, user_id in pairs:
            if slices.is_over:
                await slices.pause()
            services.proven_pairs.remember(anonymous_id, user_id, intake.received_at_ms)
        return n_accepted


_NO_CONSENT = Notice(
    "context.consent",
    "no_consent",
    "was not logged: the visitor has not agreed to personalization, or refused it; send "
    '{"personalization": true} once they agree',
)

"""What a decision leaves behind: events sent along, the link of its two ids, the choices. Nothing here waits."""

from __future__ import annotations

import logging

from msgspec import structs

from api.reading.events import event_records, link_records
from api.services.consent_gate import refused_besides, sent_events
from api.services.intake import Intake
from api.services.ports import Services
from eventlog.port import Record
from eventlog.topics import DECISIONS, VISITOR_LOG
from personalization.deciding.decision import Answer
from personalization.deciding.request import DecideRequest
from personalization.events.decision_record import encode_record
from personalization.events.entry import encode_entry
from personalization.visitor.visitor_state import VisitorState

logger = logging.getLogger(__name__)


class Recorder:
    """Queues what was decided for the log, and counts what could not be queued."""

    def __init__(self, services: Services) -> None:
        self._services = services

    def record(
        self, request: DecideRequest, states: list[VisitorState] | None, answer: Answer, intake: Intake
    ) -> None:
        """Queue what happened: first what was said of consent, then events, the link, entries and records."""
        services = self._services
        put = self._put
        dropped = self._events(request, states, answer, intake) if request.events or answer.words else 0
        if request.names_pair and request.placements:
            dropped += self._link(request, answer, intake)
        if intake.trace is not None:
            _carry(intake.trace.carried, answer)
        if intake.answered_as not in ("", request.request_id):
            _name(intake.answered_as, answer)
        key = answer.key
        for entry in answer.entries:
            entry.sender = intake.sender
            dropped += not put(Record(VISITOR_LOG, key, encode_entry(entry)))
        for record in answer.records:
            dropped += not put(Record(DECISIONS, key, encode_record(record)))
        if dropped:
            services.metrics.unlogged.labels("spool_full").inc(dropped)
        for placement, error in answer.faults:
            services.metrics.faults.labels(placement).inc()
            logger.error("model_failed", extra={"placement": placement, "reason": repr(error)})

    def _events(
        self, request: DecideRequest, states: list[VisitorState] | None, answer: Answer, intake: Intake
    ) -> int:
        """Queue the events sent along, as far as consent lets them; gives how many records were dropped."""
        services = self._services
        agreed = answer.events_kept and not request.consent_default
        dropped = 0
        for sent in sent_events(request, states, answer, intake.received_at_ms):
            if sent is None:
                services.metrics.events.labels("dropped").inc()
                services.metrics.unlogged.labels("consent").inc()
                continue
            services.consent.remember_event(sent.event, intake)
            # What names the browser alone is said by whoever has the browser: nobody has proven to be that.
            proven = request.proven and sent.event.user_id is not None
            verifies = intake.caller.access.verify_users
            links = services.linker.links(sent.event, intake.received_at_ms, proven=proven, verifies=verifies)
            records = event_records(sent.event, sent.occurred_at_ms, links, intake, agreed=agreed, proven=proven)
            for besides in refused_besides(sent.event, request):
                services.consent.remember_event(besides, intake)
                records += event_records(besides, sent.occurred_at_ms, (), intake)
            kept = [self._put(record) for record in records]
            dropped += kept.count(False)
            if all(kept):
                services.linker.appended(links, intake.received_at_ms)
            services.metrics.events.labels("accepted" if kept[0] else "dropped").inc()
        return dropped

    def _link(self, request: DecideRequest, answer: Answer, intake: Intake) -> int:
        """Say that the two ids of the request are one person; gives how many records were dropped.

        Its decisions stand under one of them, and what the visitor does next may come under the other. Where the
        state could not be read they stand under neither, and whether linking is allowed is not known.
        """
        if not answer.events_kept or answer.state_revision is None:
            return 0
        linker = self._services.linker
        user, anonymous = request.keys()
        links = linker.links_of(user, anonymous, intake.received_at_ms, proven=request.proven)
        if not links:
            return 0
        kept = [self._put(record) for record in link_records(links, intake)]
        if all(kept):
            linker.appended(links, intake.received_at_ms)
            if request.proven and request.anonymous_id and request.user_id:
                self._services.proven_pairs.remember(request.anonymous_id, request.user_id, intake.received_at_ms)
        return kept.count(False)

    def _put(self, record: Record) -> bool:
        try:
            return self._services.spool.put(record)
        except Exception:  # the answer stands: what cannot be logged is counted, and never keeps it back
            logger.exception("spool_failed")
            return False


def _carry(trace: bytes, answer: Answer) -> None:
    """Let what is logged of the answer carry the trace of its request."""
    for entry in answer.entries:
        entry.trace = trace
    answer.records[:] = [structs.replace(record, trace=trace) for record in answer.records]


def _name(answered_as: str, answer: Answer) -> None:
    """Let the records lead from what the answer calls the request, which its body named otherwise."""
    answer.records[:] = [structs.replace(record, answered_as=answered_as) for record in answer.records]

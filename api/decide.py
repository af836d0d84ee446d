"""``POST`` and ``GET /v1/decide``: the answer first, everything else behind it.

The path waits for one thing, the coalesced read of the visitor, and for that no longer than its limit. What is
to be logged goes to the spool.
"""

from __future__ import annotations

import asyncio
import logging
import time
from typing import Any

import orjson
from starlette.types import Receive, Scope, Send

from api.auth import authorise
from api.consent_gate import sent_events
from api.decide_request import decide_request, from_query, query_fields
from api.events import event_records, link_records
from api.exchange import new_request_id, read_body, respond, respond_error
from api.intake import Intake
from api.scoring import CoalescedScoring
from api.services import Services
from api.wire import DECIDE
from eventlog.port import Record
from eventlog.topics import DECISIONS, VISITOR_LOG
from personalization.audience.consent import words_of
from personalization.deciding.decide import check, deciding
from personalization.deciding.decision import Answer, Decision
from personalization.deciding.request import DecideRequest
from personalization.errors import Unavailable
from personalization.events.decision_record import encode_record
from personalization.events.entry import encode_entry
from personalization.visitor.visitor_key import user_key
from personalization.visitor.visitor_state import VisitorState

logger = logging.getLogger(__name__)

MAX_BODY_BYTES = 1024 * 1024
MAX_DEADLINE_MS = 10_000
_READ_SHARE = 0.6
"""Of what is left of a deadline the read may take; the rest is for choosing and answering."""


class DecideEndpoint:
    """Decides over HTTP."""

    def __init__(self, services: Services) -> None:
        self._services = services
        self._scoring = CoalescedScoring()
        self._limit_bytes = min(MAX_BODY_BYTES, services.max_body_bytes)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """One request."""
        began = time.perf_counter()
        request_id = new_request_id()
        try:
            body = await self._answer(scope, receive, began, request_id)
        except Exception as error:  # every error becomes an answer, in the one shape
            known = await respond_error(send, error, request_id)
            self._services.metrics.requests.labels("decide", str(known.status)).inc()
            if known.status == 500:
                logger.exception("decide_failed", extra={"request_id": request_id})
            return
        await respond(send, 200, body, _NO_STORE)
        self._services.metrics.answered("decide")

    async def _answer(self, scope: Scope, receive: Receive, began: float, request_id: str) -> bytes:
        services = self._services
        if scope["method"] == "GET":
            fields = query_fields(scope["query_string"])
            caller = authorise(scope, services.keys, key=fields.get("key", [None])[0])
            wire = from_query(fields)
        else:
            caller = authorise(scope, services.keys)
            wire = DECIDE.read(await read_body(scope, receive, self._limit_bytes))
        intake = services.intake(caller, scope)
        now_ms = intake.received_at_ms
        request = decide_request(wire, request_id, intake, services.consent)
        catalog = services.catalog.current
        check(request, catalog)
        deadline_ms = services.deadline_ms
        if wire.deadline_ms is not None:
            deadline_ms = max(1, min(MAX_DEADLINE_MS, int(wire.deadline_ms)))
        deadline = began + deadline_ms / 1000
        states = await self._states(request, deadline)
        reading_done = time.perf_counter()
        steps = deciding(
            request,
            states,
            catalog,
            services.models,
            now_ms,
            secret=services.secret,
            nonce=services.nonce,
            out_of_time=lambda: time.perf_counter() > deadline,
            scorers=services.conversions,
        )
        answer = await self._scoring.run(steps)
        services.metrics.scored(time.perf_counter() - reading_done)
        self._log(request, states, answer, intake)
        body = orjson.dumps(
            {
                "requestId": request.request_id,
                "decisions": [_shown(decision) for decision in answer.decisions],
                "stateAgeMs": answer.state_age_ms,
                "stateRevision": answer.state_revision,
                "modelAgeMs": services.models.age_ms([d.model for d in answer.decisions], now_ms),
                "catalogVersion": catalog.catalog.version,
                "warnings": [notice.shown() for notice in intake.notices],
            }
        )
        seconds = time.perf_counter() - began
        for decision in answer.decisions:
            services.metrics.decided(decision.tier, decision.placement, seconds)
        return body

    async def _states(self, request: DecideRequest, deadline: float) -> list[VisitorState] | None:
        """What is known of the visitor, None where it cannot be had in time, or there is none."""
        if request.is_nobodys:
            return None
        services = self._services
        registered = user_key(request.user_id) if request.user_id else None
        left_s = (deadline - time.perf_counter()) * _READ_SHARE
        try:
            if left_s * 1000 >= services.redis_timeout_ms:
                return await services.visitors.read(request.keys(), registered)
            if left_s <= 0:
                return None
            async with asyncio.timeout(left_s):
                return await services.visitors.read(request.keys(), registered)
        except (Unavailable, TimeoutError):
            return None

    def _log(
        self, request: DecideRequest, states: list[VisitorState] | None, answer: Answer, intake: Intake
    ) -> None:
        """Queue what happened; nothing here waits."""
        services = self._services
        put = self._put
        agreed = answer.events_kept and not request.consent_default
        dropped = 0
        said = sent_events(request, states, answer, intake.received_at_ms) if request.events or answer.words else ()
        for sent in said:
            if sent is None:
                services.metrics.events.labels("dropped").inc()
                services.metrics.unlogged.labels("consent").inc()
                continue
            services.consent.remember(request.keys(), words_of(sent.event), intake)
            links = services.linker.links(sent.event, intake.received_at_ms)
            records = event_records(sent.event, sent.occurred_at_ms, links, intake, agreed=agreed)
            kept = [put(record) for record in records]
            dropped += kept.count(False)
            if all(kept):
                services.linker.appended(links, intake.received_at_ms)
            services.metrics.events.labels("accepted" if kept[0] else "dropped").inc()
        if request.names_pair and request.placements:
            dropped += self._link(request, answer, intake)
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

    def _link(self, request: DecideRequest, answer: Answer, intake: Intake) -> int:
        """Say that the two ids of the request are one person; gives how many records were dropped.

        Its decisions stand under one of them, and what the visitor does next may come under the other. Where the
        state could not be read they stand under neither, and whether linking is allowed is not known.
        """
        if not answer.events_kept or answer.state_revision is None:
            return 0
        linker = self._services.linker
        user, anonymous = request.keys()
        links = linker.links_of(user, anonymous, intake.received_at_ms)
        if not links:
            return 0
        kept = [self._put(record) for record in link_records(links, intake)]
        if all(kept):
            linker.appended(links, intake.received_at_ms)
        return kept.count(False)

    def _put(self, record: Record) -> bool:
        try:
            return self._services.spool.put(record)
        except Exception:  # the answer stands: what cannot be logged is counted, and never keeps it back
            logger.exception("spool_failed")
            return False


_NO_STORE = [(b"cache-control", b"no-store")]


def _shown(decision: Decision) -> dict[str, Any]:
    return {
        "placement": decision.placement,
        "slot": decision.slot,
        "decisionId": decision.decision_id,
        "contentId": decision.content_id,
        "content": decision.content,
        "probability": decision.probability,
        "policy": decision.policy,
        "tier": decision.tier,
        "reason": decision.reason,
        "holdout": decision.holdout,
        "variant": decision.variant or None,
    }

"""``POST`` and ``GET /v1/decide``: the answer first, everything else behind it.

The path waits for one thing, the coalesced read of the visitor, and for that no longer than its limit. What is
to be logged goes to the spool.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Mapping
from typing import Any
from urllib.parse import parse_qs

import orjson
from starlette.types import Receive, Scope, Send

from api.auth import authorise
from api.events import (
    carries_consent,
    check_id,
    client_event,
    event_records,
    occurred_at_ms,
    read_event,
    record_of,
)
from api.exchange import new_request_id, read_body, respond, respond_error
from api.scoring import CoalescedScoring
from api.services import Services
from api.wire import DECIDE, WireDecide, WirePlacement, WireVisitor
from eventlog.port import Record
from eventlog.topics import DECISIONS, VISITOR_LOG
from personalization.decide import check, deciding
from personalization.decision import Answer, Decision
from personalization.decision_record import encode_record
from personalization.entry import encode_entry
from personalization.errors import InvalidInput, Unavailable
from personalization.request import DecideRequest, PlacementRequest, SentEvent
from personalization.visitor_key import user_key
from personalization.visitor_state import VisitorState

logger = logging.getLogger(__name__)

MAX_BODY_BYTES = 1024 * 1024
MAX_PLACEMENTS = 50
MAX_EVENTS = 100
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
        self._services.metrics.decide_answered()

    async def _answer(self, scope: Scope, receive: Receive, began: float, request_id: str) -> bytes:
        services = self._services
        if scope["method"] == "GET":
            fields = _query_fields(scope["query_string"])
            access = authorise(scope, services.keys, key=fields.get("key", [None])[0])
            wire = _from_query(fields)
        else:
            access = authorise(scope, services.keys)
            wire = DECIDE.read(await read_body(scope, receive, self._limit_bytes))
        now_ms = services.clock_ms()
        request = decide_request(
            wire, request_id, now_ms, access.consent_default == "granted", imports=access.role == "server"
        )
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
        self._log(request, answer, now_ms, catalog.catalog.version)
        body = orjson.dumps(
            {
                "requestId": request_id,
                "decisions": [_shown(decision) for decision in answer.decisions],
                "stateAgeMs": answer.state_age_ms,
                "stateRevision": answer.state_revision,
                "modelAgeMs": services.models.age_ms([d.placement for d in answer.decisions], now_ms),
                "catalogVersion": catalog.catalog.version,
            }
        )
        seconds = time.perf_counter() - began
        for decision in answer.decisions:
            services.metrics.decided(decision.tier, decision.placement, seconds)
        return body

    async def _states(self, request: DecideRequest, deadline: float) -> list[VisitorState] | None:
        """What is known of the visitor, None where it cannot be had in time."""
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

    def _log(self, request: DecideRequest, answer: Answer, now_ms: int, catalog_version: int) -> None:
        """Queue what happened; nothing here waits."""
        services = self._services
        dropped = 0
        for sent in request.events:
            if answer.events_kept or carries_consent(sent.event):
                links = services.linker.links(sent.event)
                records = event_records(sent.event, now_ms, sent.occurred_at_ms, catalog_version, links)
                kept = [self._put(record) for record in records]
                dropped += kept.count(False)
                if all(kept):
                    services.linker.appended(links)
                services.metrics.events.labels("accepted" if kept[0] else "dropped").inc()
            else:
                services.metrics.events.labels("dropped").inc()
                services.metrics.unlogged.labels("consent").inc()
        put = self._put
        key = answer.key
        for entry in answer.entries:
            dropped += not put(Record(VISITOR_LOG, key, encode_entry(entry)))
        for record in answer.records:
            dropped += not put(Record(DECISIONS, key, encode_record(record)))
        if dropped:
            services.metrics.unlogged.labels("spool_full").inc(dropped)
        for placement, error in answer.faults:
            services.metrics.faults.labels(placement).inc()
            logger.error("model_failed", extra={"placement": placement, "reason": repr(error)})

    def _put(self, record: Record) -> bool:
        try:
            return self._services.spool.put(record)
        except Exception:  # the answer stands: what cannot be logged is counted, and never keeps it back
            logger.exception("spool_failed")
            return False


_NO_STORE = [(b"cache-control", b"no-store")]


def decide_request(
    wire: WireDecide, request_id: str, now_ms: int, consent_default: bool, *, imports: bool = False
) -> DecideRequest:
    """The request, checked.

    Raises
    ------
    InvalidInput
        Names the field.
    """
    user_id = check_id(wire.visitor.user_id, "visitor.userId")
    anonymous_id = check_id(wire.visitor.anonymous_id, "visitor.anonymousId")
    events: tuple[SentEvent, ...] = ()
    if wire.events:
        if len(wire.events) > MAX_EVENTS:
            raise InvalidInput(
                "events", f"are {len(wire.events)}; at most {MAX_EVENTS} go with a decision", "too_many"
            )
        sent = []
        for index, raw in enumerate(wire.events):
            field = f"events[{index}]"
            wire_event = read_event(raw, field)
            event = client_event(wire_event, field, user_id, anonymous_id)
            user_id = _same(user_id, event.user_id, f"{field}.userId")
            anonymous_id = _same(anonymous_id, event.anonymous_id, f"{field}.anonymousId")
            at_ms = occurred_at_ms(wire_event, None, now_ms, field, imports=imports)
            record_of("-", event, now_ms, at_ms, 0)  # refuses what could not be logged, before anything is decided
            sent.append(SentEvent(event, at_ms))
        events = tuple(sent)
    if user_id is None and anonymous_id is None:
        raise InvalidInput("visitor", "names nobody; send an anonymousId, a userId or both", "missing_visitor")
    if len(wire.placements) > MAX_PLACEMENTS:
        raise InvalidInput("placements", f"are {len(wire.placements)}; at most {MAX_PLACEMENTS}", "too_many")
    return DecideRequest(
        request_id=request_id,
        placements=tuple(
            PlacementRequest(asked) if isinstance(asked, str) else PlacementRequest(asked.placement, asked.slots)
            for asked in wire.placements
        ),
        user_id=user_id,
        anonymous_id=anonymous_id,
        context=wire.context or {},
        events=events,
        activate=wire.activate,
        consent_default=consent_default,
    )


def _same(ours: str | None, theirs: str | None, field: str) -> str | None:
    if ours and theirs and ours != theirs:
        raise InvalidInput(field, "is another visitor's; send events of others to /v1/events", "other_visitor")
    return ours or theirs


def _query_fields(query: bytes) -> dict[str, list[str]]:
    try:
        return parse_qs(query.decode("ascii"), max_num_fields=100, errors="strict")
    except (UnicodeDecodeError, ValueError) as error:
        raise InvalidInput("query", "is not a UTF-8 query string of at most 100 fields") from error


def _from_query(fields: Mapping[str, list[str]]) -> WireDecide:
    """``?visitor=…&userId=…&placement=…&placement=…&key=…``, for beacons and server-side includes."""

    def one(name: str) -> str | None:
        return fields[name][0] if name in fields else None

    if "placement" not in fields:
        raise InvalidInput("placement", "is missing; send ?visitor=…&placement=…", "missing_field")
    context: dict[str, Any] = {name: one(name) for name in ("locale", "userAgent", "timezone") if name in fields}
    return WireDecide(
        visitor=WireVisitor(one("visitor"), one("userId")),
        placements=[WirePlacement(name) for name in fields["placement"]],
        context=context,
        activate=one("activate") not in ("false", "0"),
    )


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
    }

"""``POST /v1/events``: every event checked on its own, the good ones acknowledged by the log before 200."""

from __future__ import annotations

import logging
from dataclasses import dataclass
from typing import Any, TypeVar

import msgspec
import orjson
from starlette.types import Receive, Scope, Send

from api.auth import Caller, authorise
from api.errors import ApiError, body_of
from api.events import MAX_EVENTS, client_event, event_records, event_time_ms, ids_of, nobody, read_event
from api.exchange import new_request_id, read_body, respond, respond_error
from api.intake import Intake
from api.notice import Notice
from api.services import Services
from api.times import WireTime
from api.wire import BATCH, WireBatch, refusal
from eventlog.port import Record
from personalization.errors import InvalidInput
from personalization.events.event import ClientEvent
from personalization.visitor.visitor_key import visitor_key

logger = logging.getLogger(__name__)

T = TypeVar("T")


class CollectEndpoint:
    """Takes events."""

    def __init__(self, services: Services) -> None:
        self._services = services

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """One request."""
        request_id = new_request_id()
        metrics = self._services.metrics
        try:
            caller = authorise(scope, self._services.keys)
            body = await read_body(scope, receive, self._services.max_body_bytes)
            status, answer = await self._collect(body, request_id, caller, scope)
        except Exception as error:  # every error becomes an answer, in the one shape
            known = await respond_error(send, error, request_id)
            metrics.requests.labels("collect", str(known.status)).inc()
            if known.status == 500:
                logger.exception("collect_failed", extra={"request_id": request_id})
            return
        if status == 200:
            metrics.answered("collect")
        else:
            metrics.requests.labels("collect", str(status)).inc()
        await respond(send, status, answer)

    async def _collect(self, body: bytes, request_id: str, caller: Caller, scope: Scope) -> tuple[int, bytes]:
        services = self._services
        batch, single = read_batch(body)
        intake = services.intake(caller, scope)
        taken: list[_Taken] = []
        rejected: list[dict[str, Any]] = []
        warnings: list[dict[str, Any]] = []
        for index, raw in enumerate(batch.events):
            try:
                taken.append(_take(index, raw, "" if single else f"events[{index}]", batch.sent_at, intake))
                warnings += [notice.shown(index) for notice in intake.notices]
            except InvalidInput as error:
                rejected.append(
                    {
                        "index": index,
                        "field": _safe(error.field.lstrip(".") or "body"),
                        "code": error.code,
                        "message": _safe(error.message),
                    }
                )
            intake.notices.clear()
        if not taken:
            services.metrics.collected(0, len(rejected), 0)
            first = rejected[0]
            refused = ApiError(400, first["code"], first["message"], first["field"])
            return 400, body_of(refused, request_id, {"accepted": 0, "rejected": rejected, "warnings": []})
        n_accepted = await self._log(taken, intake, warnings)
        services.metrics.collected(n_accepted, len(rejected), len(taken) - n_accepted)
        return 200, orjson.dumps({"accepted": n_accepted, "rejected": rejected, "warnings": warnings})

    async def _log(self, taken: list[_Taken], intake: Intake, warnings: list[dict[str, Any]]) -> int:
        """Append what consent lets be logged, and wait until it is; gives how many events those are."""
        services = self._services
        records: list[Record] = []
        links: list[tuple[str, str]] = []
        n_accepted = 0
        admitted = await services.consent.admit([one.event for one in taken], intake)
        for one, may_go in zip(taken, admitted, strict=True):
            if may_go is None:
                warnings.append(_NO_CONSENT.shown(one.index))
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


@dataclass(frozen=True, slots=True)
class _Taken:
    """An event of a batch that is as it should be, when it happened, and its record if consent lets it stand."""

    index: int
    event: ClientEvent
    at_ms: int
    record: Record


def _take(index: int, raw: msgspec.Raw, field: str, sent_at: WireTime, intake: Intake) -> _Taken:
    wire = read_event(raw, field)
    user_id, anonymous_id = ids_of(wire, field, intake)
    if user_id is None and anonymous_id is None:
        raise nobody(wire, field)
    event = client_event(wire, field, intake, user_id, anonymous_id)
    at_ms = event_time_ms(wire, sent_at, field, intake)
    record = intake.record(visitor_key(user_id, anonymous_id), event, at_ms)  # refuses what could not be logged
    return _Taken(index, event, at_ms, record)


_NO_CONSENT = Notice(
    "context.consent",
    "no_consent",
    "was not logged: the visitor has not agreed to personalization, or refused it; send "
    '{"personalization": true} once they agree',
)


def read_batch(body: bytes) -> tuple[WireBatch, bool]:
    """The events of a body, and whether it was a single one. What is in them is looked at one by one.

    Raises
    ------
    InvalidInput
        Where the body as a whole is no batch.
    """
    try:
        members = _MEMBERS.decode(body)
    except (msgspec.DecodeError, RecursionError, UnicodeDecodeError) as error:
        raise refusal(error, body) from error
    if "events" not in members:
        if "type" not in members:
            raise InvalidInput("events", 'is missing; send one event, or {"events": […]}', "missing_field")
        return WireBatch(events=[msgspec.Raw(body)]), True
    events = _decoded(_EVENTS, members["events"], "events")
    if not events:
        raise InvalidInput("events", "is empty; send at least one event", "missing_field")
    if len(events) > MAX_EVENTS:
        raise InvalidInput("events", f"are {len(events)}; at most {MAX_EVENTS} at once", "too_many")
    BATCH.n_unknown += bool(members.keys() - _KNOWN)
    sent_at = _decoded(_TIME, members["sentAt"], "sentAt") if "sentAt" in members else None
    return WireBatch(events=events, sent_at=sent_at), False


_KNOWN = {"events", "sentAt"}
_MEMBERS = msgspec.json.Decoder(dict[str, msgspec.Raw])
_EVENTS = msgspec.json.Decoder(list[msgspec.Raw])
_TIME: msgspec.json.Decoder[WireTime] = msgspec.json.Decoder(WireTime)


def _decoded(decoder: msgspec.json.Decoder[T], raw: msgspec.Raw, field: str) -> T:
    try:
        return decoder.decode(raw)
    except (msgspec.DecodeError, RecursionError, UnicodeDecodeError) as error:
        raise refusal(error, bytes(raw), field) from error


def _safe(text: str) -> str:
    return text.encode("utf-8", "replace").decode()

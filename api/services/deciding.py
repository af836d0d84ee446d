"""The decider of a process, through which every dialect decides: reads the visitor, scores, queues what is logged.

The path waits for one thing, the coalesced read of the visitor, and for that no longer than its limit. What is
to be logged goes to the spool.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Sequence
from typing import Any

import msgspec

from api.limits.context_bounds import bounded_context
from api.reading.notice import Notice
from api.services.intake import CONSENT_RECEIPT, Intake, storable
from api.services.ports import Services
from api.services.recording import Recorder
from api.services.scoring import CoalescedScoring
from personalization.deciding.decide import check, deciding
from personalization.deciding.decision import Answer
from personalization.deciding.request import DecideRequest, PlacementRequest, SentEvent
from personalization.deciding.watching import Watch
from personalization.errors import Unavailable
from personalization.visitor.purposes import Words, merge
from personalization.visitor.receipt import Receipt
from personalization.visitor.visitor_key import anonymous_key, user_key
from personalization.visitor.visitor_state import VisitorState
from tracing.span import Kind

MAX_DEADLINE_MS = 10_000
_READ_SHARE = 0.6
"""Of what is left of a deadline the read may take; the rest is for choosing and answering."""


class Deadline(msgspec.Struct, frozen=True, gc=False):
    """When a request began, and until when it is to be answered; both on the clock of ``time.perf_counter``."""

    began: float
    until: float


class Decider:
    """Decides what is asked for. One for a process: requests in flight share their reads and their scoring."""

    def __init__(self, services: Services) -> None:
        self._services = services
        self._scoring = CoalescedScoring()
        self._recorder = Recorder(services)

    def deadline(self, began: float, asked_ms: float | None = None) -> Deadline:
        """The deadline of a request that began at ``began``: as its caller asked, or as the settings say."""
        deadline_ms = self._services.deadline_ms
        if asked_ms is not None:
            deadline_ms = max(1, min(MAX_DEADLINE_MS, int(asked_ms)))
        return Deadline(began, began + deadline_ms / 1000)

    def request(
        self,
        intake: Intake,
        request_id: str,
        placements: tuple[PlacementRequest, ...],
        *,
        user_id: str | None,
        anonymous_id: str | None,
        context: dict[str, Any] | None,
        events: tuple[SentEvent, ...] = (),
        activate: bool = True,
        repeatable: bool = False,
        by_arm: bool = False,
        sticky: bool = False,
        apart: bool = False,
        proven: bool = False,
    ) -> DecideRequest:
        """What is asked for, with what its source, its visitor's browser and the last moments say of consent.

        The parameters are those of ``personalization.deciding.request.DecideRequest``.

        Raises
        ------
        InvalidInput
            Where the context is too much.
        """
        consent, named = self._services.consent, intake.catalog.named.purposes
        heard: Words = {}
        lately: Words = {}
        if consent.has_heard:
            keys = _keys(user_id, anonymous_id)
            heard = consent.heard(keys, named)
            lately = consent.lately(keys, named, intake.received_at_ms) if heard else {}
        receipt = None
        if context and CONSENT_RECEIPT in context:
            receipt = self._receipt(context, _keys(user_id, anonymous_id), intake)
            if receipt is not None:
                for words in (lately, heard):
                    merge(words, receipt.words(), named)
        return DecideRequest(
            request_id=request_id,
            placements=placements,
            user_id=user_id,
            anonymous_id=anonymous_id,
            context=bounded_context(storable(context)),
            events=events,
            activate=activate,
            consent_default=intake.caller.access.consent_default == "granted",
            refused=intake.refused,
            repeatable=repeatable,
            by_arm=by_arm,
            sticky=sticky,
            apart=apart,
            by_page=not intake.caller.is_server,
            proven=proven,
            said_lately=lately,
            heard=heard,
            receipt=receipt,
        )

    def _receipt(self, context: dict[str, Any], keys: Sequence[str], intake: Intake) -> Receipt | None:
        """The consent receipt in the context if it holds; the sender is told why one does not."""
        read = self._services.receipts.read(context.pop(CONSENT_RECEIPT), keys, intake.received_at_ms)
        if isinstance(read, Receipt):
            return read
        intake.notices.append(
            Notice(f"context.{CONSENT_RECEIPT}", "consent_receipt", f"{read}; it counts for nothing")
        )
        return None

    async def decide(
        self,
        request: DecideRequest,
        intake: Intake,
        deadline: Deadline,
        is_held: Callable[[Answer], bool] | None = None,
        watch: Watch | None = None,
    ) -> Answer:
        """The answer; it is given whatever of Redis, models or the log is away.

        Parameters
        ----------
        is_held
            Says whether the caller holds this very answer already, and will be told no more than that. Then no
            decision of it is recorded: nobody would ever see its ids.
        watch
            Is told of each slot when it is filled; None: nobody asks.

        Raises
        ------
        InvalidInput
            For an unknown placement, or a number of slots nobody can fill.
        """
        turnstile = self._services.turnstile
        turnstile.n_hurried += 1
        try:
            return await self._decide(request, intake, deadline, is_held, watch)
        finally:
            turnstile.n_hurried -= 1

    async def _decide(
        self,
        request: DecideRequest,
        intake: Intake,
        deadline: Deadline,
        is_held: Callable[[Answer], bool] | None,
        watch: Watch | None,
    ) -> Answer:
        services = self._services
        catalog = services.catalog.current
        check(request, catalog)
        reading_began = time.perf_counter()
        states = await self._states(request, deadline)
        reading_done = time.perf_counter()
        until = deadline.until
        steps = deciding(
            request,
            states,
            catalog,
            services.models,
            intake.received_at_ms,
            keys=services.decision_keys(),
            nonce=services.nonce,
            out_of_time=lambda: time.perf_counter() > until,
            scorers=services.conversions,
            watch=watch,
        )
        answer = await self._scoring.run(steps, alone=services.turnstile.n_hurried == 1)
        scoring_done = time.perf_counter()
        if is_held is not None and is_held(answer):
            answer.entries.clear()
            answer.records.clear()
        self._recorder.record(request, states, answer, intake)
        done = time.perf_counter()
        metrics = services.metrics
        metrics.staged(reading_done - deadline.began, scoring_done - reading_done, done - scoring_done)
        intake.answer = answer
        trace_id = ""
        if intake.trace is not None:
            trace_id = intake.trace.context.trace_id.hex()
            intake.trace.stage("read", reading_began, reading_done, Kind.CLIENT)
            intake.trace.stage("score", reading_done, scoring_done)
            intake.trace.stage("answer", scoring_done, done)
        for decision in answer.decisions:
            metrics.decided(decision, done - deadline.began, trace_id)
            if decision.policy_arm:
                metrics.imitated(decision.placement, matched=decision.policy_arm == decision.content_id)
            if done > until:
                metrics.deadline_misses.labels(decision.placement).inc()
        return answer

    async def _states(self, request: DecideRequest, deadline: Deadline) -> list[VisitorState] | None:
        """What is known of the visitor, None where it cannot be had in time, or there is none."""
        if request.is_nobodys:
            return None
        services = self._services
        registered = user_key(request.user_id) if request.user_id else None
        left_s = (deadline.until - time.perf_counter()) * _READ_SHARE
        try:
            if left_s * 1000 >= services.redis_timeout_ms:
                return await services.visitors.read(request.keys(), registered)
            if left_s <= 0:
                return None
            async with asyncio.timeout(left_s):
                return await services.visitors.read(request.keys(), registered)
        except (Unavailable, TimeoutError):
            return None


def _keys(user_id: str | None, anonymous_id: str | None) -> list[str]:
    of_ids = (user_key(user_id) if user_id else "", anonymous_key(anonymous_id) if anonymous_id else "")
    return [key for key in of_ids if key]

"""``POST`` and ``GET /v1/decide``: the answer first, everything else behind it."""

from __future__ import annotations

from collections.abc import Sequence

import msgspec
import orjson
from msgspec import structs

from api.dialects.own.decide_answer import DecideAnswer, DecisionAnswer
from api.dialects.own.decide_query import DECIDE_QUERY, asked_by
from api.dialects.own.decide_request import decide_request
from api.dialects.own.explain import decided_and_explained
from api.dialects.own.include import check_includable, included
from api.dialects.own.wire import DECIDE, WireDecide
from api.http.answer import reply
from api.http.browser import with_browser
from api.http.dialect import Call, Reply
from api.reading.notice import Notice
from api.services.intake import Intake
from personalization.deciding.decide import decidable
from personalization.deciding.decision import Answer, Decision
from personalization.deciding.request import DecideRequest
from personalization.explaining.explanation import Explanation

MAX_BODY_BYTES = 1024 * 1024
_NO_STORE = [(b"cache-control", b"no-store")]


async def decide(call: Call) -> Reply:
    """Decide what a body asks for."""
    core = call.core
    wire = DECIDE.read(await call.body(min(MAX_BODY_BYTES, core.services.max_body_bytes)))
    request, intake = _asked(call, wire)
    if wire.explain:
        return await _explained(call, wire, request, intake)
    answer = await core.decider.decide(request, intake, core.decider.deadline(call.began, wire.deadline_ms))
    return _whole(call, request, answer, intake)


async def decide_by_address(call: Call) -> Reply:
    """Decide what an address asks for; with ``format`` nothing but the content is answered."""
    core = call.core
    query = DECIDE_QUERY.read(call.scope["query_string"])
    if query.format is not None:
        check_includable(query.format, query.placement, core.services.catalog.current)
    wire = asked_by(query)
    wire = structs.replace(wire, context=with_browser(wire.context or {}, call.scope))
    request, intake = _asked(call, wire, may_be_nobody=query.visitor is not None)
    if query.format is not None:
        request = structs.replace(request, of_type=query.format)
    if wire.explain:
        return await _explained(call, wire, request, intake)
    answer = await core.decider.decide(request, intake, core.decider.deadline(call.began, wire.deadline_ms))
    if query.format is not None:
        return included(query.format, answer.decisions)
    return _whole(call, request, answer, intake)


def _asked(call: Call, wire: WireDecide, *, may_be_nobody: bool = False) -> tuple[DecideRequest, Intake]:
    call.weigh(len(wire.placements) + len(wire.events or ()))
    intake = call.intake()
    core = call.core
    request = decide_request(wire, call.request_id, intake, core.decider, call.proof, may_be_nobody=may_be_nobody)
    if wire.partial:
        request, troubles = decidable(request, core.services.catalog.current)
        intake.notices += [Notice(each.field, each.code, f"{each.message}; it was left out") for each in troubles]
    return request, intake


async def _explained(call: Call, wire: WireDecide, request: DecideRequest, intake: Intake) -> Reply:
    answer, explanations = await decided_and_explained(
        call, "explain_decide", wire.preview, request, intake, wire.deadline_ms
    )
    return _whole(call, request, answer, intake, explanations)


def _whole(
    call: Call,
    request: DecideRequest,
    answer: Answer,
    intake: Intake,
    explanations: Sequence[Explanation] = (),
) -> Reply:
    models = call.core.services.models
    decisions = [_shown(decision) for decision in answer.decisions]
    if explanations:
        told = zip(decisions, explanations, strict=True)
        decisions = [structs.replace(decision, explanation=why) for decision, why in told]
    answered = DecideAnswer(
        request_id=request.request_id,
        decisions=decisions,
        state_age_ms=answer.state_age_ms,
        state_revision=answer.state_revision,
        model_age_ms=models.age_ms([d.model for d in answer.decisions], intake.received_at_ms),
        catalog_version=intake.catalog.version,
        warnings=[notice.shown() for notice in intake.notices],
    )
    return reply(answered, headers=_NO_STORE)


def _shown(decision: Decision) -> DecisionAnswer:
    return DecisionAnswer(
        decision.placement,
        decision.slot,
        decision.decision_id,
        decision.content_id,
        msgspec.Raw(orjson.dumps(decision.content)),  # of large ones it is the faster encoder
        decision.probability,
        decision.policy,
        decision.tier,
        decision.reason,
        decision.holdout,
        decision.variant or None,
    )

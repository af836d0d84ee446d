"""``POST`` and ``GET /v1/decide``: the answer first, everything else behind it."""

from __future__ import annotations

from typing import Any

import orjson

from api.dialect import Call, Reply
from api.dialects.own.decide_request import decide_request, from_query, query_fields
from api.dialects.own.wire import DECIDE
from personalization.deciding.decision import Decision

MAX_BODY_BYTES = 1024 * 1024
_NO_STORE = [(b"cache-control", b"no-store")]


async def decide(call: Call) -> Reply:
    """Decide what is asked for."""
    core = call.core
    services = core.services
    if call.scope["method"] == "GET":
        wire = from_query(query_fields(call.scope["query_string"]))
    else:
        wire = DECIDE.read(await call.body(min(MAX_BODY_BYTES, services.max_body_bytes)))
    call.weigh(len(wire.placements) + len(wire.events or ()))
    intake = call.intake()
    request = decide_request(wire, call.request_id, intake, core.decider, call.proof)
    answer = await core.decider.decide(request, intake, core.decider.deadline(call.began, wire.deadline_ms))
    body = orjson.dumps(
        {
            "requestId": request.request_id,
            "decisions": [_shown(decision) for decision in answer.decisions],
            "stateAgeMs": answer.state_age_ms,
            "stateRevision": answer.state_revision,
            "modelAgeMs": services.models.age_ms([d.model for d in answer.decisions], intake.received_at_ms),
            "catalogVersion": intake.catalog.version,
            "warnings": [notice.shown() for notice in intake.notices],
        }
    )
    return Reply(200, body, _NO_STORE)


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

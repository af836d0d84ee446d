"""``POST /ofrep/v1/evaluate/flags`` and ``…/flags/{key}``: placements decided as flags.

An evaluation is no exposure: clients evaluate ahead of time, all flags at once, and poll. So every decision is
deferred, kept for the session, and independent of what other flags show.
"""

from __future__ import annotations

import orjson

from api.dialect import Call, Reply
from api.dialects.ofrep.context import EVALUATION, EvaluationContext, evaluation_context
from api.dialects.ofrep.etag import etag_of, tags_in
from api.dialects.ofrep.flags import flag_of
from api.errors import ApiError
from api.exchange import header
from api.intake import Intake
from personalization.deciding.decision import Answer
from personalization.deciding.request import DecideRequest, PlacementRequest

MAX_BODY_BYTES = 1024 * 1024

_NO_STORE = (b"cache-control", b"no-store")
_READABLE = (b"access-control-expose-headers", b"etag")


async def evaluate(call: Call) -> Reply:
    """Evaluate one flag."""
    core = call.core
    wire = EVALUATION.read(await _body(call))
    intake = call.intake()
    key = call.params["key"]
    if key not in intake.catalog.placements:
        known = ", ".join(sorted(intake.catalog.placements)[:20])
        raise ApiError(404, "unknown_placement", f"no placement {key[:64]!r}; there are: {known}")
    request = _request(call, evaluation_context(wire.context, intake, call), intake, [key])
    catalog = core.services.catalog.current
    answer = await core.decider.decide(request, intake, core.decider.deadline(call.began))
    (decision,) = answer.decisions
    flag = flag_of(decision, catalog, intake.notices)
    return Reply(200, orjson.dumps(flag), [_NO_STORE])


async def evaluate_all(call: Call) -> Reply:
    """Evaluate every flag; 304 where the caller holds this very answer."""
    core = call.core
    body = await _body(call)
    wire = EVALUATION.read(body)
    intake = call.intake()
    flags_there_are = [name for name, each in intake.catalog.placements.items() if each.spec.arms != "caller"]
    call.weigh(len(flags_there_are))
    request = _request(call, evaluation_context(wire.context, intake, call), intake, flags_there_are)
    held = tags_in(header(call.scope, b"if-none-match"))
    catalog = core.services.catalog.current
    tag = b""

    def is_held(answer: Answer) -> bool:
        nonlocal tag
        tag = etag_of(core.services.secrets.key("etags"), body, request, intake, answer)
        return tag in held

    answer = await core.decider.decide(request, intake, core.decider.deadline(call.began), is_held)
    headers = [(b"etag", tag), _NO_STORE, _READABLE]
    if tag in held:
        return Reply(304, headers=headers)
    flags = [flag_of(decision, catalog, intake.notices) for decision in answer.decisions]
    metadata = {"catalogVersion": intake.catalog.version}
    return Reply(200, orjson.dumps({"flags": flags, "metadata": metadata}), headers)


async def _body(call: Call) -> bytes:
    return await call.body(min(MAX_BODY_BYTES, call.core.services.max_body_bytes))


def _request(call: Call, whose: EvaluationContext, intake: Intake, keys: list[str]) -> DecideRequest:
    return call.core.decider.request(
        intake,
        call.request_id,
        tuple([PlacementRequest(key, 1) for key in keys]),
        user_id=whose.who.user_id,
        anonymous_id=whose.who.anonymous_id,
        proven=whose.who.proven,
        context=whose.context,
        activate=False,
        sticky=True,
        apart=True,
    )

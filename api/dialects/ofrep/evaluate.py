"""``POST /ofrep/v1/evaluate/flags`` and ``…/flags/{key}``: placements decided as flags (``api.evaluating``)."""

from __future__ import annotations

import orjson

from api.dialects.ofrep.context import EVALUATION, TARGETING_KEY
from api.dialects.ofrep.etag import etag_of, tags_in
from api.dialects.ofrep.flags import flag_of
from api.errors import ApiError
from api.evaluating import evaluation, evaluation_body, evaluation_context, flags_in
from api.http.dialect import Call, Reply
from api.http.exchange import header
from personalization.deciding.decision import Answer

_NO_STORE = (b"cache-control", b"no-store")
_READABLE = (b"access-control-expose-headers", b"etag")


async def evaluate(call: Call) -> Reply:
    """Evaluate one flag."""
    core = call.core
    wire = EVALUATION.read(await evaluation_body(call))
    intake = call.intake()
    key = call.params["key"]
    placement = intake.catalog.placements.get(key)
    if placement is None or placement.spec.arms == "caller":
        what = "there is no placement" if placement is None else "callers of POST /v1/rank bring the arms of"
        known = ", ".join(sorted(flags_in(intake.catalog))[:20])
        raise ApiError(404, "unknown_placement", f"{what} {key[:64]!r}; flags are: {known or 'none'}")
    request = evaluation(call, evaluation_context(wire.context, TARGETING_KEY, intake, call), intake, [key])
    catalog = core.services.catalog.current
    answer = await core.decider.decide(request, intake, core.decider.deadline(call.began))
    (decision,) = answer.decisions
    flag = flag_of(decision, catalog, intake.notices)
    return Reply(200, orjson.dumps(flag), [_NO_STORE])


async def evaluate_all(call: Call) -> Reply:
    """Evaluate every flag; 304 where the caller holds this very answer."""
    core = call.core
    body = await evaluation_body(call)
    wire = EVALUATION.read(body)
    intake = call.intake()
    flags_there_are = flags_in(intake.catalog)
    call.weigh(len(flags_there_are))
    whose = evaluation_context(wire.context, TARGETING_KEY, intake, call)
    request = evaluation(call, whose, intake, flags_there_are)
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

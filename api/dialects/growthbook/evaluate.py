"""``POST /api/eval/{clientKey}`` and ``GET /api/features/{clientKey}``: every placement as a feature."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from api.dialects.growthbook.client_key import check_not_exposed
from api.dialects.growthbook.features import feature_of, fixed_feature
from api.dialects.growthbook.remote_eval import (
    REMOTE_EVAL,
    VISITOR_ID,
    check_forced_variations,
    described,
    forced_features,
)
from api.evaluating import evaluation, evaluation_body, evaluation_context, flags_in, value_of
from api.http.answer import reply
from api.http.dialect import Call, Reply
from api.reading.notice import Notice
from api.services.intake import Intake
from personalization.audience.variables import VisitorScope
from personalization.deciding.decider_catalog import PreparedCatalog

_NO_STORE = [(b"cache-control", b"no-store")]

_NOBODY = Notice(
    "attributes",
    "no_visitor",
    "are not told of here, so that every feature has its placement's default content, and nothing is learned; "
    "set remoteEval in the client, which then says who it is for",
)


async def evaluate(call: Call) -> Reply:
    """Evaluate every feature for one visitor."""
    core = call.core
    check_not_exposed(call)
    wire = REMOTE_EVAL.read(await evaluation_body(call))
    intake = call.intake()
    flags = flags_in(intake.catalog)
    check_forced_variations(wire, flags)
    forced = forced_features(wire)
    asked = [flag for flag in flags if flag not in forced] if forced else flags
    call.weigh(len(asked))
    request = evaluation(call, evaluation_context(described(wire), VISITOR_ID, intake, call), intake, asked)
    answer = await core.decider.decide(request, intake, core.decider.deadline(call.began))
    features = {decision.placement: feature_of(decision) for decision in answer.decisions}
    for flag in flags:
        if flag in forced:
            features[flag] = fixed_feature(forced[flag])
    return _payload(features, intake.notices)


async def features(call: Call) -> Reply:
    """What every feature is to a client that says of nobody who they are."""
    check_not_exposed(call)
    intake = call.intake()
    catalog = call.core.services.catalog.current
    flags = flags_in(intake.catalog)
    call.weigh(len(flags))
    return _payload({flag: fixed_feature(_default(flag, catalog, intake)) for flag in flags}, [_NOBODY])


def _default(flag: str, catalog: PreparedCatalog, intake: Intake) -> Any:
    nobody = VisitorScope(None, {}, catalog.catalog, intake.received_at_ms, known=False)
    default = catalog.placements[flag].compiled.spec.default
    return value_of(catalog.renderers[default].render(nobody))


def _payload(features: dict[str, Any], notices: Sequence[Notice]) -> Reply:
    """What SDKs take for the features that there are; a date of change would keep them from taking the next."""
    body: dict[str, Any] = {"status": 200, "features": features, "experiments": []}
    if notices:
        body["warnings"] = [notice.shown() for notice in notices]
    return reply(body, headers=_NO_STORE)

"""``POST /flags/``: placements as PostHog's flags."""

from __future__ import annotations

from typing import Any

import msgspec
import orjson

from api.dialects.posthog.decision_reason import reason_for
from api.dialects.posthog.persons import person_of
from api.dialects.posthog.properties import context_of, own_of
from api.evaluating import EvaluationContext, evaluation, evaluation_body, flags_in, value_of
from api.http.answer import reply
from api.http.browser import with_browser
from api.http.dialect import Call, Reply
from api.reading.ids import WireId, is_given
from api.reading.wire import Reader
from api.services.intake import Intake
from api.services.speaking import beyond_doubt, named, proof_in
from personalization.deciding.decision import Decision
from personalization.errors import InvalidInput


class WireFlags(msgspec.Struct, frozen=True, kw_only=True):
    """An evaluation of flags. What an SDK sends besides differs by its version, and is not looked at."""

    distinct_id: WireId = None
    person_properties: dict[str, Any] | None = None
    device_id: WireId = None
    own_device_id: WireId = msgspec.field(name="$device_id", default=None)
    anon_distinct_id: WireId = msgspec.field(name="$anon_distinct_id", default=None)
    flag_keys_to_evaluate: list[str] | None = None
    groups: dict[str, Any] | None = None


FLAGS: Reader[WireFlags] = Reader(WireFlags, WireFlags)
_NO_STORE = [(b"cache-control", b"no-store")]


async def flags(call: Call) -> Reply:
    """Evaluate the flags asked for; all where none are named."""
    core = call.core
    wire = FLAGS.read(await evaluation_body(call))
    intake = call.intake()
    asked = flags_in(intake.catalog)
    if wire.flag_keys_to_evaluate is not None:
        wanted = frozenset(wire.flag_keys_to_evaluate)
        asked = [flag for flag in asked if flag in wanted]
    call.weigh(len(asked))
    request = evaluation(call, _whose(wire, call, intake), intake, asked)
    answer = await core.decider.decide(request, intake, core.decider.deadline(call.began))
    body: dict[str, Any] = {
        "flags": {each.placement: flag_of(each, intake.catalog.version) for each in answer.decisions},
        "errorsWhileComputingFlags": False,
        "requestId": request.request_id,
        "evaluatedAt": intake.received_at_ms,
    }
    if intake.notices:
        body["warnings"] = [notice.shown() for notice in intake.notices]
    return reply(body, headers=_NO_STORE)


def flag_of(decision: Decision, catalog_version: int) -> dict[str, Any]:
    """The flag that a decision is: its variant is the content, its payload what is shown of it.

    A content that is true or false is a flag that is on or off.
    """
    value = value_of(decision.content)
    is_switch = isinstance(value, bool)
    return {
        "key": decision.placement,
        "enabled": value if is_switch else True,
        "variant": None if is_switch else decision.content_id,
        "reason": {"code": decision.tier, "description": reason_for(decision.decision_id), "condition_index": 0},
        "metadata": {
            "id": 0,
            "version": catalog_version,
            "description": decision.reason,
            "payload": orjson.dumps(value).decode(),
            "decisionId": decision.decision_id,
            "propensity": decision.probability,
        },
    }


def _whose(wire: WireFlags, call: Call, intake: Intake) -> EvaluationContext:
    properties = dict(wire.person_properties or {})
    proof = proof_in(properties)
    if not is_given(wire.distinct_id):
        raise InvalidInput("distinct_id", "is missing; send the id of whom the flags are for", "missing_visitor")
    ids = (wire.anon_distinct_id, wire.own_device_id, wire.device_id)
    browser_id = next((each for each in ids if is_given(each)), None)
    shown = proof if proof.is_shown else call.proof()
    person = person_of(wire.distinct_id, browser_id, shown, "", intake)
    who = beyond_doubt(named(*person, proof, call.proof, "distinct_id", intake), "distinct_id", intake)
    context = {**own_of(properties), **context_of(properties)}
    if wire.groups:
        context["groups"] = wire.groups
    return EvaluationContext(who, context if intake.caller.is_server else with_browser(context, call.scope))

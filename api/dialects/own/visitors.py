"""``GET /v1/visitors/{id}``: what is known of a visitor, for server keys."""

from __future__ import annotations

from typing import Any

import orjson
from starlette.datastructures import QueryParams

from api.conversions import shown_scores
from api.dialect import Call, Reply
from api.errors import not_found
from api.ids import check_id
from api.services import Services
from personalization.audience.conversion_scores import Scores
from personalization.audience.merge import merge_states
from personalization.audience.score_report import score_report
from personalization.audience.variables import VisitorScope
from personalization.errors import InvalidInput
from personalization.visitor.visitor_key import anonymous_key, is_registered, user_key
from personalization.visitor.visitor_state import VisitorState


async def show(call: Call) -> Reply:
    """Show one visitor."""
    visitor_id, canonical, states = await find_visitor(call)
    return Reply(200, orjson.dumps(await _shown(visitor_id, canonical, states, call.core.services)))


async def find_visitor(call: Call) -> tuple[str, str, list[VisitorState]]:
    """The visitor that the path names: the id as sent, the key where its redirects end, and what is there.

    An id is looked up as a user id, then as an anonymous one; ``?kind=user|anonymous`` says which.

    Raises
    ------
    ApiError
        404 for nobody known.
    """
    services = call.core.services
    visitor_id = check_id(call.params["visitor_id"], "id")
    kind = QueryParams(call.scope["query_string"]).get("kind")
    if visitor_id is None or kind not in (None, "user", "anonymous"):
        raise InvalidInput("kind", "must be user or anonymous", "invalid_field")
    candidates = {"user": [user_key(visitor_id)], "anonymous": [anonymous_key(visitor_id)]}
    keys = candidates[kind] if kind else [*candidates["user"], *candidates["anonymous"]]
    for key in keys:
        canonical, states = await services.visitors.read_canonical(key)
        if states:
            return visitor_id, canonical, states
    raise not_found(call.scope["path"])


async def _shown(visitor_id: str, canonical: str, states: list[VisitorState], services: Services) -> dict[str, Any]:
    catalog = services.catalog.current.catalog
    state = states[0]
    for other in states[1:]:
        merge_states(state, other, catalog)
    known, conversions = is_registered(canonical), services.conversions
    scope = VisitorScope(state, {}, catalog, services.clock_ms(), known, Scores(conversions, []))
    shown = shown_scores(conversions, scope)
    likely = {name: score["probability"] for name, score in shown.items()}
    return {
        "visitorId": visitor_id,
        "canonicalId": canonical[2:],
        "revision": state.revision,
        "eventCount": state.event_count,
        "lastEventMs": state.last_ms or None,
        "traits": state.traits,
        "segments": scope.value("segments"),
        "scores": {**shown, **score_report(scope, likely)},
        "affinities": scope.value("affinities"),
        "consent": {purpose: word.granted for purpose, word in state.consents.items()},
        "assignments": {
            name: {"control": side.control, "sinceMs": side.first_ms, "crossover": side.crossover}
            for name, side in state.holdouts.items()
        },
        "openDecisions": await services.open_decisions(canonical),
    }

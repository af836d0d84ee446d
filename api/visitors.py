"""``GET /v1/visitors/{id}``: what is known of a visitor, for server keys."""

from __future__ import annotations

from typing import Any

import orjson
from starlette.requests import Request
from starlette.responses import Response

from api.auth import authorise
from api.conversions import shown_scores
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


class VisitorEndpoint:
    """Shows visitors.

    An id is looked up as a user id, then as an anonymous one; ``?kind=user|anonymous`` says which.
    """

    def __init__(self, services: Services) -> None:
        self._services = services

    async def get(self, request: Request) -> Response:
        """One visitor."""
        services = self._services
        authorise(request.scope, services.keys, server=True)
        visitor_id = check_id(request.path_params["visitor_id"], "id")
        kind = request.query_params.get("kind")
        if visitor_id is None or kind not in (None, "user", "anonymous"):
            raise InvalidInput("kind", "must be user or anonymous", "invalid_field")
        candidates = {"user": [user_key(visitor_id)], "anonymous": [anonymous_key(visitor_id)]}
        keys = candidates[kind] if kind else [*candidates["user"], *candidates["anonymous"]]
        for key in keys:
            canonical, states = await services.visitors.read_canonical(key)
            if states:
                return Response(
                    orjson.dumps(await self._shown(visitor_id, canonical, states)), media_type="application/json"
                )
        raise not_found(request.url.path)

    async def _shown(self, visitor_id: str, canonical: str, states: list[VisitorState]) -> dict[str, Any]:
        services = self._services
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

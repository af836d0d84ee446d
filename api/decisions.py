"""``POST /v1/decisions/{id}/reward`` and ``…/activate``: what became of a decision.

The id carries the visitor's key, so nothing is looked up; the log acknowledges before 204.
"""

from __future__ import annotations

import math
import uuid

from starlette.requests import Request
from starlette.responses import Response

from api.auth import authorise
from api.errors import money_forbidden
from api.events import check_id, record_of
from api.exchange import read_body
from api.services import Services
from api.wire import REWARD
from personalization.decision_id import key_of
from personalization.errors import InvalidInput
from personalization.event import Activated, Event, Rewarded
from personalization.slots import NOBODY

MAX_REWARD = 1e9
MAX_WRITE_KEY_REWARD = 1.0
"""A write key may stand in a web page: whoever reads it can claim a success, but no sum of money."""

MAX_BODY_BYTES = 16 * 1024


def _message_id(sent: str | None) -> str:
    """The caller's id in a space of its own: the decision itself is known to the fold by its decision id."""
    checked = check_id(sent, "messageId")
    return f"reward:{checked}" if checked else uuid.uuid4().hex


class DecisionEndpoints:
    """Rewards and activations."""

    def __init__(self, services: Services) -> None:
        self._services = services

    async def reward(self, request: Request) -> Response:
        """Take a reward."""
        access = authorise(request.scope, self._services.keys)
        wire = REWARD.read(await read_body(request.scope, request.receive, MAX_BODY_BYTES))
        if not math.isfinite(wire.value) or abs(wire.value) > MAX_REWARD:
            raise InvalidInput("value", f"must be a finite number within ±{MAX_REWARD:g}", "bad_number")
        if access.role != "server" and abs(wire.value) > MAX_WRITE_KEY_REWARD:
            raise money_forbidden(MAX_WRITE_KEY_REWARD)
        decision_id = request.path_params["decision_id"]
        await self._append(
            decision_id,
            Rewarded(
                message_id=_message_id(wire.message_id),
                decision_id=decision_id,
                value=wire.value,
                name=check_id(wire.name, "name") or "",
                final=wire.final,
            ),
        )
        return Response(status_code=204)

    async def activate(self, request: Request) -> Response:
        """A deferred decision was shown."""
        authorise(request.scope, self._services.keys)
        decision_id = request.path_params["decision_id"]
        await self._append(decision_id, Activated(decision_id=decision_id))
        return Response(status_code=204)

    async def _append(self, decision_id: str, event: Event) -> None:
        services = self._services
        key = key_of(services.secret, decision_id)
        if key == NOBODY:  # decided without consent: there is no visitor's log it could go to
            services.metrics.unlogged.labels("consent").inc()
            return
        now_ms = services.clock_ms()
        version = services.catalog.current.catalog.version
        await services.log.append([record_of(key, event, now_ms, now_ms, version)])

"""From a request to rank to an answer of the decider: one event, one visitor of its own."""

from __future__ import annotations

from typing import Any, NamedTuple

from api.dialects.rank_reward.events import event_id_of
from api.dialects.rank_reward.features import context_features, merged
from api.dialects.rank_reward.loops import placement_of
from api.http.dialect import Call
from api.http.exchange import new_request_id
from api.reading.ids import WireId
from api.services.intake import Intake, storable
from personalization.deciding.candidates import Candidates
from personalization.deciding.decision import Answer
from personalization.deciding.request import PlacementRequest, SlotRequest
from personalization.errors import InvalidInput

MAX_BODY_BYTES = 1024 * 1024

_NO_FEATURES = frozenset({"consent"})
"""Members of a context that say what may be done, and nothing of the moment."""


class Asked(NamedTuple):
    """What is asked of the decider, whatever the shape of the request."""

    event_id: WireId
    context: list[dict[str, Any]] | None
    deferred: bool
    brought: Candidates | None = None
    slots: tuple[SlotRequest, ...] = ()


class Ranked(NamedTuple):
    """The answer, and the event that it is of."""

    event_id: str
    answer: Answer


async def body_of(call: Call) -> bytes:
    """The body of a request to rank."""
    return await call.body(min(MAX_BODY_BYTES, call.core.services.max_body_bytes))


async def ranked(call: Call, intake: Intake, asked: Asked) -> Ranked:
    """Decide it.

    Its event id is the visitor's anonymous id, and the request's id: so its decisions are found again by it.

    Raises
    ------
    InvalidInput
        Names the field.
    ApiError
        404 where it is not known which placement is meant.
    """
    placement = placement_of(call.params, intake.catalog)
    event_id = event_id_of(asked.event_id, "eventId", intake) or new_request_id()
    context = storable(merged(asked.context or []))
    told = context_features(context, "context", _NO_FEATURES)
    decider = call.core.decider
    try:
        request = decider.request(
            intake,
            event_id,
            (PlacementRequest(placement, 1, asked.brought, told, asked.slots),),
            user_id=None,
            anonymous_id=event_id,
            context=context,
            activate=not asked.deferred,
            repeatable=True,
        )
        answer = await decider.decide(request, intake, decider.deadline(call.began))
    except InvalidInput as error:
        field = "contextFeatures" if error.field.split(".")[0] == "context" else error.field
        raise InvalidInput(field, error.message, error.code) from error
    return Ranked(event_id, answer)

"""``POST …/events/{eventId}/reward`` and ``…/activate``: what became of an event."""

from __future__ import annotations

from api.dialects.rank_reward.events import event_id_of
from api.dialects.rank_reward.loops import placement_of
from api.dialects.rank_reward.wire import WORTH
from api.http.dialect import NO_CONTENT, Call, Reply
from api.http.exchange import header
from api.services.intake import Intake
from personalization.deciding.draw import repeatable_decision_id
from personalization.errors import InvalidInput
from personalization.visitor.visitor_key import anonymous_key

MAX_BODY_BYTES = 16 * 1024
ONLY_SLOT = "0"
"""What the one slot of an event without slots is called by its decision."""

_RETRIED_ID = b"x-ms-client-request-id"
"""Of one call of the newer client, the same when it sends it again."""


async def reward(call: Call) -> Reply:
    """Take a reward."""
    wire = WORTH.read(await call.body(MAX_BODY_BYTES))
    intake = call.intake()
    decision_id = decision_of(call, event_of(call, intake), ONLY_SLOT, intake)
    await call.core.rewarder.reward(decision_id, wire.value, intake, message_id=sent_as(call))
    return NO_CONTENT


async def activate(call: Call) -> Reply:
    """Take that a deferred event was shown."""
    intake = call.intake()
    await call.core.rewarder.activate(decision_of(call, event_of(call, intake), ONLY_SLOT, intake), intake)
    return NO_CONTENT


def event_of(call: Call, intake: Intake) -> str:
    """The event id in the path."""
    event_id = event_id_of(call.params["event_id"], "eventId", intake)
    if event_id is None:
        raise InvalidInput("eventId", "is missing", "missing_field")
    return event_id


def decision_of(call: Call, event_id: str, slot: str, intake: Intake) -> str:
    """The id of the event's decision for a slot."""
    return repeatable_decision_id(
        call.core.services.decision_keys(),
        key=anonymous_key(event_id),
        request_id=event_id,
        placement=placement_of(call.params, intake.catalog),
        slot=slot,
    )


def sent_as(call: Call, slot: str = ONLY_SLOT) -> str | None:
    """What tells a reward that was sent again from another of the same value; None: nothing does."""
    sent = header(call.scope, _RETRIED_ID)
    return None if sent is None else f"{slot}:{sent.decode('latin-1')}"[-200:]

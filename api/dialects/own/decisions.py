"""``POST /v1/decisions/{id}/reward`` and ``…/activate``: what became of a decision."""

from __future__ import annotations

from api.dialect import NO_CONTENT, Call, Reply
from api.dialects.own.wire import REWARD

MAX_BODY_BYTES = 16 * 1024


async def reward(call: Call) -> Reply:
    """Take a reward."""
    wire = REWARD.read(await call.body(MAX_BODY_BYTES))
    await call.core.rewarder.reward(
        call.params["decision_id"],
        wire.value,
        call.intake(),
        name=wire.name,
        message_id=wire.message_id,
        final=wire.final,
    )
    return NO_CONTENT


async def activate(call: Call) -> Reply:
    """Take that a deferred decision was shown."""
    await call.core.rewarder.activate(call.params["decision_id"], call.intake())
    return NO_CONTENT

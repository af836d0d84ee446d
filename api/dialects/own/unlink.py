"""``POST /v1/unlink``: a browser is not a user's any more."""

from __future__ import annotations

from api.dialects.own.wire import UNLINK
from api.http.dialect import NO_CONTENT, Call, Reply
from api.reading.ids import check_id

MAX_BODY_BYTES = 16 * 1024


async def unlink(call: Call) -> Reply:
    """Take the browser away from the user."""
    wire = UNLINK.read(await call.body(MAX_BODY_BYTES))
    named = (check_id(wire.anonymous_id, "anonymousId"), check_id(wire.user_id, "userId"))
    await call.audited.begin(visitors=named)
    await call.core.unlinker.unlink(wire.anonymous_id, wire.user_id, call.intake(), message_id=wire.message_id)
    return NO_CONTENT

"""What became of decisions: that one was shown, or what it was worth; of one by its path, or of many at once."""

from __future__ import annotations

import msgspec

from api.dialects.own.wire import NAMED_REWARD, REWARD
from api.http.dialect import NO_CONTENT, Call, Reply
from api.limits.slices import Slices
from api.reading.json_parts import decoded, read_elements, read_members
from api.taken import answer
from personalization.errors import InvalidInput
from personalization.events.event import Activated, Rewarded

MAX_BODY_BYTES = 16 * 1024

MAX_AT_ONCE = 1_000
"""Decisions of one body. A browser's beacon of 64 KiB has room for as many exposures."""

MAX_BODY_OF_MANY_BYTES = 1024 * 1024


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


async def rewards(call: Call) -> Reply:
    """Take several rewards: 200 once the log has the good ones, 400 where none is."""
    sent = await _elements(call, "rewards")
    rewarder, intake = call.core.rewarder, call.intake()

    def read(raw: msgspec.Raw) -> Rewarded:
        wire = NAMED_REWARD.read(raw)
        return rewarder.rewarded(
            wire.decision_id, wire.value, intake, name=wire.name, message_id=wire.message_id, final=wire.final
        )

    return answer(await rewarder.take(sent, read, intake), len(sent), call, _field_of_reward)


async def exposures(call: Call) -> Reply:
    """Take that several deferred decisions were shown: 200 once the log has the good ones, 400 where none is."""
    sent = await _elements(call, "decisionIds")

    def read(raw: msgspec.Raw) -> Activated:
        return Activated(decision_id=decoded(_ID, raw, "decisionId"))

    taken = await call.core.rewarder.take(sent, read, call.intake())
    return answer(taken, len(sent), call, lambda index, _: f"decisionIds[{index}]")


async def _elements(call: Call, name: str) -> list[msgspec.Raw]:
    """What the list of that name in the body holds, each to be read by itself; raises ``InvalidInput``."""
    slices = Slices(call.core.services.turnstile)
    members = await read_members(await call.body(MAX_BODY_OF_MANY_BYTES), slices, name)
    if name not in members:
        raise InvalidInput(name, "is missing; send a list", "missing_field")
    sent = await read_elements(members[name], slices, name, MAX_AT_ONCE)
    if not sent:
        raise InvalidInput(name, "is empty; send at least one", "missing_field")
    call.weigh(len(sent))
    return sent


def _field_of_reward(index: int, field: str) -> str:
    return f"rewards[{index}]" if field == "body" else f"rewards[{index}].{field}"


_ID: msgspec.json.Decoder[str] = msgspec.json.Decoder(str)

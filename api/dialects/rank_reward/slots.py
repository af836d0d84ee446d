"""``POST …/multislot/rank``: an action for each slot, each shown once; and what became of them."""

from __future__ import annotations

import orjson

from api.dialects.rank_reward.actions import Actions, actions_of, excluded_of, given_id, known_action
from api.dialects.rank_reward.asking import Asked, body_of, ranked
from api.dialects.rank_reward.features import context_features, merged
from api.dialects.rank_reward.loops import placement_of
from api.dialects.rank_reward.rewards import MAX_BODY_BYTES, decision_of, event_of, sent_as
from api.dialects.rank_reward.wire import SLOTS, WORTHS, WireSlot
from api.http.dialect import NO_CONTENT, Call, Reply
from personalization.deciding.draw import WHOLE_CALL, named_slot
from personalization.deciding.request import SlotRequest
from personalization.errors import InvalidInput
from personalization.events.event import Activated

_NO_STORE = [(b"cache-control", b"no-store")]


async def rank(call: Call) -> Reply:
    """Choose for one slot after the other: what stands above is no choice for those below."""
    wire = SLOTS.read(await body_of(call))
    call.weigh(len(wire.actions))
    intake = call.intake()
    slots = slots_of(wire.slots, actions_of(wire.actions))
    asked = Asked(wire.event_id, wire.context_features, bool(wire.defer_activation), slots=slots)
    event_id, answer = await ranked(call, intake, asked)
    chosen = {decision.slot: decision.content_id for decision in answer.decisions}
    body = {
        "slots": [{"id": slot.name, "rewardActionId": chosen.get(n)} for n, slot in enumerate(slots)],
        "eventId": event_id,
    }
    return Reply(201, orjson.dumps(body), _NO_STORE)


def slots_of(sent: list[WireSlot], actions: Actions) -> tuple[SlotRequest, ...]:
    """The slots, in order.

    Raises
    ------
    InvalidInput
        Names the slot by its index, and what is wrong with it.
    """
    if not sent:
        raise InvalidInput("slots", "are none; send at least one", "missing_field")
    if len(sent) > len(actions.bodies):
        message = f"are {len(sent)} for {len(actions.bodies)} actions; send an action for each at least"
        raise InvalidInput("slots", message, "too_many")
    found: list[SlotRequest] = []
    names: set[str] = set()
    baselines: set[str] = set()
    for index, slot in enumerate(sent):
        where = f"slots[{index}]"
        name = given_id(slot.id, f"{where}.id")
        if name in names:
            raise InvalidInput(f"{where}.id", f"{name!r} stands there twice; name each slot once", "duplicate_id")
        names.add(name)
        excluded = excluded_of(slot.excluded_actions, f"{where}.excludedActions", actions)
        baseline = known_action(slot.baseline_action, f"{where}.baselineAction", actions)
        if baseline in excluded:
            message = f"{baseline!r} is excluded there; name what the slot would show without any choice"
            raise InvalidInput(f"{where}.baselineAction", message, "invalid_field")
        if baseline in baselines:
            message = f"{baseline!r} is another slot's too; give each slot one of its own"
            raise InvalidInput(f"{where}.baselineAction", message, "duplicate_id")
        baselines.add(baseline)
        told = context_features(merged(slot.features or []), "slot")
        found.append(SlotRequest(name, actions.led_by(baseline, excluded), told))
    return tuple(found)


async def reward(call: Call) -> Reply:
    """Take the rewards of slots."""
    wire = WORTHS.read(await call.body(MAX_BODY_BYTES))
    intake = call.intake()
    event_id = event_of(call, intake)
    rewarder = call.core.rewarder
    call.weigh(len(wire.reward))
    told = []
    for n, each in enumerate(wire.reward):
        slot = given_id(each.slot_id, f"reward[{n}].slotId")
        decision_id, sent = decision_of(call, event_id, named_slot(slot), intake), sent_as(call, f"{n}:{slot}")
        try:
            told.append(rewarder.rewarded(decision_id, each.value, intake, name="", message_id=sent, final=False))
        except InvalidInput as error:
            raise InvalidInput(f"reward[{n}].{error.field}", error.message, error.code) from error
    await rewarder.append(told, intake)
    return NO_CONTENT


async def activate(call: Call) -> Reply:
    """Take that a deferred event was shown, every slot of it."""
    intake = call.intake()
    decision_id = decision_of(call, event_of(call, intake), WHOLE_CALL, intake)
    placement = placement_of(call.params, intake.catalog)
    await call.core.rewarder.append([Activated(decision_id=decision_id, placement=placement)], intake)
    return NO_CONTENT

"""``POST …/rank``: one of the actions that the caller brings."""

from __future__ import annotations

from typing import Any

import orjson

from api.dialects.rank_reward.actions import actions_of, excluded_of
from api.dialects.rank_reward.asking import Asked, body_of, ranked
from api.dialects.rank_reward.wire import RANK
from api.http.dialect import Call, Reply
from personalization.deciding.candidates import Candidates
from personalization.deciding.decision import Answer
from personalization.deciding.distribution import SCALE

_NO_STORE = [(b"cache-control", b"no-store")]


async def rank(call: Call) -> Reply:
    """Choose one, and rank the others."""
    wire = RANK.read(await body_of(call))
    call.weigh(len(wire.actions))
    intake = call.intake()
    actions = actions_of(wire.actions)
    candidates = actions.without(excluded_of(wire.excluded_actions, "excludedActions", actions))
    asked = Asked(wire.event_id, wire.context_features, bool(wire.defer_activation), candidates)
    event_id, answer = await ranked(call, intake, asked)
    body = {
        "ranking": ranking(answer, candidates),
        "eventId": event_id,
        "rewardActionId": answer.decisions[0].content_id,
    }
    return Reply(201, orjson.dumps(body), _NO_STORE)


def ranking(answer: Answer, candidates: Candidates) -> list[dict[str, Any]]:
    """All actions with their probabilities: what was drawn, then the most probable; excluded ones keep their place.

    What could not have been drawn has a probability of 0.
    """
    drawn, told = answer.decisions[0].content_id, answer.distributions[0]
    weights = dict(zip(told.arms, told.weights, strict=True))
    means = dict(zip(told.arms, told.means, strict=True))
    others = [arm for arm in candidates.arms if arm not in candidates.refused and arm != drawn]
    # Equal ones stay in the caller's order: sorting keeps it.
    others.sort(key=lambda arm: (weights.get(arm, 0), means.get(arm, 0.0)), reverse=True)
    order = iter([drawn, *others])
    places = [arm if arm in candidates.refused else next(order) for arm in candidates.arms]
    return [{"id": arm, "probability": weights.get(arm, 0) / SCALE} for arm in places]

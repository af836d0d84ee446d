"""``POST /v1/rank``: items that the caller brings, ranked by what this visitor is likely to do."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from msgspec import UNSET, UnsetType

from api.dialects.own.explain import decided_and_explained
from api.dialects.own.rank_request import brought, read_rank
from api.http.answer import Answer as Told
from api.http.answer import reply
from api.http.dialect import Call, Reply
from api.reading.ids import is_given
from api.reading.notice import Warned
from api.services.ranking import ranked
from personalization.deciding.candidates import Candidates
from personalization.deciding.decision import Answer, Tier
from personalization.deciding.request import PlacementRequest
from personalization.errors import InvalidInput
from personalization.explaining.explanation import Explanation

MAX_BODY_BYTES = 1024 * 1024
_FIELDS = {"placements[0]": "placement", "placements[0].slots": "slots"}
"""Of a request to decide, as callers write them here."""

_NO_STORE = [(b"cache-control", b"no-store")]


class ItemShown(Told, frozen=True, kw_only=True):
    """The item of one slot.

    Attributes
    ----------
    explanation
        Why; only if it was asked for.
    """

    slot: int
    decision_id: str
    item_id: str
    probability: float
    explanation: Explanation | UnsetType = UNSET


class RankedItem(Told, frozen=True, kw_only=True):
    """An item in its place.

    Attributes
    ----------
    probability
        Of standing in the first slot; null: no model was asked.
    content
        As it was sent.
    """

    id: str
    probability: float | None
    content: Any | UnsetType = UNSET


class RankAnswer(Told, frozen=True, kw_only=True):
    """The items, ranked."""

    request_id: str
    placement: str
    decisions: list[ItemShown]
    ranking: list[RankedItem]
    policy: str
    tier: Tier
    reason: str
    holdout: bool
    variant: str | None
    state_age_ms: int | None
    state_revision: int | None
    catalog_version: int
    warnings: list[Warned]


async def rank(call: Call) -> Reply:
    """Rank them: what is drawn first, then the others by their probability of having been."""
    decider, services = call.core.decider, call.core.services
    wire = read_rank(await call.body(min(MAX_BODY_BYTES, services.max_body_bytes)))
    call.weigh(len(wire.items))
    intake = call.intake()
    user_id = intake.id(wire.visitor.user_id, "visitor.userId")
    anonymous_id = intake.id(wire.visitor.anonymous_id, "visitor.anonymousId")
    if not (is_given(wire.visitor.user_id) or is_given(wire.visitor.anonymous_id)):
        raise InvalidInput("visitor", "names nobody; send an anonymousId, a userId or both", "missing_visitor")
    named = intake.id(wire.request_id, "requestId")
    candidates = brought(wire)
    request = decider.request(
        intake,
        named or call.request_id,
        (PlacementRequest(wire.placement, wire.slots, candidates),),
        user_id=user_id,
        anonymous_id=anonymous_id,
        context=wire.context,
        activate=wire.activate,
        repeatable=named is not None,
    )
    explanations: Sequence[Explanation | UnsetType] = ()
    try:
        if wire.explain:  # whoever may rank may read visitors: no preview link is needed
            answer, explanations = await decided_and_explained(
                call, "explain_rank", None, request, intake, wire.deadline_ms
            )
        else:
            answer = await decider.decide(request, intake, decider.deadline(call.began, wire.deadline_ms))
    except InvalidInput as error:
        raise InvalidInput(_FIELDS.get(error.field, error.field), error.message, error.code) from error
    first = answer.decisions[0]
    told = RankAnswer(
        request_id=request.request_id,
        placement=wire.placement,
        decisions=[
            ItemShown(
                slot=decision.slot,
                decision_id=decision.decision_id,
                item_id=decision.content_id,
                probability=decision.probability,
                explanation=why,
            )
            for decision, why in zip(answer.decisions, explanations or [UNSET] * len(answer.decisions), strict=True)
        ],
        ranking=_ranking(answer, candidates),
        policy=first.policy,
        tier=first.tier,
        reason=first.reason,
        holdout=first.holdout,
        variant=first.variant or None,
        state_age_ms=answer.state_age_ms,
        state_revision=answer.state_revision,
        catalog_version=intake.catalog.version,
        warnings=[notice.shown() for notice in intake.notices],
    )
    return reply(told, headers=_NO_STORE)


def _ranking(answer: Answer, candidates: Candidates) -> list[RankedItem]:
    ranking = []
    for arm, probability in ranked(answer, candidates):
        content = candidates.arm(arm).content.body
        ranking.append(
            RankedItem(
                id=arm,
                probability=probability,
                content=UNSET if content is None else content,
            )
        )
    return ranking

"""The decision, pure: consent → eligibility → distribution → holdout → draw, slot by slot.

``decide`` takes what was read and answers; it waits for nothing, and everything random in it is a keyed hash
of an id that comes in. The same inputs give the same answer, bit for bit. ``deciding`` is the same, halting at
each question to a model, so that a server can ask those of many requests at once.
"""

from __future__ import annotations

from collections.abc import Callable, Generator, Mapping, Sequence
from typing import TypeAlias

from msgspec import structs

from personalization.audience.conversion_scores import Scorers
from personalization.deciding.call import Assume, Call, NonceSource
from personalization.deciding.decider_catalog import PreparedCatalog
from personalization.deciding.decision import Answer
from personalization.deciding.decision_keys import DecisionKeys
from personalization.deciding.distribution import ArmDistribution
from personalization.deciding.filling import Filling
from personalization.deciding.questions import Question
from personalization.deciding.request import DecideRequest, PlacementRequest
from personalization.deciding.reward_scorer import RewardScorer
from personalization.deciding.slots import fill
from personalization.deciding.watching import Watch
from personalization.errors import InvalidInput
from personalization.visitor.visitor_state import VisitorState

MAX_SLOTS = 50
NO_SCORERS: Scorers = {}

Deciding: TypeAlias = Generator[Question, ArmDistribution, Answer]
"""A decision under way: asks, is sent the distribution (or thrown what the model raised), returns the answer."""


def _never() -> bool:
    return False


def decide(
    request: DecideRequest,
    states: Sequence[VisitorState] | None,
    catalog: PreparedCatalog,
    models: Mapping[str, RewardScorer],
    now_ms: int,
    *,
    keys: DecisionKeys,
    nonce: NonceSource,
    out_of_time: Callable[[], bool] = _never,
    scorers: Scorers = NO_SCORERS,
    watch: Watch | None = None,
) -> Answer:
    """Decide every slot asked for.

    Parameters
    ----------
    states
        What is known under the ids of the request, the winner of a merge first; the decider owns them and
        changes them. Empty for an unknown visitor, None where it could not be read.
    models
        By key (a placement, or a variant of one that learns on its own); without one, rules decide.
    out_of_time
        Asked before each scoring; once true, rules answer the rest.
    scorers
        By conversion; asked only where a rule or a feature names its score.
    watch
        Is told of each slot when it is filled; None: nobody asks.

    Raises
    ------
    InvalidInput
        For an unknown placement or a number of slots nobody can fill.
    """
    check(request, catalog)
    steps = deciding(
        request,
        states,
        catalog,
        models,
        now_ms,
        keys=keys,
        nonce=nonce,
        out_of_time=out_of_time,
        scorers=scorers,
        watch=watch,
    )
    try:
        question = next(steps)
        while True:
            try:
                distribution = question.answer()
            except Exception as error:  # the model's: the decision knows what to do without one
                question = steps.throw(error)
            else:
                question = steps.send(distribution)
    except StopIteration as finished:
        answer: Answer = finished.value
        return answer


def deciding(
    request: DecideRequest,
    states: Sequence[VisitorState] | None,
    catalog: PreparedCatalog,
    models: Mapping[str, RewardScorer],
    now_ms: int,
    *,
    keys: DecisionKeys,
    nonce: NonceSource,
    out_of_time: Callable[[], bool] = _never,
    scorers: Scorers = NO_SCORERS,
    watch: Watch | None = None,
    assume: Assume | None = None,
) -> Deciding:
    """``decide`` step by step, for a request that was checked: each question to a model is handed out.

    ``assume`` has rules and features look at other values than are known, for a preview.
    """
    call = Call(request, states, catalog, models, now_ms, keys, nonce, out_of_time, scorers, watch, assume)
    for asked in request.placements:
        if request.apart:
            call.taken.clear()
            call.counted.clear()
        placement = catalog.placements[asked.placement]
        spec = placement.compiled.spec
        missing = call.consents.missing(placement.compiled.consent)
        scope = call.scope_without(missing)
        for slot, own in enumerate(asked.own_slots):
            # One that nothing is left for says nothing of the next, which has arms of its own.
            told = {**own.features, **asked.features}
            yield from fill(Filling(call, placement, scope, missing, own.brought, told, own.name), slot)
        if asked.own_slots:
            continue
        filling = Filling(call, placement, scope, missing, asked.brought, asked.features)
        for slot in range(asked.slots or spec.slots):
            if not (yield from fill(filling, slot)):
                break
    return call.answer


def check(request: DecideRequest, catalog: PreparedCatalog) -> None:
    """Refuse what cannot be decided; raises ``InvalidInput`` that names the field."""
    seen: set[str] = set()
    for index, asked in enumerate(request.placements):
        trouble = _trouble_with(asked, f"placements[{index}]", seen, catalog) or _trouble_with_slots(
            asked, f"placements[{index}].slots", request, catalog
        )
        if trouble is not None:
            raise trouble
        seen.add(asked.placement)


def decidable(request: DecideRequest, catalog: PreparedCatalog) -> tuple[DecideRequest, list[InvalidInput]]:
    """The request without what cannot be decided, and why that is; of too many slots the first stay."""
    kept: list[PlacementRequest] = []
    troubles: list[InvalidInput] = []
    seen: set[str] = set()
    for index, asked in enumerate(request.placements):
        trouble = _trouble_with(asked, f"placements[{index}]", seen, catalog)
        if trouble is None:
            seen.add(asked.placement)
            trouble = _trouble_with_slots(asked, f"placements[{index}].slots", request, catalog)
            if trouble is not None:
                asked = structs.replace(asked, slots=None)
            kept.append(asked)
        if trouble is not None:
            troubles.append(trouble)
    return (structs.replace(request, placements=tuple(kept)), troubles) if troubles else (request, troubles)


def _trouble_with(
    asked: PlacementRequest, field: str, seen: set[str], catalog: PreparedCatalog
) -> InvalidInput | None:
    if asked.placement in seen:
        message = f"names {asked.placement[:64]!r} a second time; name each placement once, and ask for more slots"
        return InvalidInput(field, message, "duplicate_placement")
    placement = catalog.placements.get(asked.placement)
    if placement is None:
        known = ", ".join(sorted(catalog.placements)[:20])
        name = asked.placement[:64].encode("utf-8", "replace").decode()
        return InvalidInput(field, f"no placement {name!r}; there are: {known}", "unknown_placement")
    brings = placement.compiled.spec.arms == "caller"
    if brings is (asked.brought is not None or bool(asked.own_slots)):
        return None
    message = (
        "has its arms brought by the caller; call POST /v1/rank"
        if brings
        else "has arms of its own; call POST /v1/decide, or write arms: caller in the catalog"
    )
    return InvalidInput(field, message, "other_arms")


def _trouble_with_slots(
    asked: PlacementRequest, field: str, request: DecideRequest, catalog: PreparedCatalog
) -> InvalidInput | None:
    if asked.slots is not None and not 1 <= asked.slots <= MAX_SLOTS:
        return InvalidInput(field, f"must lie between 1 and {MAX_SLOTS}")
    most = catalog.placements[asked.placement].compiled.spec.slots
    if request.by_page and (asked.slots or 1) > most:
        message = f"are more than the {most} of the placement; ask for fewer, or write more in the catalog"
        return InvalidInput(field, message, "too_many_slots")
    return None

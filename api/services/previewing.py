"""Previews: what would this visitor see? Decided by the steps of any decision, explained as any, and kept nowhere.

Nothing is logged, counted, or remembered of it: it goes past the decider, the recorder and the gate of consent.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from api.limits.slices import Slices
from api.services.explaining import explanations_of
from api.services.ports import Services
from personalization.audience.merge import merge_states
from personalization.bounded import short_hash
from personalization.deciding.decide import NO_SCORERS, Deciding, check, deciding
from personalization.deciding.decider_catalog import PreparedCatalog
from personalization.deciding.decision import Answer, Decision
from personalization.deciding.holdout import HOLDOUT
from personalization.deciding.request import DecideRequest
from personalization.deciding.watching import FilledSlot
from personalization.explaining.explanation import Explanation
from personalization.explaining.facts import Facts, lay_over, take_over
from personalization.visitor.visitor_key import user_key
from personalization.visitor.visitor_state import VisitorState

MADE_UP = "preview"
"""The id of a visitor who is made up of facts; nobody's is looked up under it."""

MAX_UNITS = 64
"""Tried for somebody made up who is held out nowhere; with a holdout of a tenth the first nearly always is."""


class PreviewedSlot(NamedTuple):
    """What would stand in a slot, by one draw.

    Attributes
    ----------
    decision
        Its id is nobody's: nothing can be rewarded by it.
    why
        As a decision that is made is explained.
    """

    decision: Decision
    why: Explanation


class Preview(NamedTuple):
    """What a visitor would see.

    Attributes
    ----------
    is_known
        Whether something is known of the visitor.
    slots
        In the order in which they were asked for; of a placement with nothing left to show there is none.
    faults
        Models that failed to answer, by their key.
    """

    is_known: bool
    slots: list[PreviewedSlot]
    faults: list[str]


class Previewer:
    """Answers what a visitor would see. One for a process."""

    def __init__(self, services: Services) -> None:
        self._services = services

    async def preview(
        self, request: DecideRequest, facts: Facts, now_ms: int, draft: PreparedCatalog | None = None
    ) -> Preview:
        """What ``request`` would be answered at ``now_ms``, if the facts were so.

        Parameters
        ----------
        request
            Its visitor may be ``MADE_UP``.
        draft
            The catalog to decide by; None: the one in force.

        Raises
        ------
        InvalidInput
            For an unknown placement, or a number of slots nobody can fill.
        Unavailable
            While what is known of the visitor cannot be read.
        """
        services = self._services
        catalog = services.catalog.current if draft is None else draft
        check(request, catalog)
        states = await self._states(request)
        slices = Slices(services.turnstile)
        await slices.pause()  # of many previews that come at once one is worked on in a turn
        state = states[0] if states else VisitorState()
        for other in states[1:]:
            merge_states(state, other, catalog.catalog)
        lay_over(state, facts, catalog.catalog, now_ms)
        if request.anonymous_id == MADE_UP:
            state.unit = self._unit(request, state, catalog)
        slots: list[FilledSlot] = []
        steps = deciding(
            request,
            [state],
            catalog,
            services.models if draft is None else services.models.under(draft),
            now_ms,
            keys=services.decision_keys(),
            nonce=services.nonce,
            scorers=services.conversions if catalog.catalog.scored else NO_SCORERS,
            watch=slots.append,
            assume=lambda scope: take_over(scope, facts),
        )
        answer = await _answer(steps, slices)
        explanations = await explanations_of(slots, slices, "now")
        previewed = [
            PreviewedSlot(decision, why) for decision, why in zip(answer.decisions, explanations, strict=True)
        ]
        return Preview(bool(states), previewed, sorted({key for key, _ in answer.faults}))

    async def _states(self, request: DecideRequest) -> Sequence[VisitorState]:
        if request.user_id is None and request.anonymous_id == MADE_UP:
            return []
        registered = user_key(request.user_id) if request.user_id else None
        return await self._services.visitors.read(request.keys(), registered)

    def _unit(self, request: DecideRequest, state: VisitorState, catalog: PreparedCatalog) -> bytes:
        """A unit whose person is held out nowhere that is asked for: nobody asks to preview the control."""
        secret = self._services.decision_keys().assignment
        units = [short_hash(f"{MADE_UP} {n}") for n in range(MAX_UNITS)]
        experiments = [catalog.placements[asked.placement].experiments for asked in request.placements]
        for unit in units:
            if all(each.assignment(secret, unit, state).experiment != HOLDOUT for each in experiments):
                return unit
        return units[0]


async def _answer(steps: Deciding, slices: Slices) -> Answer:
    """The answer, every model asked at once; decisions of visitors go on meanwhile."""
    try:
        question = next(steps)
        while True:
            if slices.is_over:
                await slices.pause()
            try:
                distribution = question.answer()
            except Exception as error:  # the model's: the decision knows what to do without one
                question = steps.throw(error)
            else:
                question = steps.send(distribution)
    except StopIteration as finished:
        answer: Answer = finished.value
        return answer

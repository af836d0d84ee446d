"""Explanations: of decisions as they are made, and of those that were recorded; and who may see them."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Collection, Mapping, Sequence
from typing import Protocol, TypeAlias

from api.access.caller import Caller
from api.access.permissions import Permission
from api.errors import ApiError, forbidden
from api.limits.slices import Slices
from api.process.catalog import CatalogInForce
from api.services.ports import Services, Visitors
from api.services.records import Records
from personalization.audience.merge import merge_states
from personalization.deciding.decider_catalog import PreparedCatalog
from personalization.deciding.decision_keys import DecisionKeys
from personalization.deciding.request import DecideRequest
from personalization.deciding.reward_scorer import RewardScorer
from personalization.deciding.watching import FilledSlot
from personalization.errors import Unavailable
from personalization.events.decision_record import DecisionRecord
from personalization.explaining import preview_link
from personalization.explaining.explanation import Explanation
from personalization.explaining.of_record import Surroundings, explaining_record
from personalization.explaining.of_slot import explaining_slot
from personalization.explaining.steps import Explaining, at_once
from personalization.explaining.words import Tense
from personalization.visitor.visitor_state import VisitorState

CatalogOf: TypeAlias = Callable[[int], Awaitable[PreparedCatalog | None]]
"""Gives a version of the catalog, None if it is not at hand."""


class Sources(Protocol):
    """What explanations are made of; the services of a process are such."""

    @property
    def records(self) -> Records:
        """Finds what was recorded of decisions."""
        ...

    @property
    def catalog(self) -> CatalogInForce:
        """The catalog in force."""
        ...

    @property
    def visitors(self) -> Visitors:
        """Reads visitors."""
        ...

    @property
    def models(self) -> Mapping[str, RewardScorer]:
        """The models in memory, by key."""
        ...

    @property
    def decision_keys(self) -> Callable[[], DecisionKeys]:
        """What decisions are made under."""
        ...

    @property
    def clock_ms(self) -> Callable[[], int]:
        """Wall clock, milliseconds since 1970."""
        ...


class Explainer:
    """Explains what was recorded.

    Parameters
    ----------
    catalog_of
        Looks up the catalog that a decision was made under; None: the one in force stands for all.
    slices
        In which it works, so that decisions go on; None: nobody else waits.
    """

    def __init__(self, sources: Sources, catalog_of: CatalogOf | None = None, slices: Slices | None = None) -> None:
        self._sources = sources
        self._catalog_of = catalog_of
        self._slices = slices

    async def of_decision(self, decision_id: str) -> Explanation | None:
        """Why a recorded decision was made; None: it is recorded nowhere.

        Raises
        ------
        Unavailable
            If records cannot be looked up. A visitor's state that cannot be read is told as missing.
        """
        record = await self._sources.records.decision(decision_id)
        return None if record is None else await self.of_record(record)

    async def latest(self, keys: Collection[str], placement: str, limit: int = 200) -> Explanation | None:
        """Why the latest decision for ``placement`` was made; None: none of the last ``limit`` is for it."""
        for record in await self._sources.records.decisions_of(list(keys), limit):
            if record.choice.placement == placement:
                return await self.of_record(record)
        return None

    async def of_record(self, record: DecisionRecord) -> Explanation:
        """Why it was made."""
        sources = self._sources
        catalog = sources.catalog.current
        if self._catalog_of is not None and record.choice.catalog_version != catalog.catalog.version:
            catalog = await self._catalog_of(record.choice.catalog_version) or catalog
        around = Surroundings(
            catalog=catalog,
            state=await self._state(record.key),
            scorer=self._scorer(record.choice.model),
            secret=sources.decision_keys().assignment,
            now_ms=sources.clock_ms(),
        )
        steps = explaining_record(record, around)
        if self._slices is None:
            return at_once(steps)
        self._slices.begin()
        return await _in_slices(steps, self._slices)

    async def _state(self, key: str) -> VisitorState | None:
        sources = self._sources
        try:
            _, states = await sources.visitors.read_canonical(key)
        except Unavailable:
            return None
        if not states:
            return None
        for other in states[1:]:
            merge_states(states[0], other, sources.catalog.current.catalog)
        return states[0]

    def _scorer(self, model: str) -> RewardScorer | None:
        try:
            return self._sources.models[model]
        except KeyError:
            return None


async def explanations_of(
    slots: Sequence[FilledSlot], slices: Slices, tense: Tense | None = None
) -> list[Explanation]:
    """Why each slot shows what it shows: of many slots and arms that takes long, and decisions go on meanwhile.

    ``tense`` is that of ``explain_slot``.
    """
    return [await _in_slices(explaining_slot(slot, tense), slices) for slot in slots]


async def _in_slices(steps: Explaining, slices: Slices) -> Explanation:
    try:
        while True:
            next(steps)
            if slices.is_over:
                await slices.pause()
    except StopIteration as finished:
        explained: Explanation = finished.value
        return explained


def see_that_may_explain(caller: Caller, preview: str | None, request: DecideRequest, services: Services) -> None:
    """See that a caller may be told why a request is decided as it is.

    A key that may read visitors may. Any other needs a preview link for all of the placements; whoever comes with
    one names no user without proof, as a page's key is everybody's.

    Raises
    ------
    ApiError
        403 without that; the message says how to get it.
    """
    if caller.access.may(Permission.VISITORS):
        return
    if preview is None:
        if caller.is_server:
            raise forbidden(caller.access.role, Permission.VISITORS)
        raise _may_not(
            "an explanation tells what is known of a visitor: ask with a server key (sk_…), or send the token of a "
            "preview link as preview (`nextbest preview-link` makes one)",
            "explain",
        )
    link = preview_link.read(preview, services.secrets.key(preview_link.PURPOSE))
    if link is None:
        raise _may_not(
            "the preview link was not signed by this installation; send its token as it was made", "preview"
        )
    trouble = link.trouble([each.placement for each in request.placements], services.clock_ms())
    if trouble is not None:
        raise _may_not(trouble, "preview")
    if request.user_id is not None and not request.proven:
        raise _may_not(
            "by a preview link a user is explained with their proof alone: send userToken or userHash, or leave "
            "the user out",
            "visitor.userId",
        )


def made_link(placements: Sequence[str], valid_ms: int, services: Services) -> tuple[str, preview_link.PreviewLink]:
    """The token of a new preview link, and what it allows; raises ``InvalidInput``."""
    known = list(services.catalog.current.placements)
    link = preview_link.link_for(placements, known, valid_ms, services.clock_ms())
    return preview_link.sign(link, services.secrets.key(preview_link.PURPOSE)), link


def _may_not(message: str, field: str) -> ApiError:
    return ApiError(403, "explain_forbidden", message, field)

"""``GET /v1/visitors/{id}``: what is known of a visitor, for server keys."""

from __future__ import annotations

from typing import Annotated, Any

from msgspec import Meta

from api.dialects.own.visitor_parts import (
    CapAnswer,
    ExposureAnswer,
    ReasonAnswer,
    SessionAnswer,
    WindowAnswer,
    cap_answers,
    exposure_answers,
    segment_answers,
    session_answer,
    window_answers,
)
from api.errors import nobody_known
from api.http.answer import Answer, reply
from api.http.dialect import Call, Reply
from api.http.query import Query, QueryReader
from api.limits.slices import Slices
from api.process.conversions import shown_scores
from api.reading.ids import check_id
from api.services.ports import Services
from api.services.rights import Kind
from personalization.audience.conversion_scores import Scores
from personalization.audience.merge import merge_states
from personalization.audience.score_report import score_report
from personalization.audience.variables import VisitorScope, counts_by_event, counts_by_meaning
from personalization.errors import InvalidInput
from personalization.visitor.purposes import PERSONALISING, may
from personalization.visitor.visitor_key import anonymous_key, is_registered, user_key
from personalization.visitor.visitor_state import VisitorState


class KindQuery(Query, frozen=True, kw_only=True):
    """Whose the id is."""

    kind: Annotated[
        Kind | None, Meta(description="Whose the id is, where it is both a user's and a browser's.")
    ] = None


KIND_QUERY: QueryReader[KindQuery] = QueryReader(KindQuery)


class Side(Answer, frozen=True, kw_only=True):
    """On which side of an experiment somebody is.

    Attributes
    ----------
    crossover
        Whether they have been on both.
    """

    control: bool
    since_ms: int
    crossover: bool


class VisitorAnswer(Answer, frozen=True, kw_only=True):
    """What is known of a visitor.

    Attributes
    ----------
    canonical_id
        The id that theirs leads to.
    event_count
        Distinct events that were applied, merges included.
    last_event_ms
        When they were heard of last; null: only things were done to them.
    scores
        Conversions and scores of the catalog, by name, with what made them.
    segments
        Those they are in, whatever they ask for next.
    cart
        What is in it, and what so many of each cost.
    counts
        Of each event how often lately, by its name: faded.
    meanings
        The same by what events mean, where the catalog says so.
    session
        The visit going on; null: there is none.
    segment_reasons
        Why they are in each segment of the catalog, or are not.
    windows
        What the windows of its rules and features say of them.
    exposures
        What was shown to them, as caps count it.
    caps
        Those of which they have used some, those with least left first.
    """

    visitor_id: str
    canonical_id: str
    revision: int
    event_count: int
    last_event_ms: int | None
    traits: dict[str, Any]
    segments: list[str]
    scores: dict[str, dict[str, Any]]
    affinities: dict[str, Any]
    cart: dict[str, float]
    cart_value: float
    revenue: float
    n_orders: int
    counts: dict[str, float]
    meanings: dict[str, float]
    consent: dict[str, bool]
    assignments: dict[str, Side]
    open_decisions: int
    session: SessionAnswer | None
    segment_reasons: dict[str, ReasonAnswer]
    windows: list[WindowAnswer]
    exposures: list[ExposureAnswer]
    caps: list[CapAnswer]


async def show(call: Call) -> Reply:
    """Show one visitor."""
    visitor_id, canonical, states = await find_visitor(call)
    return reply(await _shown(visitor_id, canonical, states, call.core.services))


async def find_visitor(call: Call) -> tuple[str, str, list[VisitorState]]:
    """The visitor that the path names: the id as sent, the key where its redirects end, and what is there.

    An id is looked up as a user id, then as an anonymous one; ``?kind=user|anonymous`` says which.

    Raises
    ------
    ApiError
        404 for nobody known.
    """
    services = call.core.services
    visitor_id = check_id(call.params["visitor_id"], "id")
    kind = KIND_QUERY.read(call.scope["query_string"]).kind
    if visitor_id is None:
        raise InvalidInput("id", "is empty; write the visitor's into the path", "missing_field")
    candidates = {"user": [user_key(visitor_id)], "anonymous": [anonymous_key(visitor_id)]}
    keys = candidates[kind] if kind else [*candidates["user"], *candidates["anonymous"]]
    for key in keys:
        canonical, states = await services.visitors.read_canonical(key)
        if states:
            return visitor_id, canonical, states
    raise nobody_known(visitor_id, kind)


async def _shown(visitor_id: str, canonical: str, states: list[VisitorState], services: Services) -> VisitorAnswer:
    catalog = services.catalog.current.catalog
    state = states[0]
    for other in states[1:]:
        merge_states(state, other, catalog)
    known, conversions = is_registered(canonical), services.conversions
    scope = VisitorScope(state, {}, catalog, services.clock_ms(), known, Scores(conversions, []))
    # Who refused is in no segment: none is counted, listed, or looked at when something is decided for them.
    agrees = may(state.consents, PERSONALISING, default=True)
    reasons = await segment_answers(scope, Slices(services.turnstile)) if agrees else {}
    shown = shown_scores(conversions, scope)
    likely = {name: score["probability"] for name, score in shown.items()}
    return VisitorAnswer(
        visitor_id=visitor_id,
        canonical_id=canonical[2:],
        revision=state.revision,
        event_count=state.event_count,
        last_event_ms=state.last_ms or None,
        traits=state.traits,
        segments=[name for name in scope.value("segments") if reasons[name].holds] if agrees else [],
        scores={**shown, **score_report(scope, likely)},
        affinities=scope.value("affinities"),
        cart=state.cart,
        cart_value=scope.value("cart_value"),
        revenue=state.revenue,
        n_orders=state.n_orders,
        counts=counts_by_event(scope, state),
        meanings=counts_by_meaning(scope, state),
        consent={purpose: word.granted for purpose, word in state.consents.items()},
        assignments={
            name: Side(control=side.control, since_ms=side.first_ms, crossover=side.crossover)
            for name, side in state.holdouts.items()
        },
        open_decisions=await services.open_decisions(canonical),
        session=session_answer(scope),
        segment_reasons=reasons,
        windows=window_answers(scope),
        exposures=exposure_answers(scope),
        caps=cap_answers(scope),
    )

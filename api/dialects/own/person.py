"""What a person is told of the decisions made about them.

``POST /v1/visitors/{id}/explain`` is for the site's server, which asks for the person. ``POST /v1/me/explain`` is
for the person's own page, with the proof that it speaks for them.
"""

from __future__ import annotations

from typing import Any

from api.access.proof import Proof
from api.dialects.own.visitors import KIND_QUERY, find_visitor
from api.dialects.own.wire import ME
from api.errors import none_such, not_proven
from api.http.answer import Answer, reply
from api.http.dialect import Call, Reply
from api.reading.ids import check_id
from api.services.rights import Kind
from personalization.audience.conversion_scores import Scores
from personalization.audience.merge import merge_states
from personalization.audience.variables import VisitorScope
from personalization.errors import InvalidInput, Unavailable
from personalization.explaining import person_words as words
from personalization.explaining.person import data_told, decisions_told, is_personalised, placements_told
from personalization.visitor.visitor_key import is_registered, user_key
from personalization.visitor.visitor_state import VisitorState

MAX_BODY_BYTES = 16 * 1024
LATEST = 20
"""Decisions that are told one by one; all of them are in the export."""


class PersonDatumAnswer(Answer, frozen=True, kw_only=True):
    """Something known of the person that decisions look at.

    Attributes
    ----------
    source
        Where it comes from.
    value
        Null: it is not known, or is only known at a visit.
    """

    name: str
    words: str
    source: str
    value: Any


class PersonPlacementAnswer(Answer, frozen=True, kw_only=True):
    """A place in which contents are chosen for the person.

    Attributes
    ----------
    data
        Names of what is looked at.
    """

    placement: str
    words: str
    data: list[str]


class PersonDecisionAnswer(Answer, frozen=True, kw_only=True):
    """A choice that was made about the person."""

    placement: str
    content_id: str
    at_ms: int
    words: str


class PersonAnswer(Answer, frozen=True, kw_only=True):
    """What a person is told of the automated decisions made about them.

    Attributes
    ----------
    personalised
        Whether what is known of them is used.
    text
        What is done, by what logic, with what consequence: a paragraph each.
    latest
        Newest first; null: they cannot be listed at the moment.
    contact
        Whom they may ask.
    rights
        How to object, and what else they may ask for.
    notice, withdrawal
        Addresses of the privacy notice, and of the page where they change their mind; null: the catalog has none.
    """

    visitor_id: str
    personalised: bool
    text: list[str]
    decisions: list[PersonPlacementAnswer]
    data: list[PersonDatumAnswer]
    latest: list[PersonDecisionAnswer] | None
    contact: str
    rights: list[str]
    notice: str | None
    withdrawal: str | None


async def explain(call: Call) -> Reply:
    """Tell a site's server what to tell the person."""
    visitor_id, canonical, states = await find_visitor(call)
    kind = KIND_QUERY.read(call.scope["query_string"]).kind
    return reply(await _told(call, visitor_id, canonical, states, kind))


async def explain_to_me(call: Call) -> Reply:
    """Tell the person themselves; they prove who they are."""
    wire = ME.read(await call.body(MAX_BODY_BYTES))
    user_id = check_id(wire.user_id, "userId")
    if user_id is None:
        raise InvalidInput("userId", "is missing; only who has a user id can prove who they are", "missing_field")
    own = Proof(wire.user_hash, wire.user_token)
    intake = call.intake()
    proof = own if own.is_shown else call.proof()
    doubt = intake.identities.why_not(intake.caller.access.source, user_id, proof, intake.received_at_ms)
    if doubt is not None:
        raise not_proven(doubt)
    canonical, states = await call.core.services.visitors.read_canonical(user_key(user_id))
    if not states:
        raise none_such(
            "userId", "nothing is known of this user: nothing of them was taken in so far, or it was erased"
        )
    return reply(await _told(call, user_id, canonical, states, "user"))


async def _told(
    call: Call, visitor_id: str, canonical: str, states: list[VisitorState], kind: Kind | None
) -> PersonAnswer:
    services = call.core.services
    catalog = services.catalog.current.catalog
    state = states[0]
    for other in states[1:]:
        merge_states(state, other, catalog)
    scores = Scores(services.conversions, [])
    scope = VisitorScope(state, {}, catalog, services.clock_ms(), is_registered(canonical), scores)
    personalised = is_personalised(scope, call.caller.access.consent_default == "granted")
    placements = placements_told(catalog)
    latest = await _latest(call, visitor_id, canonical, kind)
    privacy = catalog.catalog.privacy
    paragraphs = [words.WHAT, words.LOGIC if personalised else words.NOTHING_USED, words.CONSEQUENCE]
    if latest is None:
        paragraphs.append(words.LATEST_UNKNOWN)
    elif not latest:
        paragraphs.append(words.NO_LATEST)
    return PersonAnswer(
        visitor_id=visitor_id,
        personalised=personalised,
        text=paragraphs,
        decisions=[
            PersonPlacementAnswer(placement=each.placement, words=each.words, data=list(each.data))
            for each in placements
        ],
        data=[
            PersonDatumAnswer(name=each.name, words=each.words, source=each.source, value=each.value)
            for each in data_told(placements, scope)
        ],
        latest=latest,
        contact=words.contact_words(None if privacy is None else privacy.controller),
        rights=list(words.HOW_TO_OBJECT),
        notice=None if privacy is None else privacy.notice,
        withdrawal=None if privacy is None else privacy.withdrawal or privacy.notice,
    )


async def _latest(
    call: Call, visitor_id: str, canonical: str, kind: Kind | None
) -> list[PersonDecisionAnswer] | None:
    """The latest decisions about the person, under any id of theirs; None where they cannot be found now."""
    services = call.core.services
    try:
        person = await services.rights.person(visitor_id, kind)
        records = await services.records.decisions_of(list(dict.fromkeys((canonical, *person))), LATEST)
    except Unavailable:
        return None
    return [
        PersonDecisionAnswer(placement=each.placement, content_id=each.content, at_ms=each.at_ms, words=each.words)
        for each in decisions_told(records)
    ]

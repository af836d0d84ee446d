"""Consent: a visitor's answer and its receipt, the keys of receipts, what is kept of a visitor's answers."""

from __future__ import annotations

from typing import Any

import orjson

from api.access.proof import Proof
from api.dialects.own.visitors import find_visitor
from api.dialects.own.wire import CONSENT, WireVisitor
from api.http.answer import Answer, reply
from api.http.dialect import Call, Reply
from api.reading.notice import Warned
from api.services.intake import Intake
from api.services.speaking import Named, named
from personalization.errors import InvalidInput
from personalization.visitor.purposes import Words, merge

MAX_BODY_BYTES = 32 * 1024
JWK_SET = b"application/jwk-set+json"


class ConsentAnswer(Answer, frozen=True, kw_only=True):
    """What was recorded, and its receipt.

    Attributes
    ----------
    receipt
        A JSON Web Token, signed with Ed25519; null: the catalog does not say enough for one.
    """

    record_id: str
    receipt: str | None
    purposes: dict[str, bool]
    at_ms: int
    expires_ms: int | None
    warnings: list[Warned]


class JwkSet(Answer, frozen=True, kw_only=True):
    """Public keys (RFC 7517)."""

    keys: list[dict[str, Any]]


class KeptWord(Answer, frozen=True, kw_only=True):
    """An answer of the visitor's.

    Attributes
    ----------
    verified
        Whether it was said with proof, or by a server key.
    """

    granted: bool
    at_ms: int
    verified: bool


class KeptConsent(Answer, frozen=True, kw_only=True):
    """What is kept of a visitor's answers, by purpose."""

    visitor_id: str
    canonical_id: str
    purposes: dict[str, KeptWord]


async def answer(call: Call) -> Reply:
    """Record what the visitor answered, and give the receipt."""
    wire = CONSENT.read(await call.body(MAX_BODY_BYTES))
    intake = call.intake()
    given = await call.core.consents.take(
        wire.purposes,
        _who(wire.visitor, call, intake),
        intake,
        language=wire.language or "",
        collection_method=wire.collection_method or "",
    )
    told = ConsentAnswer(
        record_id=given.record_id,
        receipt=given.receipt,
        purposes=dict(given.purposes),
        at_ms=given.at_ms,
        expires_ms=given.expires_ms,
        warnings=[notice.shown() for notice in given.warnings],
    )
    return reply(told)


async def keys(call: Call) -> Reply:
    """The public keys that receipts are signed by."""
    return Reply(200, orjson.dumps(call.core.services.receipts.jwk_set()), media_type=JWK_SET)


async def kept(call: Call) -> Reply:
    """What is kept of a visitor's answers, with the time and the certainty of each."""
    visitor_id, canonical, states = await find_visitor(call)
    words: Words = {}
    purposes = call.core.services.catalog.current.catalog.named.purposes
    for state in states:
        merge(words, state.consents, purposes)
    told = KeptConsent(
        visitor_id=visitor_id,
        canonical_id=canonical[2:],
        purposes={
            name: KeptWord(granted=word.granted, at_ms=word.at_ms, verified=word.verified)
            for name, word in words.items()
        },
    )
    return reply(told)


def _who(visitor: WireVisitor, call: Call, intake: Intake) -> Named:
    user_id = intake.id(visitor.user_id, "visitor.userId")
    anonymous_id = intake.id(visitor.anonymous_id, "visitor.anonymousId")
    if user_id is None and anonymous_id is None:
        raise InvalidInput("visitor", "names nobody; send an anonymousId, a userId or both", "missing_visitor")
    proof = Proof(visitor.user_hash, visitor.user_token)
    return named(user_id, anonymous_id, proof, call.proof, "visitor.userId", intake)

"""Takes what visitors answer when they are asked: logs it like any word on consent, and gives a signed receipt."""

from __future__ import annotations

import uuid
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from api.reading.notice import Notice
from api.services.collecting import Collector, Incoming, incoming
from api.services.intake import Intake
from api.services.ports import Services
from api.services.receipt_claims import Answered, expires_ms, receipt_claims
from api.services.receipts import MAX_RECEIPT_CHARS
from api.services.speaking import Named, unverified
from personalization.audience.consent import CONSENT_EVENT
from personalization.errors import InvalidInput, Unavailable
from personalization.events.event import Track
from personalization.visitor.purposes import ALL, OTHERS, Words, merge, normal, recorded, said
from personalization.visitor.visitor_key import anonymous_key, is_registered, user_key

MAX_ANSWERED = 32
"""As many purposes as a visitor's state has words on, beside those that the catalog names."""

MAX_PURPOSE_CHARS = 256
MAX_LANGUAGE_CHARS = 35
"""The longest tag that BCP 47 asks everybody to take."""

MAX_METHOD_CHARS = 256


@dataclass(frozen=True, slots=True)
class Given:
    """What became of an answer.

    Attributes
    ----------
    record_id
        Names it: the receipt, the event in the log, decisions made by it.
    receipt
        In compact form; None: the catalog does not say who answers for the data, or says too much.
    purposes
        What was recorded.
    expires_ms
        When the receipt stops to stand for the answer; None: there is none.
    warnings
        What the sender is told.
    """

    record_id: str
    receipt: str | None
    purposes: Mapping[str, bool]
    at_ms: int
    expires_ms: int | None
    warnings: list[Notice]


class ConsentTaker:
    """Records what visitors answer when they are asked for consent."""

    def __init__(self, services: Services, collector: Collector) -> None:
        self._services = services
        self._collector = collector

    async def take(
        self,
        purposes: Mapping[str, bool],
        who: Named,
        intake: Intake,
        *,
        language: str = "",
        collection_method: str = "",
    ) -> Given:
        """Record an answer, and wait until the log has it; the receipt is made of what was recorded.

        It is about the user only where the call proves to speak for them, or nobody asks for proof; else about the
        browser, though what is refused may hold for the user as well (see ``Collector``).

        Raises
        ------
        InvalidInput
            Names the field.
        Unavailable
            Where the log did not take it: nothing is recorded.
        """
        _check(purposes, language, collection_method)
        if who.doubt is not None and who.anonymous_id is None:
            raise unverified(who, "visitor.userId")
        words = said({"consent": purposes}) | dict.fromkeys(intake.refused, False)
        record_id = str(uuid.uuid4())
        event = Track(
            message_id=record_id,
            anonymous_id=who.anonymous_id,
            user_id=who.user_id,
            event=CONSENT_EVENT,
            properties=words,
        )

        def read(_: int, event: Track) -> Incoming:
            return incoming(event, intake.received_at_ms, who, "visitor", intake)

        keys = _keys(who)
        before = await self._words(keys, intake)
        taken = await self._collector.take([event], read, intake)
        for _, error in taken.rejected:
            raise error
        warnings = [notice for _, notice in taken.warnings] + _by_browser(purposes, intake)
        at_ms, privacy = intake.received_at_ms, intake.catalog.catalog.privacy
        if privacy is None:
            return Given(record_id, None, words, at_ms, None, [*warnings, _NO_CONTROLLER])
        answered = Answered(
            record_id,
            keys[0],
            words,
            frozenset(purpose for purpose, granted in words.items() if not granted and _granted(before, purpose)),
            at_ms,
            who.proven or intake.caller.is_server,
            language,
            collection_method,
        )
        warnings += [_undescribed(each) for each in words if each != ALL and privacy.purpose(each) is None]
        receipt = self._services.receipts.sign(receipt_claims(answered, privacy))
        if len(receipt) > MAX_RECEIPT_CHARS:
            return Given(record_id, None, words, at_ms, None, [*warnings, _TOO_LONG])
        return Given(record_id, receipt, words, at_ms, expires_ms(at_ms, privacy), warnings)

    async def _words(self, keys: Sequence[str], intake: Intake) -> Words:
        """What the visitor had said before, as far as it can be read."""
        named = intake.catalog.named.purposes
        consent = self._services.consent
        registered = keys[0] if is_registered(keys[0]) else None
        try:
            states = await self._services.visitors.read(keys, registered)
        except Unavailable:
            return consent.heard(keys, named)
        found = consent.lately(keys, named, intake.received_at_ms)
        for state in states:
            merge(found, state.consents, named)
        return found


def _keys(who: Named) -> list[str]:
    """The visitor's keys, the one that the receipt is about first; without a user whom there is doubt about."""
    user = user_key(who.user_id) if who.user_id and who.doubt is None else ""
    anonymous = anonymous_key(who.anonymous_id) if who.anonymous_id else ""
    return [key for key in (user, anonymous) if key]


def _check(purposes: Mapping[str, bool], language: str, collection_method: str) -> None:
    if not purposes:
        raise InvalidInput(
            "purposes", 'is empty; send the answer, as in {"personalization": true}', "missing_field"
        )
    if len(purposes) > MAX_ANSWERED:
        raise InvalidInput("purposes", f"are {len(purposes)}; at most {MAX_ANSWERED} at once", "too_many")
    for name, granted in purposes.items():
        if not normal(name) or normal(name) == OTHERS or len(name) > MAX_PURPOSE_CHARS:
            message = f"is no name of a purpose; use 1 to {MAX_PURPOSE_CHARS} letters, as in personalization"
            raise InvalidInput(f"purposes.{name[:64]}", message)
        if granted and normal(name) == ALL:
            message = "can only be refused: it stands for all purposes; grant each by its name"
            raise InvalidInput(f"purposes.{ALL}", message)
    if len(language) > MAX_LANGUAGE_CHARS:
        raise InvalidInput("language", f"is longer than {MAX_LANGUAGE_CHARS}; send a tag such as de or en-GB")
    if len(collection_method) > MAX_METHOD_CHARS:
        raise InvalidInput("collectionMethod", f"is longer than {MAX_METHOD_CHARS}; send a name, as in banner 3")


def _granted(words: Words, purpose: str) -> bool:
    word = recorded(words, purpose)
    return word is not None and word.granted


def _by_browser(purposes: Mapping[str, bool], intake: Intake) -> list[Notice]:
    """What the sender is told of purposes that were granted and that the browser refuses by itself."""
    return [
        Notice(f"purposes.{name}", "refused_by_browser", "was recorded as refused: the browser sends Sec-GPC: 1")
        for name, granted in purposes.items()
        if granted and normal(name) in intake.refused
    ]


def _undescribed(purpose: str) -> Notice:
    message = (
        "is not described under privacy.purposes in the catalog, so the receipt says little of it; add it there"
    )
    return Notice(f"purposes.{purpose}", "undescribed_purpose", message)


_TOO_LONG = Notice(
    "receipt",
    "too_long",
    f"was not made: it would be longer than {MAX_RECEIPT_CHARS} characters; shorten what privacy: says in the "
    "catalog, or send the answer in parts",
)

_NO_CONTROLLER = Notice(
    "receipt",
    "no_controller",
    "was not made: the catalog does not say who answers for the data; write privacy: with a controller there",
)

"""Consent in one request: what it says, what is recorded of the visitor, and what a signature proves.

A refusal in the request always holds. Else the later word holds of what is recorded and what was signed; an
unsigned grant counts only for a visitor who has said nothing yet. Where the state cannot be read, what the request
or the source's default grants lets a model see the request's own context, for nobody; a signed grant lets it be
logged.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from typing import Any

from msgspec import structs

from personalization.compiled import CompiledCatalog
from personalization.event import ClientEvent, Track
from personalization.purposes import PERSONALISING, Word, Words, add, recorded, said, spoken
from personalization.request import DecideRequest
from personalization.visitor_state import VisitorState

CONSENT_EVENT = "Consent Updated"
"""A track event whose boolean properties are words on purposes."""

_SIGNATURE_BYTES = 15


def words_of(event: ClientEvent) -> dict[str, bool]:
    """What an event says about purposes, by their normal names."""
    words = said(event.context) if "consent" in event.context else {}
    if isinstance(event, Track) and event.event == CONSENT_EVENT:
        for purpose, granted in said({"consent": event.properties}).items():
            words[purpose] = granted and words.get(purpose, True)
    return words


def admitted(event: ClientEvent, *, may_log: bool, refused: Iterable[str] = ()) -> ClientEvent | None:
    """What of an event may be logged under its visitor's key; None: nothing.

    What the event itself says of personalization holds for it. Where it may not be logged its words on purposes
    are, alone: that is how a refusal is honoured.

    Parameters
    ----------
    may_log
        Whether the visitor agreed to personalization, if the event says nothing of it.
    refused
        Purposes that are refused beside what the event says.

    >>> page = Track(message_id="m", event="Viewed", context={"consent": {"ads": True}})
    >>> admitted(page, may_log=True) is page
    True
    >>> refusal = admitted(page, may_log=False, refused=["ads"])
    >>> refusal.event, refusal.properties, refusal.context
    ('Consent Updated', {'ads': False}, {})
    """
    words = words_of(event)
    added = {purpose: False for purpose in refused if words.get(purpose) is not False}
    words |= added
    own = spoken(words, PERSONALISING)
    if may_log if own is None else own:
        return _with_words(event, added) if added else event
    if not words:
        return None
    return Track(
        message_id=event.message_id,
        anonymous_id=event.anonymous_id,
        user_id=event.user_id,
        event=CONSENT_EVENT,
        properties=words,
    )


def answerable(catalog: CompiledCatalog, allowed: Callable[[str], bool]) -> bool:
    """Whether a decision can be open for a visitor at all, so that its reward or activation may be logged.

    A decision id does not say of which placement it is: some of them may need no consent, or another.
    """
    return allowed(PERSONALISING) or any(all(map(allowed, each.consent)) for each in catalog.placements.values())


def stands_alone(event: ClientEvent) -> bool:
    """Whether an event is no more than words on purposes: it holds for each id it names, and joins none."""
    granted = spoken(words_of(event), PERSONALISING)
    return granted is False or (granted is None and isinstance(event, Track) and event.event == CONSENT_EVENT)


def _with_words(event: ClientEvent, words: Mapping[str, bool]) -> ClientEvent:
    given = event.context.get("consent")
    consent = {**(given if isinstance(given, Mapping) else {}), **words}
    return structs.replace(event, context={**event.context, "consent": consent})


def record(words: Words, said_now: Mapping[str, bool], at_ms: int, verified: bool, named: Iterable[str]) -> bool:
    """Take what was said at ``at_ms`` into a visitor's words; whether it said anything."""
    kept = frozenset(named)
    for purpose, granted in said_now.items():
        add(words, purpose, Word(granted, at_ms, verified), kept)
    return bool(said_now)


def sign_consent(
    secret: bytes, key: str, purposes: Mapping[str, bool], until_ms: int, at_ms: int = 0
) -> dict[str, Any]:
    """What to send as ``context.consent`` so that it holds without the visitor's state, until ``until_ms``.

    ``at_ms`` is when it was given: a word recorded later outweighs it.

    >>> signed = sign_consent(b"s", "a:1", {"personalization": True}, 2_000)
    >>> is_signed(b"s", ("a:1",), signed, 1_999), is_signed(b"s", ("a:1",), signed, 2_000)
    (True, False)
    >>> is_signed(b"s", ("a:2",), signed, 0)
    False
    """
    signature = _signature(secret, key, purposes, until_ms, at_ms)
    return {**purposes, "untilMs": until_ms, "atMs": at_ms, "signature": signature}


def is_signed(secret: bytes, keys: Iterable[str], consent: Mapping[str, Any], now_ms: int) -> bool:
    """Whether ``consent`` was signed by us for one of the visitor's keys and still holds."""
    signature, until_ms, at_ms = consent.get("signature"), consent.get("untilMs"), consent.get("atMs", 0)
    if not isinstance(signature, str) or type(until_ms) is not int or type(at_ms) is not int or now_ms >= until_ms:
        return False
    purposes = {name: value for name, value in consent.items() if isinstance(value, bool)}
    given = signature.encode("utf-8", "replace")
    return any(
        hmac.compare_digest(given, _signature(secret, key, purposes, until_ms, at_ms).encode()) for key in keys
    )


def _signature(secret: bytes, key: str, purposes: Mapping[str, bool], until_ms: int, at_ms: int) -> str:
    words = [key, str(until_ms), str(at_ms), *(f"{name}={int(value)}" for name, value in sorted(purposes.items()))]
    mac = hmac.digest(secret, "\x1f".join(("consent", *words)).encode("utf-8", "replace"), hashlib.sha256)
    return base64.urlsafe_b64encode(mac[:_SIGNATURE_BYTES]).decode()


class Consents:
    """The consents that hold for one request.

    Parameters
    ----------
    state
        None where it could not be read.
    """

    __slots__ = ("_by_browser", "_default", "_recorded", "_said", "_signed_ms")

    def __init__(
        self,
        secret: bytes,
        request: DecideRequest,
        state: VisitorState | None,
        now_ms: int,
    ) -> None:
        self._recorded = request.said_lately if state is None else state.consents
        self._default = request.consent_default
        self._said: dict[str, bool] = {}
        self._signed_ms: int | None = None
        given = request.context.get("consent")
        if given is not None:
            self._said = said(request.context)
            if isinstance(given, Mapping) and is_signed(secret, request.keys(), given, now_ms):
                self._signed_ms = int(given.get("atMs", 0))
        self._by_browser: frozenset[str] = frozenset()
        if request.refused:
            self._by_browser = frozenset(p for p in request.refused if self._said.get(p) is not False)
            self._said = {**self._said, **dict.fromkeys(request.refused, False)}

    def granted(self, purpose: str) -> bool:
        """Whether the visitor agreed to ``purpose``, which is in its normal form."""
        word = spoken(self._said, purpose) if self._said else None
        if word is False:
            return False
        held = recorded(self._recorded, purpose)
        if held is None:
            return True if word else self._default
        if word and self._signed_ms is not None and self._signed_ms > held.at_ms:
            return True
        return held.granted

    @property
    def signed(self) -> bool:
        """Whether the request carries consents that we have signed."""
        return self._signed_ms is not None

    def news(
        self, held: Sequence[Words], named: Collection[str], states: Sequence[VisitorState] | None
    ) -> dict[str, bool]:
        """What of the request is to be recorded, since by what is recorded something else would be done.

        A refusal of what is granted so far; a first grant where nothing is granted by default; and one that was
        signed after it was refused. What a browser refuses by itself is recorded of a known visitor alone, and a
        grant where the state could be read.

        Parameters
        ----------
        held
            The words under each key of the visitor, ``said_lately`` included; empty: none.
        named
            The purposes that the catalog names: nobody asks for a grant of another.
        """
        found = {}
        for purpose, granted in self._said.items():
            words = [recorded(each, purpose) for each in held] or [None]
            if granted:
                if states is not None and purpose in named and self._is_news(words):
                    found[purpose] = True
            elif (states or purpose not in self._by_browser) and any(
                self._default if word is None else word.granted for word in words
            ):
                found[purpose] = False
        return found

    def _is_news(self, words: Sequence[Word | None]) -> bool:
        """Whether a grant changes what holds by these words."""
        refused_ms = max((word.at_ms for word in words if word is not None and not word.granted), default=None)
        if refused_ms is not None:
            return self._signed_ms is not None and self._signed_ms > refused_ms
        return not self._default and not all(words)

    def refused(self, purpose: str) -> bool:
        """Whether the request itself refuses ``purpose``."""
        return spoken(self._said, purpose) is False

    def missing(self, purposes: tuple[str, ...]) -> str | None:
        """The first of ``purposes`` not agreed to, None where all are."""
        for purpose in purposes:
            if not self.granted(purpose):
                return purpose
        return None

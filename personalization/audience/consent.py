"""Consent: what an event says of it, what may then be logged of the event, and what a signature proves."""

from __future__ import annotations

import base64
import hashlib
import hmac
from collections.abc import Callable, Iterable, Mapping
from typing import Any

from msgspec import structs

from personalization.catalog.compiled_catalog import CompiledCatalog
from personalization.events.event import ClientEvent, Track
from personalization.key_derivation import signing_keys
from personalization.visitor.purposes import PERSONALISING, Word, Words, add, said, spoken

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
        hmac.compare_digest(given, _signature(by, key, purposes, until_ms, at_ms).encode())
        for key in keys
        for by in signing_keys(secret)
    )


def _signature(secret: bytes, key: str, purposes: Mapping[str, bool], until_ms: int, at_ms: int) -> str:
    words = [key, str(until_ms), str(at_ms), *(f"{name}={int(value)}" for name, value in sorted(purposes.items()))]
    mac = hmac.digest(secret, "\x1f".join(("consent", *words)).encode("utf-8", "replace"), hashlib.sha256)
    return base64.urlsafe_b64encode(mac[:_SIGNATURE_BYTES]).decode()

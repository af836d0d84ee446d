"""Consent: what an event says of it, and what may then be logged of the event."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping

from msgspec import structs

from personalization.catalog.compiled_catalog import CompiledCatalog
from personalization.events.event import ClientEvent, Track
from personalization.visitor.purposes import PERSONALISING, Word, Words, add, said, spoken

CONSENT_EVENT = "Consent Updated"
"""A track event whose boolean properties are words on purposes."""


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

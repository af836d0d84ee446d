"""What each kind of event does to its visitor; the fold asks the table at the end."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import Any, TypeAlias

from msgspec import structs

from personalization.audience import windows
from personalization.audience.commerce import order_of
from personalization.audience.consent import answerable, record, words_of
from personalization.audience.merge import merge_states
from personalization.audience.profile import apply_event
from personalization.bounded import contains, push, short_hash
from personalization.events.event import (
    CLIENT_EVENTS,
    TOLD,
    Activated,
    Backfilled,
    ClientEvent,
    DecisionMade,
    Merged,
    Offered,
    Rewarded,
    TimedOut,
    Told,
)
from personalization.folding import decisions
from personalization.folding.context import FoldContext
from personalization.folding.ledger import Ledger
from personalization.folding.parts import PARTS
from personalization.visitor.folder_state import MAX_MESSAGE_IDS, MESSAGE_ID_BYTES, decode_folder, encode_folder
from personalization.visitor.purposes import PERSONALISING, may, recorded
from personalization.visitor.visitor_key import is_registered
from personalization.visitor.visitor_state import VisitorState, decode_visitor, encode_visitor, record_of

Handler: TypeAlias = Callable[[FoldContext, Any], str | None]
"""Applies an event; gives the reason if it is dropped, None if it counts."""

NO_CONSENT = "consent"
ANOTHER_PROFILE = "another_profile"


def client_event(fold: FoldContext, event: ClientEvent) -> str | None:
    """The visitor did something: their profile first, then every part."""
    state, entry = fold.state, fold.entry
    said_something = _take_words(fold, event)
    if said_something or state.consents or entry.sender is not None:
        if not _allowed(fold)(PERSONALISING):
            honour_refusal(fold)
            return None if said_something else NO_CONSENT
        if said_something:
            _withdraw(fold)
    is_known_order = _is_known_order(fold, event)
    first = apply_event(
        state, event, entry.occurred_at_ms, state.now_ms, fold.catalog, is_known_order=is_known_order
    )
    for part in PARTS:
        part.observe(fold, event, first=first)
    return None


def _is_known_order(fold: FoldContext, event: ClientEvent) -> bool:
    """Whether the order was told of before, by whatever event; remembers it beside the ids of messages."""
    order = order_of(event, fold.catalog)
    if order is None:
        return False
    digest = short_hash(f"order\x1f{order}", MESSAGE_ID_BYTES)
    ids = fold.folder.message_ids
    if contains(ids, digest):
        return True
    fold.folder.message_ids = push(ids, digest, MAX_MESSAGE_IDS, MESSAGE_ID_BYTES)
    return False


def decision_made(fold: FoldContext, event: DecisionMade) -> str | None:
    """One of our own decisions."""
    if fold.state.consents:
        placement = fold.catalog.placements.get(event.choice.placement)
        needed = placement.consent if placement is not None else (PERSONALISING,)
        if not all(map(_not_refused(fold.state), needed)):
            return NO_CONSENT
    decisions.decide(fold, event)
    return None


def rewarded(fold: FoldContext, event: Rewarded) -> str | None:
    """A reward by decision id."""
    if not _is_answerable(fold, event.decision_id):
        return NO_CONSENT
    decisions.reward(fold, event)
    return None


def activated(fold: FoldContext, event: Activated) -> str | None:
    """A deferred decision was shown."""
    if not _is_answerable(fold, event.decision_id):
        return NO_CONSENT
    decisions.show(fold, event)
    return None


def offered(fold: FoldContext, event: Offered) -> str | None:
    """Credits from the device that this visitor logged in on."""
    if not _not_refused(fold.state)(PERSONALISING):
        return NO_CONSENT
    decisions.offer(fold, event)
    return None


def timed_out(fold: FoldContext, event: TimedOut) -> str | None:
    """Nothing else happened until some part was due."""
    for part in PARTS:
        part.time_out(fold)
    return None


def told(fold: FoldContext, event: Told) -> str | None:
    """What the fold itself told of: it stands in the log for whoever follows it."""
    return None


def backfilled(fold: FoldContext, event: Backfilled) -> str | None:
    """The log held times that windows had not seen."""
    if not _not_refused(fold.state)(PERSONALISING):
        return NO_CONSENT
    if not windows.belongs(event, fold.state):
        return ANOTHER_PROFILE
    windows.backfill(fold.state, event, fold.catalog)
    return None


def merged(fold: FoldContext, event: Merged) -> str | None:
    """Another key turned out to be this visitor."""
    state = fold.state
    event = _own_copy(event)  # what moves over is changed from now on, and the entry may be folded again
    ours = structs.replace(state.session)
    merge_states(state, event.state, fold.catalog)
    state.revision += 1
    for part in PARTS:
        part.take_over(fold, event, ours)
    if state.consents and not _not_refused(state)(PERSONALISING):
        honour_refusal(fold)
    elif state.consents:
        _withdraw(fold)
    return None


HANDLERS: Mapping[type, Handler] = MappingProxyType(
    {
        **dict.fromkeys(CLIENT_EVENTS, client_event),
        DecisionMade: decision_made,
        Rewarded: rewarded,
        Activated: activated,
        Offered: offered,
        Backfilled: backfilled,
        **dict.fromkeys(TOLD, told),
        TimedOut: timed_out,
        Merged: merged,
    }
)
"""Links, and redirects at a key that is none, are not here: they change where a visitor is, and nothing of them."""


def honour_refusal(fold: FoldContext) -> None:
    """The visitor refused, or never agreed: nothing is profiled, and what is under way ends without being learned.

    If they refused, the profile goes, and what is left is the record that honours the refusal: consents, redirect,
    sides, fence. A registered person's stays if a public key alone said so: it is not processed any more, and they
    can undo that. If they said nothing, what they agreed to elsewhere, by another source's default, stays.
    """
    state, folder = fold.state, fold.folder
    _withdraw(fold)
    word = recorded(state.consents, PERSONALISING)
    if word is not None and (word.verified or not is_registered(fold.key)):
        fold.visitor.state = record_of(state)
        folder.held, folder.recent = [], []


def _withdraw(fold: FoldContext) -> None:
    allowed = _not_refused(fold.state)
    for part in PARTS:
        part.withdraw(fold, allowed)


def _take_words(fold: FoldContext, event: ClientEvent) -> bool:
    """Take over what the event says about purposes; whether it said anything."""
    words = words_of(event)
    if not words:
        return False
    sender = fold.entry.sender
    verified = sender is not None and sender.is_trusted
    record(fold.state.consents, words, fold.state.now_ms, verified, fold.catalog.named.purposes)
    fold.state.revision += 1
    return True


def _allowed(fold: FoldContext) -> Callable[[str], bool]:
    """Whether something may be done for a purpose: by what the visitor said, else by the source's default."""
    entry = fold.entry
    source = None if entry.sender is None else fold.catalog.catalog.sources.get(entry.sender.source)
    default = entry.agreed or source is None or source.consent_default == "granted"
    return lambda purpose: may(fold.state.consents, purpose, default=default)


def _not_refused(state: VisitorState) -> Callable[[str], bool]:
    """Whether a purpose was not refused; what is decided without consent is nobody's, and not here."""
    return lambda purpose: may(state.consents, purpose, default=True)


def _is_answerable(fold: FoldContext, decision_id: str) -> bool:
    """Whether a reward or an activation may concern a decision that was made with consent."""
    if not fold.state.consents or Ledger(fold).find(decision_id) is not None:
        return True
    return answerable(fold.catalog, _not_refused(fold.state))


def _own_copy(event: Merged) -> Merged:
    state, folder = decode_visitor(encode_visitor(event.state)), decode_folder(encode_folder(event.folder))
    return structs.replace(event, state=state, folder=folder)

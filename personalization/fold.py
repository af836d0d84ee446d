"""The fold: one visitor's log into one visitor's state. Pure; everything else in the house stands on it.

``fold(visitor, key, position, entry, catalog)`` changes the visitor it is given (the caller owns it) and
returns what happened: how the entry counts, and what must reach the log *before* the state is written.

It is a function of the log alone (catalog version included), so folding the same entry again, by another
worker or after a crash, emits the same things under the same ids.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import StrEnum
from typing import TypeAlias

from msgspec import structs

from personalization import identity
from personalization.attribution import activate, attribute, offer_recent, take_recent
from personalization.bounded import contains, push, short_hash
from personalization.closed_memory import LateReward
from personalization.compiled import CompiledCatalog
from personalization.conversions import Examples
from personalization.entry import Entry, Position, Provenance
from personalization.event import (
    CLIENT_EVENTS,
    Activated,
    DecisionMade,
    Event,
    Link,
    Merged,
    Redirected,
    Rewarded,
    TimedOut,
)
from personalization.example import Example
from personalization.folder_state import (
    MAX_MESSAGE_IDS,
    MAX_SOURCES,
    MESSAGE_ID_BYTES,
    MESSAGE_MEMORY_MS,
    SOURCE_MEMORY_MS,
    FolderState,
    decode_folder,
    encode_folder,
    next_due_ms,
)
from personalization.ledger import Ledger, Note
from personalization.merge import merge_states
from personalization.outcome import Outcome
from personalization.profile import apply_event
from personalization.visitor_state import VisitorState, decode_visitor, encode_visitor


class Status(StrEnum):
    """How an entry counts: received = applied + duplicate + forwarded + dead-lettered + dropped(reason)."""

    APPLIED = "applied"
    DUPLICATE = "duplicate"
    """A message id or a derived event seen before."""
    FORWARDED = "forwarded"
    """Reached a redirect and was sent on; counted again where it is applied."""
    DROPPED = "dropped"
    """Means nothing here; ``Folded.reason`` says why."""
    REDELIVERED = "redelivered"
    """At or below the fence: applied before, touched nothing."""
    STALE_EPOCH = "stale_epoch"
    """Of an older epoch than the state: touched nothing."""


UNTOUCHED = frozenset({Status.REDELIVERED, Status.STALE_EPOCH})
"""Statuses that leave the visitor exactly as it was: nothing to write."""


@dataclass(slots=True)
class Visitor:
    """All that is kept of one visitor: what the decider reads, and what only the folder needs."""

    state: VisitorState
    folder: FolderState

    @classmethod
    def new(cls) -> Visitor:
        """A visitor never seen."""
        return cls(VisitorState(), FolderState())


@dataclass(frozen=True, slots=True)
class DerivedEntry:
    """An entry to append to the visitor log under ``key``."""

    key: str
    entry: Entry


Emission: TypeAlias = DerivedEntry | Outcome | Example


@dataclass(slots=True)
class Folded:
    """What folding one entry did.

    Attributes
    ----------
    emissions
        To be acknowledged by the log before the state is written; in order.
    due_ms
        A time-out to have ready before the state is written; None: nothing new.
    notes
        (kind, placement, arm) of what is counted: ``exposed``, ``rewarded``, ``late``, ``orphan``,
        ``closed_evicted``, …; placement and arm are empty where they are not known.
    reason
        Why the entry was dropped.
    late
        Rewards that came after their decision was closed, each in ``notes`` too.
    """

    status: Status
    emissions: list[Emission] = field(default_factory=list)
    due_ms: int | None = None
    notes: list[Note] = field(default_factory=list)
    reason: str = ""
    late: list[LateReward] = field(default_factory=list)


def fold(visitor: Visitor, key: str, position: Position, entry: Entry, catalog: CompiledCatalog) -> Folded:
    """Fold one entry into its visitor.

    Parameters
    ----------
    visitor
        Changed in place; the caller owns it.
    key
        The visitor's key, under which the entry stands in the log.
    position
        The entry's own place in the log; at or below the visitor's fence nothing happens.
    catalog
        The version stamped on the entry.
    """
    state, folder = visitor.state, visitor.folder
    if position.epoch < state.epoch:
        return Folded(Status.STALE_EPOCH)
    if position.epoch == state.epoch and position.offset <= state.offset:
        return Folded(Status.REDELIVERED)
    state.epoch, state.offset = position.epoch, position.offset
    if entry.received_at_ms - state.now_ms > MESSAGE_MEMORY_MS:
        folder.message_ids = b""
    state.now_ms = max(state.now_ms, entry.received_at_ms)
    if entry.provenance is not None and not _is_news(folder, entry.provenance, state.now_ms):
        return Folded(Status.DUPLICATE)
    message_id = getattr(entry.event, "message_id", None)
    if message_id is not None:
        digest = short_hash(message_id, MESSAGE_ID_BYTES)
        if contains(folder.message_ids, digest):
            return Folded(Status.DUPLICATE)
        folder.message_ids = push(folder.message_ids, digest, MAX_MESSAGE_IDS, MESSAGE_ID_BYTES)
    if state.redirect is not None:
        return _fold_at_redirect(state, key, position, entry, state.redirect)
    return _fold_event(visitor, key, position, entry, catalog)


def _fold_event(visitor: Visitor, key: str, position: Position, entry: Entry, catalog: CompiledCatalog) -> Folded:
    state, folder, event = visitor.state, visitor.folder, entry.event
    due_before = next_due_ms(folder)
    ledger = Ledger(state, folder, state.now_ms, catalog, entry.received_at_ms, key, position, entry.sender)
    examples = Examples(state, folder, catalog)
    if isinstance(event, CLIENT_EVENTS):
        first = apply_event(state, event, entry.occurred_at_ms, state.now_ms, catalog)
        attribute(ledger, event)
        if catalog.conversions or folder.conversions is not None:
            examples.observe(event, key, position, first=first)
    elif isinstance(event, DecisionMade):
        opened = ledger.open(event)
        if opened is not None and folder.recent:
            offer_recent(ledger, [opened])
    elif isinstance(event, TimedOut):
        ledger.time_out()
        examples.time_out()
        due_before = None  # its timer goes away now: whatever is due next needs one of its own
    elif isinstance(event, Rewarded):
        ledger.reward(event.decision_id, event.value, final=event.final, name=event.name)
    elif isinstance(event, Activated):
        activate(ledger, event.decision_id)
    elif isinstance(event, Merged):
        event = _own_copy(event)  # what moves over is changed from now on, and the entry may be folded again
        sessions = structs.replace(state.session), event.state.session
        merge_states(state, event.state, catalog)
        state.revision += 1
        examples.take_over(event.folder.conversions, *sessions)
        arrivals = ledger.take_over(event.folder)
        offer_recent(ledger, arrivals)
        take_recent(ledger, event.folder.recent)
        ledger.evict()
    elif isinstance(event, Link):
        return _fold_link(visitor, key, position, entry, event)
    else:
        return Folded(Status.DROPPED, reason="not_a_redirect")
    due_ms = next_due_ms(folder)
    return Folded(
        Status.APPLIED,
        emissions=[*ledger.outcomes, *examples.told],
        due_ms=due_ms if due_ms != due_before else None,
        notes=ledger.notes + examples.notes if examples.notes else ledger.notes,
        late=ledger.late,
    )


def _own_copy(merged: Merged) -> Merged:
    state, folder = decode_visitor(encode_visitor(merged.state)), decode_folder(encode_folder(merged.folder))
    return Merged(source=merged.source, state=state, folder=folder)


def _fold_link(visitor: Visitor, key: str, position: Position, entry: Entry, link: Link) -> Folded:
    """This key turns out to be ``canonical``: leave a redirect, send all that is known there."""
    winner = identity.canonical_of(key, link.canonical)
    if winner is None:
        return Folded(Status.DROPPED, reason="two_registered_ids")
    if winner == key:
        return Folded(Status.DROPPED, reason="link_to_itself")
    state, folder = visitor.state, visitor.folder
    # All but the memory of what was applied here moves: that, like the fence, belongs to the key.
    merged = Merged(source=key, state=state, folder=structs.replace(folder, sources={}, message_ids=b""))
    known = bool(state.event_count or folder.open or folder.held or state.exposures)
    visitor.state = VisitorState(state.epoch, state.offset, state.now_ms, redirect=winner)
    visitor.folder = FolderState(sources=folder.sources, message_ids=folder.message_ids)
    emissions: list[Emission] = [_derived(winner, key, position, 0, entry, merged)] if known else []
    return Folded(Status.APPLIED, emissions=emissions)


def _fold_at_redirect(state: VisitorState, key: str, position: Position, entry: Entry, target: str) -> Folded:
    """Send what reaches a redirect on to where the visitor now is."""
    event = entry.event
    if isinstance(event, Redirected):
        if event.to != key and identity.canonical_of(target, event.to) == event.to:
            state.redirect = event.to
        return Folded(Status.APPLIED)
    if isinstance(event, Link):
        if event.canonical == target:
            return Folded(Status.APPLIED)
        winner = identity.canonical_of(target, event.canonical)
        if winner is None:
            return Folded(Status.DROPPED, reason="two_registered_ids")
        loser = event.canonical if winner == target else target
        emissions: list[Emission] = [_derived(loser, key, position, 0, entry, Link(canonical=winner))]
        state.redirect = winner
        return Folded(Status.FORWARDED, emissions=emissions)
    emissions = [_derived(target, key, position, 0, entry, event)]
    if isinstance(event, Merged):
        # Later events of the source need not come by here any more.
        emissions.append(_derived(event.source, key, position, 1, entry, Redirected(to=target)))
    return Folded(Status.FORWARDED, emissions=emissions)


def _derived(to: str, key: str, position: Position, n: int, cause: Entry, event: Event) -> DerivedEntry:
    return DerivedEntry(
        to,
        Entry(
            received_at_ms=cause.received_at_ms,
            occurred_at_ms=cause.occurred_at_ms,
            catalog_version=cause.catalog_version,
            event=event,
            provenance=Provenance(key, position.epoch, position.offset, n),
            sender=cause.sender,
        ),
    )


def _is_news(folder: FolderState, provenance: Provenance, now_ms: int) -> bool:
    """Whether a derived event is above the highest applied from its source; remembers it.

    However many other sources spoke in between: what is forgotten is what lies an hour back.
    """
    sources, order = folder.sources, provenance.order()
    source = short_hash(provenance.source)
    seen = sources.pop(source, None)
    news = seen is None or order > seen[:3]
    # Most recently heard last: the first is the one silent longest.
    sources[source] = (*order, now_ms) if news or seen is None else (*seen[:3], now_ms)
    while sources:
        first = next(iter(sources))
        if now_ms - sources[first][3] <= SOURCE_MEMORY_MS and len(sources) <= MAX_SOURCES:
            break
        del sources[first]
    return news

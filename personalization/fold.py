"""The fold: one visitor's log into one visitor's state. Pure; everything else in the house stands on it.

``fold(visitor, key, position, entry, catalog)`` changes the visitor it is given (the caller owns it) and
returns what happened: how the entry counts, and what must reach the log *before* the state is written.

It is a function of the log alone (catalog version included), so folding the same entry again, by another
worker or after a crash, emits the same things under the same ids.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from types import MappingProxyType
from typing import TypeAlias

from msgspec import structs

from personalization import identity
from personalization.attribution import activate, attribute, offer_recent, take_recent
from personalization.bounded import contains, push, short_hash
from personalization.closed_memory import LateReward, is_closed
from personalization.compiled import CompiledCatalog
from personalization.consent import record, words_of
from personalization.conversions import Examples
from personalization.decision_id import trial_of
from personalization.entry import LOGGED_OUT, Entry, Position, Provenance
from personalization.errors import MissingCatalog
from personalization.event import (
    CLIENT_EVENTS,
    Activated,
    ClientEvent,
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
from personalization.purposes import PERSONALISING, may, recorded
from personalization.visitor_key import is_registered
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


NO_EARLIER: Mapping[int, CompiledCatalog] = MappingProxyType({})


def _lookup(earlier: Mapping[int, CompiledCatalog]) -> Callable[[int], CompiledCatalog]:
    def get(version: int) -> CompiledCatalog:
        found = earlier.get(version)
        if found is None:
            raise MissingCatalog(version)
        return found

    return get


def fold(
    visitor: Visitor,
    key: str,
    position: Position,
    entry: Entry,
    catalog: CompiledCatalog,
    earlier: Mapping[int, CompiledCatalog] = NO_EARLIER,
) -> Folded:
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
    earlier
        Other versions by number: a decision is judged by the reward rules it was made under.

    Raises
    ------
    MissingCatalog
        If one of them is needed and not there. The visitor is then half changed, and to be read anew.
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
        if not _is_of_the_next(folder, entry, state.redirect):
            return _fold_at_redirect(visitor, key, position, entry, state.redirect)
        if isinstance(entry.event, TimedOut):  # of those who were here before, or of whoever is here now: of both
            forwarded = _derived(state.redirect, key, position, 0, entry, entry.event)
            done = _fold_event(visitor, key, position, entry, catalog, earlier)
            done.emissions.append(forwarded)
            return done
    return _fold_event(visitor, key, position, entry, catalog, earlier)


def _fold_event(
    visitor: Visitor,
    key: str,
    position: Position,
    entry: Entry,
    catalog: CompiledCatalog,
    earlier: Mapping[int, CompiledCatalog],
) -> Folded:
    state, folder, event = visitor.state, visitor.folder, entry.event
    due_before = next_due_ms(folder)
    ledger = Ledger(
        state, folder, state.now_ms, catalog, entry.received_at_ms, key, position, entry.sender, _lookup(earlier)
    )
    examples = Examples(state, folder, catalog, key)
    if isinstance(event, CLIENT_EVENTS):
        said_something = _take_words(state, event, entry, catalog)
        if said_something or state.consents or entry.sender is not None:
            allowed = _allowed(state, entry, catalog)
            if not allowed(PERSONALISING):
                return _honour_refusal(visitor, key, ledger, examples, said_something)
            if said_something:
                ledger.withdraw(allowed)
    elif isinstance(event, DecisionMade) and (state.consents or entry.sender is not None):
        placement = catalog.placements.get(event.placement)
        needed = placement.consent if placement is not None else (PERSONALISING,)
        if not all(map(_allowed(state, entry, catalog), needed)):
            return Folded(Status.DROPPED, reason="consent")
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
        allowed = _allowed(state, entry, catalog)
        if state.consents and not allowed(PERSONALISING):
            return _honour_refusal(visitor, key, ledger, examples, said_something=True)
        if state.consents:
            ledger.withdraw(allowed)
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


def _take_words(state: VisitorState, event: ClientEvent, entry: Entry, catalog: CompiledCatalog) -> bool:
    """Take over what the event says about purposes; whether it said anything."""
    words = words_of(event)
    if not words:
        return False
    verified = entry.sender is not None and (entry.sender.verified or entry.sender.by == "server")
    record(state.consents, words, state.now_ms, verified, catalog.named.purposes)
    state.revision += 1
    return True


def _allowed(state: VisitorState, entry: Entry, catalog: CompiledCatalog) -> Callable[[str], bool]:
    """Whether something may be done for a purpose: by what the visitor said, else by the source's default."""
    source = None if entry.sender is None else catalog.catalog.sources.get(entry.sender.source)
    default = source is None or source.consent_default == "granted"
    return lambda purpose: may(state.consents, purpose, default=default)


def _honour_refusal(visitor: Visitor, key: str, ledger: Ledger, examples: Examples, said_something: bool) -> Folded:
    """The visitor refused, or never agreed: nothing is profiled, and what is under way ends without being learned.

    The profile goes, and what is left is the record that honours the refusal: consents, sides, fence. A registered
    person's stays where a public key alone said so: it is not processed any more, and they can undo that.
    """
    state, folder = visitor.state, visitor.folder
    due_before = next_due_ms(folder)
    ledger.withdraw(lambda purpose: may(state.consents, purpose, default=purpose != PERSONALISING))
    examples.forget()
    word = recorded(state.consents, PERSONALISING)
    if not is_registered(key) or (word is not None and word.verified):
        visitor.state = VisitorState(
            state.epoch,
            state.offset,
            state.now_ms,
            state.revision,
            consents=state.consents,
            holdouts=state.holdouts,
            unit=state.unit,
        )
        folder.held, folder.recent = [], []
    due_ms = next_due_ms(folder)
    return Folded(
        Status.APPLIED if said_something else Status.DROPPED,
        emissions=[*ledger.outcomes, *examples.told],
        due_ms=due_ms if due_ms != due_before else None,
        notes=ledger.notes + examples.notes,
        reason="" if said_something else "consent",
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
    known = bool(state.event_count or folder.open or folder.held or state.exposures or state.consents)
    _leave_redirect(visitor, key, winner)
    emissions: list[Emission] = [_derived(winner, key, position, 0, entry, merged)] if known else []
    return Folded(Status.APPLIED, emissions=emissions)


def _leave_redirect(visitor: Visitor, key: str, to: str) -> None:
    """Leave nothing at the key but where its visitor is now; whoever comes next is another person, another unit."""
    state, folder = visitor.state, visitor.folder
    unit = short_hash(f"{key}\x1f{state.unit.hex()}") if is_registered(to) else b""
    visitor.state = VisitorState(state.epoch, state.offset, state.now_ms, redirect=to, unit=unit)
    visitor.folder = FolderState(sources=folder.sources, message_ids=folder.message_ids)


def _is_of_the_next(folder: FolderState, entry: Entry, target: str) -> bool:
    """Whether what reaches a redirect belongs to whoever uses the device after a log-out, not to ``target``.

    That is what the source says of events that follow a log-in without naming the user; nothing is inferred from
    what others sent.
    """
    event, sender = entry.event, entry.sender
    if not is_registered(target):
        return False
    if isinstance(event, Rewarded | Activated):
        trial = trial_of(event.decision_id)
        return any(trial_of(each.decision_id) == trial for each in folder.open) or is_closed(folder, trial)
    if isinstance(event, TimedOut):
        return bool(folder.open or folder.held or folder.conversions)
    if sender is None or sender.after_login != LOGGED_OUT:
        return False
    return isinstance(event, DecisionMade) or (isinstance(event, CLIENT_EVENTS) and event.user_id is None)


def _fold_at_redirect(visitor: Visitor, key: str, position: Position, entry: Entry, target: str) -> Folded:
    """Send what reaches a redirect on to where the visitor now is."""
    event = entry.event
    if isinstance(event, Redirected):
        if event.to != key and identity.canonical_of(target, event.to) == event.to:
            visitor.state.redirect = event.to
        return Folded(Status.APPLIED)
    if isinstance(event, Link):
        return _fold_link_at_redirect(visitor, key, position, entry, event, target)
    emissions: list[Emission] = [_derived(target, key, position, 0, entry, event)]
    if isinstance(event, Merged):
        # Later events of the source need not come by here any more.
        emissions.append(_derived(event.source, key, position, 1, entry, Redirected(to=target)))
    return Folded(Status.FORWARDED, emissions=emissions)


def _fold_link_at_redirect(
    visitor: Visitor, key: str, position: Position, entry: Entry, link: Link, target: str
) -> Folded:
    """Somebody logs in on a key that is a redirect already: again the same person, another, or a chain grows."""
    state, folder = visitor.state, visitor.folder
    winner = identity.canonical_of(target, link.canonical)
    if link.canonical == target or winner is None:
        # Who used the device since the last log-in was whoever logs in now; a second person ends the forwarding
        # to the first at once.
        known = bool(state.event_count or folder.open or folder.held or state.exposures or state.consents)
        merged = Merged(
            source=key,
            state=structs.replace(state, redirect=None),
            folder=structs.replace(folder, sources={}, message_ids=b""),
        )
        if known or winner is None:
            _leave_redirect(visitor, key, link.canonical)
        emissions: list[Emission] = [_derived(link.canonical, key, position, 0, entry, merged)] if known else []
        return Folded(Status.APPLIED, emissions=emissions)
    loser = link.canonical if winner == target else target
    state.redirect = winner
    return Folded(Status.FORWARDED, emissions=[_derived(loser, key, position, 0, entry, Link(canonical=winner))])


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

"""The fold: one visitor's log into one visitor's state. Pure; everything else in the house stands on it.

``fold(visitor, key, position, entry, catalog)`` changes the visitor it is given (the caller owns it) and
returns what happened: how the entry counts, and what must reach the log *before* the state is written.

It is a function of the log alone (catalog version included), so folding the same entry again, by another
worker or after a crash, emits the same things under the same ids.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from types import MappingProxyType

from msgspec import structs

from personalization.audience.consent import answerable, record, words_of
from personalization.audience.merge import merge_states
from personalization.audience.profile import apply_event
from personalization.bounded import contains, push, short_hash
from personalization.catalog.compiled_catalog import CompiledCatalog
from personalization.errors import MissingCatalog
from personalization.events.entry import Entry, Position, Provenance
from personalization.events.event import (
    CLIENT_EVENTS,
    Activated,
    ClientEvent,
    DecisionMade,
    Event,
    Link,
    Merged,
    Offered,
    Rewarded,
    TimedOut,
)
from personalization.folding.attribution import (
    activate,
    attribute,
    impression_of,
    names_what,
    offer_recent,
    take_offered,
    take_recent,
)
from personalization.folding.examples import Examples
from personalization.folding.folded import UNTOUCHED, DerivedEntry, Emission, Folded, Status, Visitor
from personalization.folding.ledger import Ledger
from personalization.folding.redirects import derived, fold_at_redirect, fold_link, is_known, is_of_the_next
from personalization.visitor.folder_state import (
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
from personalization.visitor.purposes import PERSONALISING, may, recorded
from personalization.visitor.visitor_key import is_registered
from personalization.visitor.visitor_state import VisitorState, decode_visitor, encode_visitor

__all__ = ["NO_EARLIER", "UNTOUCHED", "DerivedEntry", "Emission", "Folded", "Status", "Visitor", "fold"]

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
        if not is_of_the_next(folder, entry, state.redirect):
            return fold_at_redirect(visitor, key, position, entry, state.redirect)
        if isinstance(entry.event, TimedOut):  # of those who were here before, or of whoever is here now: of both
            forwarded = derived(state.redirect, key, position, 0, entry, entry.event)
            done = _fold_event(visitor, key, position, entry, catalog, earlier)
            done.emissions.append(forwarded)
            return done
        if isinstance(entry.event, CLIENT_EVENTS):
            return _fold_of_the_next(visitor, key, position, entry, catalog, earlier)
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
            if not _allowed(state, entry, catalog)(PERSONALISING):
                return _honour_refusal(visitor, key, ledger, examples, said_something)
            if said_something:
                ledger.withdraw(_not_refused(state))
    elif isinstance(event, Rewarded | Activated) and state.consents:
        if ledger.find(event.decision_id) is None and not answerable(catalog, _not_refused(state)):
            return Folded(Status.DROPPED, reason="consent")
    elif isinstance(event, DecisionMade) and state.consents:
        placement = catalog.placements.get(event.placement)
        needed = placement.consent if placement is not None else (PERSONALISING,)
        if not all(map(_not_refused(state), needed)):
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
    elif isinstance(event, Offered):
        if not _not_refused(state)(PERSONALISING):
            return Folded(Status.DROPPED, reason="consent")
        take_offered(ledger, event.credits)
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
        if state.consents and not _not_refused(state)(PERSONALISING):
            return _honour_refusal(visitor, key, ledger, examples, said_something=True)
        if state.consents:
            ledger.withdraw(_not_refused(state))
    elif isinstance(event, Link):
        return fold_link(visitor, key, position, entry, event)
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
    default = entry.agreed or source is None or source.consent_default == "granted"
    return lambda purpose: may(state.consents, purpose, default=default)


def _not_refused(state: VisitorState) -> Callable[[str], bool]:
    """Whether a purpose was not refused; what is decided without consent is nobody's, and not here."""
    return lambda purpose: may(state.consents, purpose, default=True)


def _honour_refusal(visitor: Visitor, key: str, ledger: Ledger, examples: Examples, said_something: bool) -> Folded:
    """The visitor refused, or never agreed: nothing is profiled, and what is under way ends without being learned.

    Of who refused the profile goes, and what is left is the record that honours the refusal: consents, redirect,
    sides, fence. A registered person's stays where a public key alone said so: it is not processed any more, and
    they can undo that. Of who said nothing what they agreed to elsewhere, by another source's default, stays.
    """
    state, folder = visitor.state, visitor.folder
    due_before = next_due_ms(folder)
    ledger.withdraw(_not_refused(state))
    word = recorded(state.consents, PERSONALISING)
    if word is not None:
        examples.forget()
    if word is not None and (word.verified or not is_registered(key)):
        visitor.state = VisitorState(
            state.epoch,
            state.offset,
            state.now_ms,
            state.revision,
            redirect=state.redirect,
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


def _fold_of_the_next(
    visitor: Visitor,
    key: str,
    position: Position,
    entry: Entry,
    catalog: CompiledCatalog,
    earlier: Mapping[int, CompiledCatalog],
) -> Folded:
    """An event of whoever uses the device after a log-in, as far as it says: its profile is theirs alone.

    What it acted on may still be what was shown to who logged in: a page decides for both ids while its events name
    the browser alone. So a credit that names its content or decision, and finds none of it here, is offered there.
    """
    target, before = visitor.state.redirect, visitor.folder.recent
    done = _fold_event(visitor, key, position, entry, catalog, earlier)
    new = [credit for credit in visitor.folder.recent if not any(credit is each for each in before)]
    left = list(filter(names_what, new))
    shown = impression_of(entry.event)
    theirs: list[Event] = []
    if shown and not is_known(visitor.folder, shown):
        theirs.append(Activated(decision_id=shown))
    if left:
        theirs.append(Offered(credits=left))
    if target is not None:
        done.emissions += [derived(target, key, position, n, entry, event) for n, event in enumerate(theirs)]
    return done


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

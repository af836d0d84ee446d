"""The fold: one visitor's log into one visitor's state. Pure; everything else in the house stands on it.

``fold(visitor, key, position, entry, catalog)`` changes the visitor it is given (the caller owns it) and
returns what happened: how the entry counts, and what must reach the log *before* the state is written.

It is a function of the log alone (catalog version included), so folding the same entry again, by another
worker or after a crash, emits the same things under the same ids.
"""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType

from personalization.bounded import contains, push, short_hash
from personalization.catalog.compiled_catalog import CompiledCatalog
from personalization.events.entry import Entry, Position, Provenance
from personalization.events.event import (
    CLIENT_EVENTS,
    TOLD,
    Activated,
    Backfilled,
    Erased,
    Event,
    Link,
    Offered,
    Redirected,
    Rewarded,
    TimedOut,
    Unlinked,
)
from personalization.folding import decisions, retention
from personalization.folding.attribution import (
    impression_of,
    names_what,
)
from personalization.folding.context import FoldContext
from personalization.folding.folded import Folded, Status
from personalization.folding.handlers import HANDLERS
from personalization.folding.parts import next_due_ms
from personalization.folding.redirects import (
    derived,
    fold_at_redirect,
    fold_link,
    fold_unlink,
    is_known,
    is_of_the_next,
)
from personalization.visitor.folder_state import (
    MAX_MESSAGE_IDS,
    MAX_SOURCES,
    MESSAGE_ID_BYTES,
    MESSAGE_MEMORY_MS,
    SOURCE_MEMORY_MS,
    FolderState,
)
from personalization.visitor.visitor import Visitor

ERASED = "erased"
"""Why an entry is dropped whose visitor was erased after it was received."""

NO_EARLIER: Mapping[int, CompiledCatalog] = MappingProxyType({})


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
    context = FoldContext(visitor, key, position, entry, catalog, earlier)
    if isinstance(entry.event, Erased):
        return _erase(context)
    if entry.received_at_ms <= folder.erased_ms:
        return Folded(Status.DROPPED, reason=ERASED)
    if not visitor.is_known and isinstance(entry.event, _OF_THE_KNOWN):
        return Folded(Status.DROPPED, reason="nobody")
    if not visitor.is_known and folder.erased_ms and isinstance(entry.event, _OF_A_DECISION):
        return Folded(Status.DROPPED, reason=ERASED)  # of one that was erased: nobody came back
    visitor.is_known = True
    if entry.received_at_ms - state.now_ms > MESSAGE_MEMORY_MS:
        folder.message_ids = b""
    state.now_ms = max(state.now_ms, entry.received_at_ms)
    done = _fold_known(context)
    if isinstance(entry.event, TimedOut):
        done.look_ms = retention.look(visitor, key, catalog.catalog.retention, catalog.promised_ms)
    elif visitor.folder.kept is None or (done.status in _HEARD and not isinstance(entry.event, _OURS)):
        done.look_ms = retention.hear(visitor, key, catalog.catalog.retention)
        if isinstance(entry.event, Link):
            retention.note_link(visitor)
    return done


_OF_THE_KNOWN = (TimedOut, *TOLD)
"""Of somebody who was forgotten meanwhile they say nothing."""

_OF_A_DECISION = (Activated, Rewarded, Offered)

_OURS = (*TOLD, Redirected, Backfilled)
"""What nobody did: it keeps no visitor longer."""

_HEARD = frozenset({Status.APPLIED, Status.FORWARDED})


def _erase(context: FoldContext) -> Folded:
    """Forget the visitor: what is open closes untrained, without features; nothing from before counts again."""
    received_ms = context.entry.received_at_ms
    context.state.now_ms = max(context.state.now_ms, received_ms)
    decisions.forget(context)
    context.visitor.forget(erased_ms=received_ms)
    return Folded(Status.APPLIED, emissions=context.emissions, notes=context.notes)


def _fold_known(context: FoldContext) -> Folded:
    visitor, key, position, entry = context.visitor, context.key, context.position, context.entry
    state, folder = context.state, context.folder
    if entry.provenance is not None and not _is_news(folder, entry.provenance, state.now_ms):
        return Folded(Status.DUPLICATE)
    message_id = getattr(entry.event, "message_id", None)
    if message_id is not None:
        digest = short_hash(message_id, MESSAGE_ID_BYTES)
        if contains(folder.message_ids, digest):
            return Folded(Status.DUPLICATE)
        folder.message_ids = push(folder.message_ids, digest, MAX_MESSAGE_IDS, MESSAGE_ID_BYTES)
    if isinstance(entry.event, Unlinked):
        return fold_unlink(visitor, entry.event)
    if state.redirect is not None:
        if isinstance(entry.event, TimedOut) and retention.is_looked_for(folder, entry.event.due_ms):
            return _fold_event(context)
        if not is_of_the_next(visitor, entry, state.redirect):
            return fold_at_redirect(visitor, key, position, entry, state.redirect)
        if isinstance(entry.event, TimedOut):  # of those who were here before, or of whoever is here now: of both
            forwarded = derived(state.redirect, key, position, 0, entry, entry.event)
            done = _fold_event(context)
            done.emissions.append(forwarded)
            return done
        if isinstance(entry.event, CLIENT_EVENTS):
            return _fold_of_the_next(context)
    return _fold_event(context)


def _fold_event(context: FoldContext) -> Folded:
    visitor, event = context.visitor, context.entry.event
    if isinstance(event, Link):
        return fold_link(visitor, context.key, context.position, context.entry, event)
    handler = HANDLERS.get(type(event))
    if handler is None:
        return Folded(Status.DROPPED, reason="not_a_redirect")
    # A time-out uses up the visitor's timer: whatever is due next needs one of its own.
    due_before = None if isinstance(event, TimedOut) else next_due_ms(visitor.folder)
    reason = handler(context, event)
    due_ms = next_due_ms(visitor.folder)
    return Folded(
        Status.APPLIED if reason is None else Status.DROPPED,
        emissions=context.emissions,
        due_ms=due_ms if due_ms != due_before else None,
        notes=context.notes,
        reason=reason or "",
        late=context.late,
    )


def _fold_of_the_next(context: FoldContext) -> Folded:
    """An event of whoever uses the device after a log-in, as far as it says: its profile is theirs alone.

    What it acted on may still be what was shown to who logged in: a page decides for both ids while its events name
    the browser alone. So a credit that names its content or decision, and finds none of it here, is offered there.
    """
    visitor, key, position, entry = context.visitor, context.key, context.position, context.entry
    target, before = visitor.state.redirect, visitor.folder.recent
    done = _fold_event(context)
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

"""Redirects in the fold: a key turns out to be another visitor's, and what reaches it from then on."""

from __future__ import annotations

from msgspec import structs

from personalization.audience import windows
from personalization.bounded import short_hash
from personalization.events.decision_id import call_of, trial_of
from personalization.events.emission import DerivedEntry, Emission
from personalization.events.entry import LOGGED_OUT, Entry, Position, Provenance
from personalization.events.event import (
    CLIENT_EVENTS,
    TOLD,
    Activated,
    Backfilled,
    DecisionMade,
    Event,
    Link,
    Merged,
    Redirected,
    Rewarded,
    TimedOut,
    Unlinked,
)
from personalization.events.merged_parts import parts_of
from personalization.folding.attribution import names_what
from personalization.folding.closed_memory import is_closed
from personalization.folding.folded import Folded, Status
from personalization.folding.parts import next_due_ms
from personalization.visitor import identity
from personalization.visitor.folder_state import FolderState
from personalization.visitor.visitor import Visitor
from personalization.visitor.visitor_key import is_registered
from personalization.visitor.visitor_state import VisitorState


def fold_link(visitor: Visitor, key: str, position: Position, entry: Entry, link: Link) -> Folded:
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
    _leave_redirect(visitor, key, winner, _proven_ms(visitor, entry))
    return Folded(Status.APPLIED, emissions=_sent(winner, key, position, entry, merged) if known else [])


def _sent(to: str, key: str, position: Position, entry: Entry, merged: Merged) -> list[Emission]:
    return [derived(to, key, position, n, entry, part) for n, part in enumerate(parts_of(merged))]


def _proven_ms(visitor: Visitor, entry: Entry) -> int:
    """When the sender of a link proved to be the visitor it leads to; 0: not now."""
    return visitor.state.now_ms if entry.sender is not None and entry.sender.is_trusted else 0


def fold_unlink(visitor: Visitor, unlinked: Unlinked) -> Folded:
    """End a redirect: from now on the key is whoever uses it, and what moved with it stays where it is."""
    state = visitor.state
    if state.redirect is None or unlinked.canonical not in ("", state.redirect):
        return Folded(Status.DROPPED, reason="not_linked")
    state.redirect, state.proven_ms = None, 0
    return Folded(Status.APPLIED)


def _leave_redirect(visitor: Visitor, key: str, to: str, proven_ms: int) -> None:
    """Leave nothing at the key but where its visitor is now; whoever comes next is another person, another unit."""
    state, folder = visitor.state, visitor.folder
    unit = short_hash(f"{key}\x1f{state.unit.hex()}") if is_registered(to) else b""
    visitor.state = VisitorState(
        state.epoch, state.offset, state.now_ms, redirect=to, unit=unit, proven_ms=proven_ms
    )
    visitor.folder = FolderState(sources=folder.sources, message_ids=folder.message_ids)


def is_of_the_next(visitor: Visitor, entry: Entry, target: str) -> bool:
    """Whether what reaches a redirect belongs to whoever uses the device after a log-out, not to ``target``.

    That is what the source says of events that follow a log-in without naming the user; nothing is inferred from
    what others sent.
    """
    event, sender, folder = entry.event, entry.sender, visitor.folder
    if not is_registered(target):
        return False
    if isinstance(event, Backfilled):
        return windows.belongs(event, visitor.state)
    if isinstance(event, Activated) and event.placement:
        call = call_of(event.decision_id)
        return any(call_of(each.choice.decision_id) == call for each in folder.open)
    if isinstance(event, Rewarded | Activated):
        return is_known(folder, event.decision_id)
    if isinstance(event, TimedOut):
        return next_due_ms(folder) is not None
    if sender is None or sender.after_login != LOGGED_OUT:
        return False
    return isinstance(event, DecisionMade) or (isinstance(event, CLIENT_EVENTS) and event.user_id is None)


def is_known(folder: FolderState, decision_id: str) -> bool:
    """Whether the decision is open, or was closed, under this very key."""
    trial = trial_of(decision_id)
    return any(trial_of(each.choice.decision_id) == trial for each in folder.open) or is_closed(folder, trial)


def fold_at_redirect(visitor: Visitor, key: str, position: Position, entry: Entry, target: str) -> Folded:
    """Send what reaches a redirect on to where the visitor now is."""
    event = entry.event
    if isinstance(event, Redirected):
        if event.to != key and identity.canonical_of(target, event.to) == event.to:
            visitor.state.redirect, visitor.state.proven_ms = event.to, 0
        return Folded(Status.APPLIED)
    if isinstance(event, TOLD):
        return Folded(Status.APPLIED)  # told of whoever was here then: it stays theirs
    if isinstance(event, Link):
        return _link_at_redirect(visitor, key, position, entry, event, target)
    emissions: list[Emission] = [derived(target, key, position, 0, entry, event)]
    if isinstance(event, Merged):
        # Later events of the source need not come by here any more.
        emissions.append(derived(event.source, key, position, 1, entry, Redirected(to=target)))
    return Folded(Status.FORWARDED, emissions=emissions)


def _link_at_redirect(
    visitor: Visitor, key: str, position: Position, entry: Entry, link: Link, target: str
) -> Folded:
    """Somebody logs in on a key that is a redirect already: again the same person, another, or a chain grows."""
    if link.if_nobodys and link.canonical != target:
        return Folded(Status.DROPPED, reason="somebody_elses")
    state, folder = visitor.state, visitor.folder
    winner = identity.canonical_of(target, link.canonical)
    if link.canonical == target or winner is None:
        # Who used the device since the last log-in was whoever logs in now; a second person ends the forwarding
        # to the first at once.
        known = bool(state.event_count or folder.open or folder.held or state.exposures or state.consents)
        same = link.canonical == target
        recent = [credit for credit in folder.recent if not (same and names_what(credit))]  # offered there already
        merged = Merged(
            source=key,
            state=structs.replace(state, redirect=None, proven_ms=0),
            folder=structs.replace(folder, sources={}, message_ids=b"", recent=recent),
        )
        if known or winner is None:
            _leave_redirect(visitor, key, link.canonical, state.proven_ms if same else 0)
        visitor.state.proven_ms = max(visitor.state.proven_ms, _proven_ms(visitor, entry))
        emissions = _sent(link.canonical, key, position, entry, merged) if known else []
        return Folded(Status.APPLIED, emissions=emissions)
    loser = link.canonical if winner == target else target
    state.redirect, state.proven_ms = winner, 0
    # Of the other key nobody has proven anything.
    forwarded = derived(loser, key, position, 0, unproven(entry), Link(canonical=winner))
    return Folded(Status.FORWARDED, emissions=[forwarded])


def unproven(entry: Entry) -> Entry:
    """The entry, as of a sender who proved nothing."""
    sender = entry.sender
    if sender is None or not sender.verified:
        return entry
    return structs.replace(entry, sender=structs.replace(sender, verified=False))


def derived(to: str, key: str, position: Position, n: int, cause: Entry, event: Event) -> DerivedEntry:
    """The ``n``-th entry that folding ``cause`` at ``key`` appends to another key's log."""
    return DerivedEntry(
        to,
        Entry(
            received_at_ms=cause.received_at_ms,
            occurred_at_ms=cause.occurred_at_ms,
            catalog_version=cause.catalog_version,
            event=event,
            provenance=Provenance(key, position.epoch, position.offset, n),
            sender=cause.sender,
            agreed=cause.agreed,
        ),
    )

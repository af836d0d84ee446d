"""Folding a batch in memory: what comes of it, before anything of it is visible.

A visitor whose state cannot be read, and an entry that cannot be folded, become dead letters; the others go on.
"""

from __future__ import annotations

import logging
from dataclasses import dataclass, field, replace
from typing import NamedTuple

from personalization.catalog.compiled_catalog import CompiledCatalog
from personalization.errors import MissingCatalog
from personalization.events.emission import Emission
from personalization.events.entry import Entry, Position
from personalization.events.event import TimedOut
from personalization.folding import retention
from personalization.folding.fold import fold
from personalization.folding.folded import UNTOUCHED, Folded
from personalization.visitor.visitor import Visitor
from state.visitor_store import Change, Stored, UnreadableState

logger = logging.getLogger(__name__)


class Message(NamedTuple):
    """One entry as it came from the log."""

    partition: int
    offset: int
    key: bytes | None
    value: bytes | None


class Pending(NamedTuple):
    """A decoded entry and where it stood."""

    message: Message
    entry: Entry


@dataclass(slots=True)
class Work:
    """What folding some visitors' entries gives, before anything of it is visible."""

    changes: list[Change] = field(default_factory=list)
    emissions: list[Emission] = field(default_factory=list)
    folded: dict[str, list[tuple[Pending, Folded]]] = field(default_factory=dict)
    dead: list[tuple[Message, str, str]] = field(default_factory=list)


class Folding:
    """Folds batches in memory.

    Parameters
    ----------
    epoch
        The log's, part of every position.
    fenced
        False folds again what was folded before, for the tests that show what the fence is for.
    """

    def __init__(self, epoch: int, fenced: bool = True) -> None:
        self._epoch = epoch
        self._fenced = fenced

    def fold(
        self, pending: dict[str, list[Pending]], stored: dict[str, Stored], catalogs: dict[int, CompiledCatalog]
    ) -> Work:
        """What folding these gives.

        Raises
        ------
        MissingCatalog
            If a version is needed that is not among ``catalogs``.
        """
        work = Work()
        for key, entries in pending.items():
            poisoned: set[int] = set()
            while True:
                try:
                    visitor, redirect_before, folded = self._fold_visitor(
                        key, entries, stored[key], catalogs, poisoned, work.dead
                    )
                except _Poisoned as error:
                    # The visitor is half changed: start it over without the entry that cannot be folded.
                    poisoned.add(error.offset)
                    continue
                break
            work.folded[key] = folded
            touched = [(each, done) for each, done in folded if done.status not in UNTOUCHED]
            for _, done in touched:
                work.emissions += done.emissions
            if touched:
                work.changes.append(_change(key, stored[key], redirect_before, visitor, touched, catalogs))
        return work

    def _fold_visitor(
        self,
        key: str,
        entries: list[Pending],
        stored: Stored,
        catalogs: dict[int, CompiledCatalog],
        poisoned: set[int],
        dead: list[tuple[Message, str, str]],
    ) -> tuple[Visitor, str | None, list[tuple[Pending, Folded]]]:
        try:
            visitor = stored.visitor()
        except UnreadableState as error:
            logger.error("state_unreadable", extra={"reason": str(error)})
            dead.extend((each.message, "state_unreadable", str(error)) for each in entries)
            return Visitor.new(), None, []
        redirect_before = visitor.state.redirect
        folded = []
        for each in entries:
            offset = each.message.offset
            if offset in poisoned:
                continue
            if not self._fenced:
                visitor.state.offset = min(visitor.state.offset, offset - 1)
                visitor.folder.message_ids = b""  # remembers a whole burst, and would stand in for the fence
            try:
                position = Position(self._epoch, offset)
                folded.append(
                    (each, fold(visitor, key, position, each.entry, catalogs[each.entry.catalog_version], catalogs))
                )
            except MissingCatalog:
                raise
            except Exception as error:
                logger.exception("entry_not_foldable", extra={"offset": offset})
                dead.append((each.message, "not_foldable", f"{type(error).__name__}: {error}"))
                raise _Poisoned(offset) from error
        return visitor, redirect_before, folded


def _change(
    key: str,
    read: Stored,
    redirect_before: str | None,
    visitor: Visitor,
    touched: list[tuple[Pending, Folded]],
    catalogs: dict[int, CompiledCatalog],
) -> Change:
    redirect = visitor.state.redirect
    catalog = catalogs[touched[-1][0].entry.catalog_version]
    net_ms = retention.net_ms(visitor, key, catalog.catalog.retention, catalog.promised_ms)
    # Later than everything folded so far: so none to add equals one to remove.
    earliest_ms = visitor.state.now_ms + 1
    due_ms = {
        max(at_ms, earliest_ms) for _, done in touched for at_ms in (done.due_ms, done.look_ms) if at_ms is not None
    }
    done_ms = {each.entry.event.due_ms for each, _ in touched if isinstance(each.entry.event, TimedOut)}
    change = Change(key, read, visitor, net_ms, due_ms=tuple(sorted(due_ms)), done_ms=tuple(sorted(done_ms)))
    if redirect == redirect_before:
        return change
    return replace(change, alias_of=redirect, no_alias_of=redirect_before)


class _Poisoned(Exception):
    def __init__(self, offset: int) -> None:
        self.offset = offset

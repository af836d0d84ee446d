"""The part of the fold that tells who enters and who leaves a segment, as soon as it is so.

It follows the segments that look at a window (``catalog.windows``): an event changes them, and so does time alone.
What fades, what a request alone knows (hour, device) and what a model says change at any moment: segments that name
such things are looked up when somebody asks, and nobody enters or leaves them.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Sequence

from personalization.audience import windows
from personalization.audience.variables import VisitorScope
from personalization.catalog.compiled_catalog import CompiledCatalog
from personalization.catalog.compiled_windows import FollowedSegment
from personalization.events.event import ClientEvent, Merged, SegmentChanged
from personalization.events.event_fields import name_in
from personalization.folding.context import FoldContext
from personalization.visitor.folder_state import ALL, FolderState, Memberships
from personalization.visitor.purposes import PERSONALISING, may
from personalization.visitor.visitor_key import is_registered
from personalization.visitor.visitor_state import Session

PUT_OFF_MS = 1_000


class Segments:
    """The part of the fold that follows who is in which segment."""

    def observe(self, fold: FoldContext, event: ClientEvent, *, first: bool) -> None:
        """The event may bring the visitor into a segment, or out of one."""
        followed, kept = fold.catalog.followed, fold.folder.memberships
        if kept is None:
            if followed.by_name:
                _look_anew(fold, Memberships())
        elif fold.catalog.version < kept.version:
            _look_soon(fold, kept)
        elif kept.rules != followed.hash:
            _look_anew(fold, kept)
        elif touched := followed.by_event.get(name_in(event, fold.catalog.events)):
            touched = [segment for segment in touched if not _is_settled(segment, kept)]
            if touched:
                _look(fold, touched, kept)

    def time_out(self, fold: FoldContext) -> None:
        """Time alone may have changed something."""
        followed, kept = fold.catalog.followed, fold.folder.memberships
        if kept is None:
            if followed.by_name and _is_profiled(fold):
                _look_anew(fold, Memberships())
            return
        now_ms = fold.state.now_ms
        if fold.catalog.version < kept.version:
            # Whoever wakes visitors has not heard of the newer version yet: it will in a moment.
            for name, due_ms in kept.due_ms.items():
                kept.due_ms[name] = max(due_ms, now_ms + PUT_OFF_MS)
            return
        due = [name for name, due_ms in kept.due_ms.items() if due_ms <= now_ms]
        if kept.rules != followed.hash or ALL in due:
            _look_anew(fold, kept)
            return
        for name in due:
            del kept.due_ms[name]
        _look(fold, [followed.by_name[name] for name in due], kept)

    def take_over(self, fold: FoldContext, merged: Merged, ours: Session) -> None:
        """Whoever was in a segment under either key was in it: nobody enters twice."""
        kept, theirs = fold.folder.memberships, merged.folder.memberships
        if kept is None and theirs is None and not fold.catalog.followed.by_name:
            return
        if not may(fold.state.consents, PERSONALISING, default=True):
            fold.folder.memberships = None
            return
        both = [each for each in (kept, theirs) if each is not None]
        inside = {name for each in both for name in each.inside}
        before = Memberships(inside=sorted(inside), version=max((each.version for each in both), default=0))
        if merged.more:
            fold.folder.memberships = before  # a part of what was known says nothing yet: the last part looks
        elif fold.catalog.version < before.version:
            fold.folder.memberships = before
            _look_soon(fold, before)
        else:
            _look_anew(fold, before)

    def withdraw(self, fold: FoldContext, allowed: Callable[[str], bool]) -> None:
        """If the visitor refused, nothing is kept of them, and nothing is told."""
        if not allowed(PERSONALISING):
            fold.folder.memberships = None

    def is_behind(self, folder: FolderState, catalog: CompiledCatalog) -> bool:
        """Whether who is in which segment was found by other rules."""
        kept = folder.memberships
        if kept is None:
            return bool(catalog.followed.by_name)
        return kept.version <= catalog.version and kept.rules != catalog.followed.hash

    def due_ms(self, folder: FolderState) -> float:
        """When time alone may change something; infinity for never."""
        kept = folder.memberships
        return min(kept.due_ms.values()) if kept is not None and kept.due_ms else math.inf


def _is_profiled(fold: FoldContext) -> bool:
    """Whether something is known of the visitor, and may be used: of who never agreed nothing is told."""
    return fold.state.first_ms > 0 and may(fold.state.consents, PERSONALISING, default=True)


def _is_settled(segment: FollowedSegment, kept: Memberships) -> bool:
    """Whether another event can change nothing about it: what it can turn on is on, and time has its say later."""
    if segment.turned is None or segment.turned is not (segment.name in kept.inside):
        return False
    return segment.name in kept.due_ms or not segment.windows[0][0].runs_on


def _look_soon(fold: FoldContext, kept: Memberships) -> None:
    """Have the newer catalog look at all of them: what an entry of an older one changed, only that one can say."""
    kept.due_ms.setdefault(ALL, fold.state.now_ms + PUT_OFF_MS)


def _look_anew(fold: FoldContext, before: Memberships) -> None:
    """Look at all of them, by today's rules; what is not followed any more is left."""
    followed = fold.catalog.followed
    known = [name for name in before.inside if name in followed.by_name]
    _tell(fold, [(name, False) for name in before.inside if name not in followed.by_name])
    _look(fold, followed.by_name.values(), Memberships(followed.hash, known, {}, fold.catalog.version))


def _look(fold: FoldContext, followed: Iterable[FollowedSegment], kept: Memberships) -> None:
    """See whether these segments hold now, tell of those that changed, and keep when to look again."""
    state, now_ms = fold.state, fold.state.now_ms
    scope: VisitorScope | None = None
    seen: dict[str, tuple[bool | None, float]] = {}
    changed = []
    for segment in followed:
        name, due_ms, holds = segment.name, math.inf, None
        for window, series in segment.windows:
            found = seen.get(window.variable)
            if found is None:
                found = seen[window.variable] = windows.look(window, series, state, now_ms)
            holds, changes_ms = found
            if changes_ms < due_ms:
                due_ms = changes_ms
        if not segment.is_window:
            scope = scope or VisitorScope(state, {}, fold.catalog, now_ms, is_registered(fold.key))
            for window, _ in segment.windows:
                scope.take(window.variable, seen[window.variable][0])
            holds = scope.holds(segment.rule)
        if (holds is True) is not (name in kept.inside):
            changed.append((name, holds is True))
        # A time that is set already is never put off: each event would ask for a time-out of its own. Whoever is
        # woken too early looks again.
        if due_ms < kept.due_ms.get(name, math.inf):
            kept.due_ms[name] = int(due_ms)
    if changed:
        turned = {name for name, _ in changed}
        kept.inside = sorted(turned.symmetric_difference(kept.inside))
        _tell(fold, sorted(changed))
    fold.folder.memberships = kept if kept.rules else None


def _tell(fold: FoldContext, changed: Sequence[tuple[str, bool]]) -> None:
    for name, entered in changed:
        fold.notes.append(("segment_entered" if entered else "segment_left", name, ""))
        fold.tell(SegmentChanged(segment=name, entered=entered))

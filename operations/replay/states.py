"""Every visitor's state written anew, as the log says it must be.

Folded up to what the folder has committed and no further: up to there everything the folds emit stands in the log
already. What comes behind is left to the folder, which folds and emits it when it runs again.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any, cast

from eventlog.topics import VISITOR_LOG
from installation.opened import Installation, published
from installation.visitors import visitors_of
from operations.replay.base import TOGETHER, Base
from operations.replay.log_fold import PartitionFold
from personalization.errors import Refused
from personalization.folding.parts import next_due_ms
from personalization.visitor.visitor import Visitor
from state.timers import RedisTimerStore, Timer
from state.visitor_store import Change, Stored


@dataclass(slots=True)
class RebuiltStates:
    """What was done; ``n_removed`` states were stored that the log knows nothing of."""

    n_entries: int = 0
    n_visitors: int = 0
    n_dead: int = 0
    n_removed: int = 0


async def starts_of(opened: Installation, topic: str, base: Sequence[int] | None, remedy: str) -> list[int]:
    """Where a replay of ``topic`` begins, per partition: at the base, else at 0.

    Raises
    ------
    Refused
        Where the log no longer holds that.
    """
    earliest = await opened.log.earliest_offsets(topic)
    starts = list(base) if base is not None else [0] * len(earliest)
    if any(oldest > start for oldest, start in zip(earliest, starts, strict=True)):
        since = f"the base's offsets {starts}" if base is not None else "its beginning"
        raise Refused(f"{topic} no longer holds {since} (oldest offsets {earliest}): {remedy}")
    return starts


async def rebuild_states(opened: Installation, base: Base | None) -> RebuiltStates:
    """Fold the log from its beginning, or from a base, and write every state; costs about 40 µs an entry.

    Interrupted, it leaves states that are each right as far as their fence says, and can be run again.

    Raises
    ------
    Refused
        Where the log cannot tell, or somebody else writes states meanwhile.
    """
    identity = await opened.log.identity()
    offsets = base.head.folder_offsets if base is not None else None
    remedy = "give a base no later than that (`nextbest replay --save-base FILE` writes one) with --base"
    starts = await starts_of(opened, VISITOR_LOG, offsets, remedy)
    if identity.epoch > 1 and base is None:
        raise Refused(
            f"this log is epoch {identity.epoch}: the states hold what was folded from earlier ones; {remedy}"
        )
    ends = await opened.log.end_offsets(VISITOR_LOG)
    committed = await opened.log.committed_offsets("folder", VISITOR_LOG)
    if any(offset is None and end > 0 for offset, end in zip(committed, ends, strict=True)):
        raise Refused("the folder has committed nothing in this log yet: start it, it folds from the beginning")
    catalog_of = published(opened.catalogs)
    rebuilt = RebuiltStates()
    known: set[str] = set()
    for number, start in enumerate(starts):
        initial = dict if base is None else partial(base.visitors, number)
        part = PartitionFold(number, identity.epoch, start, initial)
        await part.advance(opened.log, catalog_of, max(start, committed[number] or 0))
        await _write(opened, part.visitors)
        known |= part.visitors.keys()
        rebuilt.n_entries += part.n_entries
        rebuilt.n_visitors += len(part.visitors)
        rebuilt.n_dead += part.n_dead
    rebuilt.n_removed = await _remove_others(opened, known)
    return rebuilt


async def _write(opened: Installation, visitors: dict[str, Visitor]) -> None:
    store = visitors_of(opened.settings, opened.redis, opened.keys, opened.cipher)
    timers = RedisTimerStore(opened.redis, opened.keys)
    names = list(visitors)
    for first in range(0, len(names), TOGETHER):
        stored = await store.load(names[first : first + TOGETHER])
        # Of who was erased the log may hold what others did on their devices: it brings nobody back.
        places = {key: (visitors[key].state.epoch, visitors[key].state.offset) for key in stored}
        some = [key for key, read in stored.items() if not read.is_gone(*places[key])]
        due = [(due_ms, key) for key in some for due_ms in _due(visitors[key])]
        # The timer before the state, as the folder does it: one too many wakes nobody.
        await timers.add(Timer(max(due_ms, visitors[key].state.now_ms + 1), key) for due_ms, key in due)
        losers = await store.save([_change(key, stored[key], visitors[key]) for key in some])
        if losers:
            raise Refused(
                f"somebody else writes states ({losers[0]} among them): stop every folder, and run this again"
            )


def _due(visitor: Visitor) -> Iterator[int]:
    due_ms, kept = next_due_ms(visitor.folder), visitor.folder.kept
    if due_ms is not None:
        yield due_ms
    if kept is not None:
        yield kept.due_ms


def _change(key: str, read: Stored, visitor: Visitor) -> Change:
    return Change(key, read, visitor, alias_of=visitor.state.redirect)


async def _remove_others(opened: Installation, known: set[str]) -> int:
    """Remove states the log knows nothing of; how many."""
    n_removed = 0
    async for name in opened.redis.scan_iter(match=f"{opened.keys.namespace}:visitor:*", count=1000):
        key = opened.keys.visitor_key_of(name.decode())
        if key is not None and key not in known:
            n_removed += 1
            await cast("Any", opened.redis.delete(opened.keys.visitor(key), opened.keys.folder(key)))
    return n_removed

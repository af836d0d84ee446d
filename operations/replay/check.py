"""Are the stored states what the log says they must be?"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import partial

from msgspec import structs

from eventlog.port import EventLog
from eventlog.topics import VISITOR_LOG
from installation.opened import Installation, published
from installation.visitors import visitors_of
from operations.replay.base import TOGETHER, Base
from operations.replay.log_fold import PartitionFold
from operations.replay.states import starts_of
from personalization.errors import Refused
from personalization.visitor.folder_state import encode_folder
from personalization.visitor.visitor import Visitor
from state.visitor_store import Stored, UnreadableState, pack_visitor

ROUNDS = 20
ROUND_PAUSE_S = 0.25
"""While events come in, a state may be newer or older than the log read before it: look again, up to 5 s."""


@dataclass(slots=True)
class Checked:
    """What the comparison found; ``different`` and ``unknown`` name visitor keys."""

    n_entries: int = 0
    n_visitors: int = 0
    n_dead: int = 0
    different: list[str] = field(default_factory=list)
    unknown: list[str] = field(default_factory=list)

    @property
    def exact(self) -> bool:
        """Whether log and states agree."""
        return not self.different and not self.unknown


async def check_states(opened: Installation, base: Base | None = None) -> Checked:
    """Fold the whole log and compare every visitor; costs about 50 µs an entry, and the visitors in memory.

    Raises
    ------
    Refused
        If the log no longer holds what the states were folded from, or what came after the base.
    """
    log = opened.log
    identity = await log.identity()
    if identity.epoch > 1 and base is None:
        raise Refused(
            f"this log is epoch {identity.epoch}: the states hold what was folded from earlier ones, so they "
            "cannot be compared with it alone; give a base of this epoch with --base (`nextbest replay "
            "--save-base FILE` writes one, best as soon as the epoch is open)"
        )
    offsets = base.head.folder_offsets if base is not None else None
    starts = await starts_of(
        opened, VISITOR_LOG, offsets, "states cannot be compared with it; give a base (--base)"
    )
    catalog_of = published(opened.catalogs)
    checked = Checked()
    known: set[str] = set()
    ends: list[int] = []
    for number, start in enumerate(starts):
        initial = dict if base is None else partial(base.visitors, number)
        part = PartitionFold(number, identity.epoch, start, initial)
        different: list[str] = []
        for round_number in range(ROUNDS):
            if round_number:
                await asyncio.sleep(ROUND_PAUSE_S)
            await part.advance(log, catalog_of)
            different = await _different(opened, part.visitors)
            if not different:
                break
        checked.different += sorted(different)
        checked.n_entries += part.n_entries
        checked.n_visitors += len(part.visitors)
        checked.n_dead += part.n_dead
        known |= part.visitors.keys()
        ends.append(part.next_offset)
    async for name in opened.redis.scan_iter(match=f"{opened.keys.namespace}:visitor:*", count=1000):
        key = opened.keys.visitor_key_of(name.decode())
        # Who came after their partition was read is new, not unknown.
        if key is not None and key not in known and not await _appended_since(log, ends, key):
            checked.unknown.append(key)
    return checked


async def _different(opened: Installation, visitors: dict[str, Visitor]) -> list[str]:
    """Keys whose stored bytes are not those of the fold."""
    store = visitors_of(opened.settings, opened.redis, opened.keys, opened.cipher)
    found = []
    names = list(visitors)
    for start in range(0, len(names), TOGETHER):
        for key, stored in (await store.load(names[start : start + TOGETHER])).items():
            state = visitors[key].state
            if stored.is_gone(state.epoch, state.offset):
                continue  # that they were erased does not stand in the log any more
            expected = _packed(visitors[key])
            values = (stored.visitor_value, stored.folder_value)
            if values != expected and (None in values or _rewritten(stored) != expected):
                found.append(key)
    return found


def _packed(visitor: Visitor) -> tuple[bytes | None, bytes | None]:
    """As it is stored. That somebody was erased before does not stand in the log any more."""
    if not visitor.is_known:
        return None, None
    return pack_visitor(visitor.state), encode_folder(structs.replace(visitor.folder, erased_ms=0))


def _rewritten(stored: Stored) -> tuple[bytes | None, bytes | None] | None:
    """Encode a state of an earlier release as this one does: with the fields at the end that it did not know."""
    try:
        return _packed(stored.visitor())
    except UnreadableState:
        return None


async def _appended_since(log: EventLog, ends: Sequence[int], key: str) -> bool:
    for partition, end in enumerate(ends):
        async for entry in log.read(VISITOR_LOG, partition, end):
            if entry.key == key:
                return True
    return False

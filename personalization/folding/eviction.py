"""Which open decisions go where there are more than their bounds allow."""

from __future__ import annotations

from collections.abc import Callable

from personalization import bounded
from personalization.events.entry import Position
from personalization.visitor.folder_state import (
    MAX_OPEN_BYTES,
    MAX_OPEN_EXPOSED,
    MAX_OPEN_UNEXPOSED,
    FolderState,
    OpenDecision,
)

FEW_OPEN = 3
"""So few cannot be too many: the features of a decision are 20 KiB at the most."""

Close = Callable[[OpenDecision], None]
"""Takes a decision out of those that are open."""


def evict(folder: FolderState, close: Close, key: str, position: Position) -> None:
    """Close what is beyond the bounds: of those not shown the oldest, of those shown one by lot.

    The lot is a hash of key and log offset, whatever the decision earned; it is not trained, and the weight of
    the others grows by what it leaves out. So early decisions of long visits are not all lost, and no zero is
    trained for having been cut off.

    Parameters
    ----------
    key, position
        Of the entry that is folded.
    """
    unexposed = [decision for decision in folder.open if decision.exposed_at_ms is None]
    for decision in unexposed[: max(0, len(unexposed) - MAX_OPEN_UNEXPOSED)]:
        close(decision)
    n = 0
    while _is_over(folder.open):
        exposed = [decision for decision in folder.open if decision.exposed_at_ms is not None]
        if len(exposed) < 2:
            return
        lot = bounded.short_hash(f"evict\x1f{key}\x1f{position.epoch}\x1f{position.offset}\x1f{n}")
        close(exposed[int.from_bytes(lot) % len(exposed)])
        for decision in exposed:
            decision.sample_weight *= len(exposed) / (len(exposed) - 1)
        n += 1


def _is_over(opened: list[OpenDecision]) -> bool:
    if len(opened) <= FEW_OPEN:
        return False
    if sum(decision.exposed_at_ms is not None for decision in opened) > MAX_OPEN_EXPOSED:
        return True
    n_bytes = sum(len(memoryview(each.features)) + len(memoryview(each.arm_features)) for each in opened)
    return n_bytes > MAX_OPEN_BYTES

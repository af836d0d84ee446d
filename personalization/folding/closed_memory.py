"""What is kept of closed decisions: enough to know one again, and to say whose reward came late, and how late.

16 bytes each, the latest ``MAX_CLOSED``: 8 of the decision's trial in ``FolderState.closed``, and beside them in
``closed_arms`` two of its placement, two of its arm and the second it closed. The hashes are turned back into names
by the catalog; two of its arms share one with a chance of 1 in 65,536, and then a late reward is counted for the
other.
"""

from __future__ import annotations

from collections.abc import Iterator
from functools import lru_cache
from typing import NamedTuple

from personalization.bounded import HASH_BYTES, contains, push, short_hash
from personalization.catalog.compiled_catalog import CompiledCatalog
from personalization.events.decision_id import trial_of
from personalization.visitor.folder_state import MAX_CLOSED, Credit, FolderState, OpenDecision

NAME_BYTES = 2
SECOND_BYTES = 4
TAG_BYTES = 2 * NAME_BYTES + SECOND_BYTES
_NO_NAMES = bytes(2 * NAME_BYTES)


class LateReward(NamedTuple):
    """A reward whose decision was closed when it came: counted and logged, never trained.

    Attributes
    ----------
    decision
        Its id where the reward names it, else the 16 hexadecimal digits of the id's hash.
    placement, arm
        Empty where they are not known any more.
    late_ms
        Since the decision closed, to the second; None where that is not known.
    """

    decision: str
    placement: str
    arm: str
    late_ms: int | None


def is_closed(folder: FolderState, decision_id: str) -> bool:
    """Whether a decision of that id is among the remembered ones."""
    return contains(folder.closed, short_hash(trial_of(decision_id)))


def remember_closed(folder: FolderState, decision: OpenDecision, now_ms: int) -> None:
    """The decision is closed. One that was never shown is known again, but no event is late for it."""
    choice = decision.choice
    names = _NO_NAMES if decision.exposed_at_ms is None else _half(choice.placement) + _half(choice.arm)
    second = (now_ms // 1000).to_bytes(SECOND_BYTES, "big")  # until the year 2106
    _push(folder, short_hash(trial_of(choice.decision_id)), names + second)


def take_over_closed(folder: FolderState, other: FolderState) -> None:
    """Remember what another visitor's folder remembered."""
    _push(folder, other.closed, _tags(other))


def late_for_decision(folder: FolderState, decision_id: str, catalog: CompiledCatalog, now_ms: int) -> LateReward:
    """What a reward for a closed decision is late for."""
    digest = short_hash(trial_of(decision_id))
    tag = next((tag for closed, tag in _latest_first(folder) if closed == digest), bytes(TAG_BYTES))
    return _late(decision_id, tag, catalog, now_ms)


def late_for_credit(
    folder: FolderState, credit: Credit, catalog: CompiledCatalog, now_ms: int, *, same_arm: bool
) -> LateReward | None:
    """The latest closed decision that a credit would have been for; None: it is late for none."""
    wanted = _half(credit.placement) + (_half(credit.arm or "") if same_arm else b"")
    for closed, tag in _latest_first(folder):
        if tag.startswith(wanted):
            return _late(closed.hex(), tag, catalog, now_ms)
    return None


def _push(folder: FolderState, digests: bytes, tags: bytes) -> None:
    folder.closed_arms = (_tags(folder) + tags)[-MAX_CLOSED * TAG_BYTES :]
    folder.closed = push(folder.closed, digests, MAX_CLOSED)


def _tags(folder: FolderState) -> bytes:
    """One tag per remembered decision; an earlier release kept none, the one after it no second."""
    tags, n_closed = folder.closed_arms, len(folder.closed) // HASH_BYTES
    if len(tags) == n_closed * TAG_BYTES:
        return tags
    names = tags.rjust(n_closed * len(_NO_NAMES), b"\0")
    step = len(_NO_NAMES)
    return b"".join(names[i : i + step] + bytes(SECOND_BYTES) for i in range(0, len(names), step))


def _latest_first(folder: FolderState) -> Iterator[tuple[bytes, bytes]]:
    """(hash of the id, tag) of every remembered decision."""
    tags = _tags(folder)
    for i in range(len(folder.closed) // HASH_BYTES - 1, -1, -1):
        yield folder.closed[i * HASH_BYTES : (i + 1) * HASH_BYTES], tags[i * TAG_BYTES : (i + 1) * TAG_BYTES]


def _late(decision: str, tag: bytes, catalog: CompiledCatalog, now_ms: int) -> LateReward:
    second = int.from_bytes(tag[2 * NAME_BYTES :], "big")
    return LateReward(decision, *_names(tag, catalog), max(0, now_ms - second * 1000) if second else None)


def _names(tag: bytes, catalog: CompiledCatalog) -> tuple[str, str]:
    for name, placement in catalog.placements.items():
        if _half(name) == tag[:NAME_BYTES]:
            arms = (arm for arm in placement.all_arms() if _half(arm) == tag[NAME_BYTES : 2 * NAME_BYTES])
            return name, next(arms, "")
    return "", ""


@lru_cache(maxsize=4096)
def _half(name: str) -> bytes:
    return short_hash(name)[:NAME_BYTES]

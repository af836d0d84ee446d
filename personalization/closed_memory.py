"""What is kept of closed decisions: enough to know one again, and to say whose reward came late.

12 bytes each, the latest ``MAX_CLOSED``: 8 of the decision's id in ``FolderState.closed``, and beside them in
``closed_arms`` two of its placement and two of its arm. The hashes are turned back into names by the catalog; two
of its arms share one with a chance of 1 in 65,536, and then a late reward is counted for the other.
"""

from __future__ import annotations

from functools import lru_cache

from personalization.bounded import HASH_BYTES, contains, push, short_hash
from personalization.compiled import CompiledCatalog
from personalization.folder_state import MAX_CLOSED, Credit, FolderState, OpenDecision

TAG_BYTES = 4
_NO_TAG = bytes(TAG_BYTES)


def is_closed(folder: FolderState, decision_id: str) -> bool:
    """Whether a decision of that id is among the remembered ones."""
    return contains(folder.closed, short_hash(decision_id))


def remember_closed(folder: FolderState, decision: OpenDecision) -> None:
    """The decision is closed. One that was never shown is known again, but no event is late for it."""
    tag = _NO_TAG if decision.exposed_at_ms is None else _tag(decision.placement, decision.arm)
    _push(folder, short_hash(decision.decision_id), tag)


def take_over_closed(folder: FolderState, other: FolderState) -> None:
    """Remember what another visitor's folder remembered."""
    _push(folder, other.closed, _tags(other))


def late_for_decision(folder: FolderState, decision_id: str, catalog: CompiledCatalog) -> tuple[str, str]:
    """(placement, arm) of a closed decision; empty where they are not known any more."""
    digest, tags = short_hash(decision_id), _tags(folder)
    for index in range(len(folder.closed) // HASH_BYTES):
        if folder.closed[index * HASH_BYTES : (index + 1) * HASH_BYTES] == digest:
            return _names(tags[index * TAG_BYTES : (index + 1) * TAG_BYTES], catalog)
    return "", ""


def late_for_credit(
    folder: FolderState, credit: Credit, catalog: CompiledCatalog, *, same_arm: bool
) -> tuple[str, str] | None:
    """(placement, arm) of the latest closed decision that a credit would have been for; None: of none."""
    tags = folder.closed_arms
    wanted = _tag(credit.placement, credit.arm or "")
    length = TAG_BYTES if same_arm else TAG_BYTES // 2
    for start in range(len(tags) - TAG_BYTES, -1, -TAG_BYTES):
        if tags[start : start + length] == wanted[:length]:
            return _names(tags[start : start + TAG_BYTES], catalog)
    return None


def _push(folder: FolderState, digests: bytes, tags: bytes) -> None:
    folder.closed_arms = (_tags(folder) + tags)[-MAX_CLOSED * TAG_BYTES :]
    folder.closed = push(folder.closed, digests, MAX_CLOSED)


def _tags(folder: FolderState) -> bytes:
    """One tag per remembered decision; those remembered by a release without tags have an empty one."""
    return folder.closed_arms.rjust(len(folder.closed) // HASH_BYTES * TAG_BYTES, b"\0")


def _names(tag: bytes, catalog: CompiledCatalog) -> tuple[str, str]:
    for name, placement in catalog.placements.items():
        if _half(name) == tag[: TAG_BYTES // 2]:
            arms = (arm for arm in placement.spec.content if _half(arm) == tag[TAG_BYTES // 2 :])
            return name, next(arms, "")
    return "", ""


def _tag(placement: str, arm: str) -> bytes:
    return _half(placement) + _half(arm)


@lru_cache(maxsize=4096)
def _half(name: str) -> bytes:
    return short_hash(name)[: TAG_BYTES // 2]

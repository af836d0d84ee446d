"""Models that an edit of the catalog replaced, kept for a while: the edit undone, or rolled back, finds them again.

They stay where they are, in the copies a checkpoint has of them; only the header changes.
"""

from __future__ import annotations

from collections.abc import Sequence

from state.checkpoint_store import ModelCopy, ReplacedModel

KEEP_MS = 7 * 24 * 60 * 60 * 1000
"""As long as the log holds what a model that comes back has missed."""

MAX_KEPT = 8
"""Per partition: some edits of one placement, or one of some placements."""

MAX_BYTES = 64 * 1024 * 1024
"""Per partition: a large model is 2 MB, and has two copies."""

Kept = tuple[ReplacedModel, ...]


def keep(kept: Kept, key: str, schema: bytes, copies: tuple[ModelCopy, ...], now_ms: int) -> Kept:
    """``kept`` with one more at its end."""
    return (*kept, ReplacedModel(key, schema, copies, now_ms)) if copies else kept


def within_bounds(kept: Kept, now_ms: int) -> Kept:
    """The newest that are young enough, few enough and small enough together."""
    bounded: list[ReplacedModel] = []
    n_bytes = 0
    for replaced in reversed(kept):
        n_bytes += sum(copy.n_bytes for copy in replaced.copies)
        if len(bounded) == MAX_KEPT or n_bytes > MAX_BYTES or now_ms - replaced.replaced_at_ms > KEEP_MS:
            break
        bounded.append(replaced)
    return tuple(reversed(bounded))


def find(kept: Sequence[ReplacedModel], key: str, schema: bytes) -> ReplacedModel | None:
    """The newest one of a key and schema."""
    found = (replaced for replaced in reversed(kept) if (replaced.key, replaced.schema) == (key, schema))
    return next(found, None)


def without(kept: Kept, replaced: ReplacedModel) -> Kept:
    """``kept`` but for one."""
    return tuple(each for each in kept if each is not replaced)

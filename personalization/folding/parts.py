"""The parts of the fold. A new one is a file of its own, and one line here."""

from __future__ import annotations

import math

from personalization.catalog.compiled_catalog import CompiledCatalog
from personalization.folding.decisions import Decisions
from personalization.folding.examples import Examples
from personalization.folding.memberships import Segments
from personalization.folding.part import Part
from personalization.folding.participating import Participating
from personalization.folding.tiers import Tiers
from personalization.visitor.folder_state import FolderState

PARTS: tuple[Part, ...] = (Decisions(), Examples(), Participating(), Segments(), Tiers())
"""In the order in which they see an event, after the profile."""


def is_behind(folder: FolderState, catalog: CompiledCatalog) -> bool:
    """Whether a time-out would find something to tell because the catalog changed."""
    return any(part.is_behind(folder, catalog) for part in PARTS)


def next_due_ms(folder: FolderState) -> int | None:
    """When the visitor next needs a time-out, None for never."""
    due_ms = math.inf
    for part_due_ms in _DUE_MS:  # asked before and after every entry: bound once
        of_part = part_due_ms(folder)
        if of_part < due_ms:
            due_ms = of_part
    return None if due_ms == math.inf else int(due_ms)


_DUE_MS = tuple(part.due_ms for part in PARTS)

"""Scores and segments out of the states in Redis, by a walk over all visitors."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from typing import Protocol

from operations.exporting.columns import Row
from operations.exporting.progress import Progress
from operations.exporting.rows_file import RowsFile
from operations.exporting.visitor_rows import VisitorRows
from personalization.visitor.visitor_state import VisitorState

UNTOLD = "visitors who refused, or of whom nothing is known"

SYNCED = 5_000
"""Visitors between two times that rows are noted for good."""


class Walk(Protocol):
    """A walk over all visitors (``state.segment_store.SegmentStore``)."""

    async def step(self, cursor: int) -> tuple[int, Mapping[str, VisitorState]]:
        """One step: the next cursor (0: it is over), and states by key."""
        ...


async def export_visitors(
    walk: Walk,
    visitor_rows: VisitorRows,
    progress: Progress,
    rows: RowsFile,
    advance: Callable[[int], None],
    now_ms: Callable[[], int] = lambda: time.time_ns() // 1_000_000,
) -> None:
    """Walk over all visitors; whoever is met twice, as a walk may, is told of once.

    Raises
    ------
    RedisError
        If Redis does not answer.
    """
    standing = progress.standing
    assert standing is not None
    cursor, n_open, is_over = 0, 0, False
    while not is_over:
        cursor, states = await walk.step(cursor)
        is_over = cursor == 0
        found: list[Row] = []
        for (key, state), is_new in zip(states.items(), progress.are_new(list(states)), strict=True):
            if not is_new or state.redirect is not None:
                continue
            of_visitor = visitor_rows.of(key, state, now_ms())
            if of_visitor is None:
                standing.leave_out(UNTOLD)
            else:
                found += of_visitor
        rows.append(found)
        standing.n_rows += len(found)
        advance(len(states))
        n_open += len(states)
        if n_open >= SYNCED or is_over:
            rows.sync()
            standing.n_bytes, n_open = rows.n_bytes, 0
            progress.commit()

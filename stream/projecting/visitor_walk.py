"""A slow walk over all visitors, which takes a small share of a core."""

from __future__ import annotations

import time
from collections.abc import AsyncGenerator
from typing import Protocol

from background.cancelling import pause
from personalization.visitor.visitor_state import VisitorState

CPU_SHARE = 0.02
"""Of one core."""

REST_S = 0.005
"""After each step at least, so that others on the loop have their turn."""


class Walked(Protocol):
    """What gives the visitors step by step (``state.segment_store``)."""

    async def step(self, cursor: int) -> tuple[int, dict[str, VisitorState]]:
        """The cursor of the next step, 0 if there is none, and states by visitor's key."""
        ...


async def walk(store: Walked, cpu_share: float = CPU_SHARE) -> AsyncGenerator[dict[str, VisitorState]]:
    """All visitors, some at a time; who goes through them pays for the work by resting.

    Parameters
    ----------
    cpu_share
        Of a core at most, with what is done between two steps.
    """
    cursor = 0
    while True:
        began_s = time.thread_time()  # what others do on this thread meanwhile makes it rest longer
        cursor, states = await store.step(cursor)
        yield states
        worked_s = time.thread_time() - began_s
        if not cursor:
            return
        await pause(max(REST_S, worked_s / cpu_share - worked_s))

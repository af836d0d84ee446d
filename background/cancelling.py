"""Loops over Redis that end when they are told to.

Before Python 3.12 ``asyncio.wait_for`` gives its result and drops a cancellation that comes at the same moment, and
redis-py sends under it: a loop that does nothing but call Redis and sleep would run on for ever.
"""

from __future__ import annotations

import asyncio


def stop_if_cancelled() -> None:
    """Raise the cancellation that was dropped."""
    task = asyncio.current_task()
    if task is not None and task.cancelling():
        raise asyncio.CancelledError


async def pause(seconds: float) -> None:
    """Sleep between two rounds of a loop, unless it was to end in the last one."""
    stop_if_cancelled()
    await asyncio.sleep(seconds)

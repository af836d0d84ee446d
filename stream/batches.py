"""Batches of a Faust stream that wait for the first event, not for the clock.

``Stream.noack_take`` looks for a batch every ``within`` seconds, whether there is anything or not (at 2 ms a tenth
of a core while idle), holds the stream while a batch is handled, and then waits ``within`` again. Here a task keeps
taking events while a batch is handled: under load the next batch is there at once, and an idle stream sleeps.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import Any


async def batches(stream: Any, max_events: int, within_s: float) -> AsyncIterator[list[Any]]:
    """Lists of up to ``max_events`` events, none older than ``within_s`` plus the handling of the batch before.

    The handler acknowledges every event itself, in order (``await stream.ack(event)``).

    Parameters
    ----------
    stream
        The agent's stream.
    within_s
        How long the first event of a batch waits for others.
    """
    loop = asyncio.get_running_loop()
    waiting: list[Any] = []
    first_at_s = 0.0
    arrived, full, room = asyncio.Event(), asyncio.Event(), asyncio.Event()

    async def fill() -> None:
        nonlocal first_at_s
        async for event in stream.noack().events():
            if not waiting:
                first_at_s = loop.time()
                arrived.set()
            waiting.append(event)
            if len(waiting) >= max_events:
                full.set()
                room.clear()
                await room.wait()

    filling = asyncio.create_task(fill())
    # The end of the stream must end the handler too, and its failure must not pass unseen.
    filling.add_done_callback(lambda _: arrived.set())
    filling.add_done_callback(lambda _: full.set())
    try:
        while True:
            await arrived.wait()
            left_s = first_at_s + within_s - loop.time()
            if left_s > 0 and not full.is_set():
                timer = loop.call_later(left_s, full.set)
                await full.wait()
                timer.cancel()
            batch = waiting.copy()
            waiting.clear()
            full.clear()
            room.set()
            if not filling.done():
                arrived.clear()
            if batch:
                yield batch
            elif filling.done():
                filling.result()
                return
    finally:
        filling.cancel()
        await asyncio.gather(filling, return_exceptions=True)

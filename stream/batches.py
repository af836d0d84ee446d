"""Batches of a Faust stream that wait for the first event, not for the clock.

``Stream.noack_take`` looks for a batch every ``within`` seconds, whether there is anything or not (at 2 ms a tenth
of a core while idle), holds the stream while a batch is handled, and then waits ``within`` again. Here a task keeps
taking events while a batch is handled: under load the next batch is there at once, and an idle stream sleeps.
"""

from __future__ import annotations

import asyncio
import math
from collections.abc import AsyncGenerator, Callable
from typing import Any, NamedTuple, TypeVar

MessageT = TypeVar("MessageT")


class Taken(NamedTuple):
    """An event of the stream, and what was read of it."""

    event: Any
    message: Any


async def batches(
    stream: Any, max_events: int, read: Callable[[Any], MessageT], within_s: Callable[[MessageT], float]
) -> AsyncGenerator[list[Taken], None]:
    """Lists of up to ``max_events`` events, each begun as soon as one of its events waits no longer.

    The handler acknowledges every event itself, in order (``await stream.ack(event)``).

    Parameters
    ----------
    stream
        The agent's stream.
    read
        What the handler takes, of one of Faust's messages.
    within_s
        How long that waits for others to share its batch. The most urgent one decides for all of them.
    """
    loop = asyncio.get_running_loop()
    waiting: list[Taken] = []
    due_s = math.inf
    arrived, hurried, room = asyncio.Event(), asyncio.Event(), asyncio.Event()

    async def fill() -> None:
        nonlocal due_s
        async for event in stream.noack().events():
            message = read(event.message)
            at_s = loop.time() + within_s(message)
            if at_s < due_s:
                due_s = at_s
                hurried.set()
            waiting.append(Taken(event, message))
            arrived.set()
            if len(waiting) >= max_events:
                due_s = -math.inf
                hurried.set()
                room.clear()
                await room.wait()

    def ended(_: asyncio.Task[None]) -> None:
        # The end of the stream must end the handler too, and its failure must not pass unseen.
        nonlocal due_s
        due_s = -math.inf
        arrived.set()
        hurried.set()

    filling = asyncio.create_task(fill())
    filling.add_done_callback(ended)
    try:
        while True:
            await arrived.wait()
            while (left_s := due_s - loop.time()) > 0:
                hurried.clear()
                timer = loop.call_later(left_s, hurried.set)
                await hurried.wait()
                timer.cancel()
            batch = waiting.copy()
            waiting.clear()
            room.set()
            if not filling.done():
                arrived.clear()
                due_s = math.inf
            if batch:
                yield batch
            elif filling.done():
                filling.result()
                return
    finally:
        filling.cancel()
        await asyncio.gather(filling, return_exceptions=True)

"""Entries that wait for each other: a batch begins with the first of them that waits no longer, not by the clock.

Entries keep coming while a batch is handled: under load the next one is there at once, and an idle worker sleeps.
"""

from __future__ import annotations

import asyncio
import math
from typing import Generic, TypeVar

EntryT = TypeVar("EntryT")


class Batches(Generic[EntryT]):
    """What was read and not yet handled.

    Parameters
    ----------
    max_entries
        Of a batch. Where so many wait, the next batch waits for nothing.
    """

    def __init__(self, max_entries: int) -> None:
        self._max_entries = max_entries
        self._waiting: list[EntryT] = []
        self._due_s = math.inf
        self._changed, self._taken = asyncio.Event(), asyncio.Event()

    async def until_room(self) -> None:
        """Wait while there is a whole batch that nobody handles yet."""
        while len(self._waiting) >= self._max_entries:
            self._taken.clear()
            await self._taken.wait()

    def add(self, entry: EntryT, within_s: float) -> None:
        """An entry was read; it waits ``within_s`` for others. The most urgent one decides for all of them."""
        self._waiting.append(entry)
        due_s = asyncio.get_running_loop().time() + within_s
        if due_s < self._due_s:
            self._due_s = due_s
            self._changed.set()
        elif len(self._waiting) == self._max_entries:
            self._changed.set()

    async def following(self) -> list[EntryT]:
        """The next batch, in the order in which its entries came; waits for it."""
        loop = asyncio.get_running_loop()
        while len(self._waiting) < self._max_entries and (left_s := self._due_s - loop.time()) > 0:
            self._changed.clear()
            timer = loop.call_later(left_s, self._changed.set) if self._waiting else None
            try:
                await self._changed.wait()
            finally:
                if timer is not None:
                    timer.cancel()
        batch, self._waiting = self._waiting[: self._max_entries], self._waiting[self._max_entries :]
        if not self._waiting:
            self._due_s = math.inf
        self._taken.set()
        return batch

"""Long work in slices: what one request takes a while for lets all others have their turn.

However many such requests there are, one slice of one is done in a turn of the loop, and none, for a moment,
while a decision is being made: that takes half a dozen turns.
"""

from __future__ import annotations

import asyncio
import time
from collections import deque

SLICE_S = 0.001
"""A request that needs no more is done in one go; a decision takes a quarter of it."""


PATIENCE_S = 0.002
"""So long a slice waits for decisions under way; where there always are some, long work has a third of the time."""


class Turnstile:
    """Lets one of those who wait go on in each turn of the loop, in the order they came.

    Attributes
    ----------
    n_hurried
        What must not wait: decisions under way.
    """

    def __init__(self) -> None:
        self.n_hurried = 0
        self._waiting: deque[asyncio.Future[None]] = deque()
        self._is_turning = False
        self._patient_until = 0.0

    async def turn(self) -> None:
        """Wait for one's turn, which is the next at the earliest."""
        loop = asyncio.get_running_loop()
        mine = loop.create_future()
        self._waiting.append(mine)
        if not self._is_turning:
            self._turn_on(loop)
        await mine

    def _turn_on(self, loop: asyncio.AbstractEventLoop) -> None:
        self._is_turning = True
        self._patient_until = time.perf_counter() + PATIENCE_S
        loop.call_soon(self._let_one, loop)

    def _let_one(self, loop: asyncio.AbstractEventLoop) -> None:
        if self.n_hurried and time.perf_counter() < self._patient_until:
            loop.call_soon(self._let_one, loop)
            return
        while self._waiting:
            first = self._waiting.popleft()
            if not first.done():  # else it was cancelled
                first.set_result(None)
                break
        self._is_turning = False
        if self._waiting:
            self._turn_on(loop)


class Slices:
    """The work of one request.

    Asked between its parts: ``if slices.is_over: await slices.pause()``, which costs 0.1 µs while it is not.
    """

    __slots__ = ("_turnstile", "_until")

    def __init__(self, turnstile: Turnstile) -> None:
        self._turnstile = turnstile
        self.begin()

    def begin(self) -> None:
        """A slice begins: others had their turn, as something was waited for."""
        self._until = time.perf_counter() + SLICE_S

    @property
    def is_over(self) -> bool:
        """Whether it is the others' turn."""
        return time.perf_counter() > self._until

    async def pause(self) -> None:
        """Let others go on, then begin another slice."""
        await self._turnstile.turn()
        self.begin()

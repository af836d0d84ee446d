"""When calls that wait are given up: one timer for all of them, since each may take equally long."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable
from typing import Any


class Deadlines:
    """Calls ``expire`` for every call that is not done ``timeout_s`` after it was added.

    A timer of the event loop for each call would cost as much as the rest of an append.
    """

    def __init__(self, timeout_s: float, expire: Callable[[Any], None]) -> None:
        self._timeout_s = timeout_s
        self._expire = expire
        self._waiting: deque[tuple[float, Any]] = deque()
        self._timer: asyncio.TimerHandle | None = None

    def add(self, call: Any) -> None:
        """Give ``call``, which has a future ``done``, its time from now on."""
        waiting = self._waiting
        while waiting and waiting[0][1].done.done():
            waiting.popleft()
        loop = asyncio.get_running_loop()
        waiting.append((loop.time() + self._timeout_s, call))
        if self._timer is None:
            self._timer = loop.call_later(self._timeout_s, self._look)

    def stop(self) -> None:
        """Forget all of them."""
        self._waiting.clear()
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _look(self) -> None:
        self._timer = None
        loop = asyncio.get_running_loop()
        waiting = self._waiting
        while waiting and (waiting[0][1].done.done() or waiting[0][0] <= loop.time()):
            call = waiting.popleft()[1]
            if not call.done.done():
                self._expire(call)
        if waiting:
            self._timer = loop.call_at(waiting[0][0], self._look)

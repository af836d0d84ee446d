"""One thread for the disk: its work is done one piece after the other, and never holds up the event loop."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from concurrent.futures import ThreadPoolExecutor
from typing import Any, ParamSpec, TypeVar

_T = TypeVar("_T")
_P = ParamSpec("_P")


class DiskThread:
    """Does what it is given in a thread of its own."""

    def __init__(self) -> None:
        self._pool = ThreadPoolExecutor(1, thread_name_prefix="disk")
        self._steps: set[asyncio.Task[Any]] = set()

    async def do(self, work: Callable[_P, _T], *args: _P.args, **kwargs: _P.kwargs) -> _T:
        """What ``work`` gives. Whoever stops waiting for it leaves it to go on."""
        return await asyncio.get_running_loop().run_in_executor(self._pool, lambda: work(*args, **kwargs))

    async def step(self, work: Coroutine[Any, Any, _T]) -> _T:
        """Await ``work``, which ends though the caller is cancelled: files and memory stay in step."""
        task = asyncio.create_task(work)
        self._steps.add(task)
        task.add_done_callback(self._steps.discard)
        return await asyncio.shield(task)

    async def settled(self) -> None:
        """Wait until no step is under way."""
        if self._steps:
            await asyncio.wait(self._steps)

    def close(self) -> None:
        """Take nothing more."""
        self._pool.shutdown(wait=False)

"""One thread for a few files: beside the event loop, and in step with it though callers are cancelled."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from concurrent.futures import ThreadPoolExecutor
from typing import Any, ParamSpec, TypeVar

_T = TypeVar("_T")
_P = ParamSpec("_P")


class FileThread:
    """What is done to the files is done one after the other, and never holds up the event loop."""

    def __init__(self, name: str) -> None:
        self._thread = ThreadPoolExecutor(1, thread_name_prefix=name)
        self._steps: set[asyncio.Task[Any]] = set()

    async def run(self, work: Callable[_P, _T], *args: _P.args, **kwargs: _P.kwargs) -> _T:
        """Do ``work`` in the thread, behind what was asked of it before."""
        return await asyncio.get_running_loop().run_in_executor(self._thread, lambda: work(*args, **kwargs))

    def submit(self, work: Callable[[], object]) -> None:
        """Do ``work`` in the thread, whatever becomes of the caller."""
        self._thread.submit(work)

    async def step(self, work: Coroutine[Any, Any, _T]) -> _T:
        """Await ``work``, which ends though the caller is cancelled: files and memory stay in step."""
        task = asyncio.create_task(work)
        self._steps.add(task)
        task.add_done_callback(self._steps.discard)
        return await asyncio.shield(task)

    async def steps_done(self) -> None:
        """Wait for the steps whose callers were cancelled."""
        if self._steps:
            await asyncio.wait(self._steps)

    def close(self) -> None:
        """Take no more work."""
        self._thread.shutdown(wait=False)

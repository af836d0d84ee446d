"""A worker's Faust agent: hands batches to a handler, acknowledges what was handled, and nothing else.

Faust starts an agent that raised again *behind* the batch it failed on, and acknowledges in passing. So nothing may
leave the agent's body: whatever does ends the process, which starts again at the committed offset.
"""

from __future__ import annotations

import asyncio
import logging
from collections import defaultdict
from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import Any, Generic, NamedTuple, TypeVar

from faust.types import TP

from background.cancelling import stop_if_cancelled
from stream.batches import Batches
from stream.worker_app import WorkerApp

logger = logging.getLogger(__name__)

MessageT = TypeVar("MessageT")


class _Read(NamedTuple):
    tp: TP
    offset: int
    reading: int
    message: Any


class BatchAgent(Generic[MessageT]):
    """The one agent of ``app``, reading ``topic``.

    Parameters
    ----------
    read
        What the handler takes, of a partition, an entry of it, and the generation under which that was read.
    handle
        Takes the messages of one batch, of any number of partitions, in order; returns once they are done.
    max_entries, within_s
        Bounds of a batch: entries, and seconds an entry waits for others.
    """

    pause_s = 0.0

    def __init__(
        self,
        app: WorkerApp,
        topic: str,
        read: Callable[[int, Any, int], MessageT],
        handle: Callable[[Sequence[MessageT]], Awaitable[None]],
        max_entries: int,
        within_s: Callable[[MessageT], float],
    ) -> None:
        self._app = app
        self._read = read
        self._handle = handle
        self._within_s = within_s
        self._batches: Batches[_Read] = Batches(max_entries)
        self._ended: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        app.receive([topic], self, self._run)

    async def until_room(self) -> None:
        """See ``Receiver``: while a whole batch waits."""
        await self._batches.until_room()

    async def take(self, found: Mapping[TP, Sequence[Any]], offsets: Mapping[TP, int]) -> Mapping[TP, int]:
        """See ``Receiver``: all of it, without a turn of the event loop in which reading could begin anew."""
        reading, generation = self._app.reading, self._app.lease_generation
        for tp, entries in found.items():
            for entry in entries:
                message = self._read(tp.partition, entry, generation)
                self._batches.add(_Read(tp, entry.offset, reading, message), self._within_s(message))
        return {tp: entries[-1].offset + 1 for tp, entries in found.items()}

    async def until_ended(self) -> None:
        """Wait until the agent can go on no more, which is as long as the worker lives; raises why."""
        await self._ended

    async def _run(self, stream: Any) -> None:
        try:
            while True:
                await self._handle_batch(await self._batches.following())
                stop_if_cancelled()
        except asyncio.CancelledError as cancelled:
            if self._app.should_stop:
                raise
            error: BaseException = RuntimeError("the agent was cancelled while the worker was running")
            error.__cause__ = cancelled
        except Exception as failed:
            error = failed
        if self._app.should_stop:
            return
        logger.error("batch_not_handled", extra={"reason": f"{type(error).__name__}: {error}"})
        if not self._ended.done():
            self._ended.set_exception(error)
        await asyncio.Event().wait()  # until the process has ended: an agent that returned would be started again

    async def _handle_batch(self, batch: Sequence[_Read]) -> None:
        """Handle what was read since reading last began anew; the rest is read again."""
        reading = self._app.reading
        batch = [each for each in batch if each.reading == reading]
        if not batch:
            return
        await self._handle([each.message for each in batch])
        if self._app.reading == reading:
            done: defaultdict[TP, list[int]] = defaultdict(list)
            for each in batch:
                done[each.tp].append(each.offset)
            self._app.acknowledge(done)

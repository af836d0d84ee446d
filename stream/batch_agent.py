"""A worker's Faust agent: hands batches to a handler, acknowledges what was handled, and nothing else.

Faust starts an agent that raised again *behind* the batch it failed on, and acknowledges in passing. So nothing may
leave the agent's body: whatever does ends the process, which starts again at the committed offset.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable, Sequence
from typing import Any, Generic, TypeVar

from stream.batches import batches
from stream.worker_app import WorkerApp

logger = logging.getLogger(__name__)

MessageT = TypeVar("MessageT")


class BatchAgent(Generic[MessageT]):
    """The one agent of ``app``, reading ``topic``.

    Parameters
    ----------
    read
        What the handler takes, of one of Faust's messages.
    handle
        Takes the messages of one batch, of any number of partitions, in order; returns once they are done.
    max_events, within_s
        Bounds of a batch: events, and seconds an event waits for others.
    """

    def __init__(
        self,
        app: WorkerApp,
        topic: str,
        read: Callable[[Any], MessageT],
        handle: Callable[[Sequence[MessageT]], Awaitable[None]],
        max_events: int,
        within_s: Callable[[MessageT], float],
    ) -> None:
        self._app = app
        self._read = read
        self._handle = handle
        self._max_events = max_events
        self._within_s = within_s
        self._ended: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        app.agent(app.channel_of(topic), name=f"{app.conf.id}.{topic}")(self._run)

    async def until_ended(self) -> None:
        """Wait until the agent can go on no more, which is as long as the worker lives; raises why."""
        await self._ended

    async def _run(self, stream: Any) -> None:
        try:
            async for batch in batches(stream, self._max_events, self._read, self._within_s):
                await self._handle([message for _, message in batch])
                for event, _ in batch:  # in order: a commit goes up to the first gap
                    await stream.ack(event)
            error: BaseException = RuntimeError("the stream of events ended while the worker was running")
        except asyncio.CancelledError as cancelled:
            if self._app.should_stop:
                raise
            error = RuntimeError("the agent was cancelled while the worker was running")
            error.__cause__ = cancelled
        except Exception as failed:
            error = failed
        if self._app.should_stop:
            return
        logger.error("batch_not_handled", extra={"reason": f"{type(error).__name__}: {error}"})
        if not self._ended.done():
            self._ended.set_exception(error)
        await asyncio.Event().wait()  # until the process has ended: an agent that returned would be started again

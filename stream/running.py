"""A worker at work: its Faust app and agent, its background tasks, its health port, and a clean end."""

from __future__ import annotations

import asyncio
import signal
from collections.abc import Awaitable, Callable, Coroutine, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any, Generic, TypeVar

from background.garbage import settle_down
from background.supervisor import TaskSupervisor
from personalization.errors import EpochClosed, Refused, Unavailable
from state.attempts import AttemptStore
from state.redis_memory import RedisMemory
from stream.batch_agent import BatchAgent
from stream.health import health_server
from stream.house import House
from stream.isolation import Isolation, Numbered
from stream.lag import LagWatch
from stream.metrics import WorkerMetrics
from stream.patience import Patience
from stream.worker_app import WorkerApp

MessageT = TypeVar("MessageT", bound=Numbered)


class Worker(Generic[MessageT]):
    """A worker at work: agent, background tasks, isolation of what kills it, health port.

    Parameters
    ----------
    process
        Handles a batch of messages, in order; what it raises ends the worker.
    message
        What ``process`` takes, of a partition's number, an entry as it was read, and the generation of its reader.
    within_s
        How long an entry waits for others to share its batch.
    reached
        Per partition, the offset up to which everything is done.
    on_given_up
        Told of each entry that has become a dead letter because it ended its worker.
    not_ready, warnings
        What keeps this role from its work, and what it does less well than it should, in words.

    Attributes
    ----------
    tasks
        Keeps the background tasks; ``async with worker.tasks`` around ``run``.
    """

    def __init__(
        self,
        *,
        house: House,
        role: str,
        topic: str,
        app: WorkerApp,
        metrics: WorkerMetrics,
        process: Callable[[Sequence[MessageT]], Awaitable[None]],
        message: Callable[[int, Any, int], MessageT],
        within_s: Callable[[MessageT], float],
        reached: Callable[[], Mapping[int, int]],
        on_given_up: Callable[[MessageT], Awaitable[None]],
        not_ready: Callable[[], str | None] = lambda: None,
        warnings: Callable[[], list[str]] = list,
    ) -> None:
        self._house = house
        self._app = app
        self._metrics = metrics
        self._role_not_ready = not_ready
        self._role_warnings = warnings
        self.tasks = TaskSupervisor(
            lambda name: metrics.task_restarts.labels(name).inc(), fatal=(Refused, EpochClosed)
        )
        isolation = Isolation(
            process,
            AttemptStore(house.redis, house.keys, role),
            house.log,
            topic,
            house.identity.epoch,
            Patience(metrics.retries, metrics.waiting),
            2 * house.settings.fold_batch,
            on_given_up,
        )
        # A worker that dies because a test told it to is nobody's fault.
        self._isolation = None if house.failpoints.armed else isolation
        self._process = isolation.process if self._isolation else process
        self._agent = BatchAgent(app, topic, message, self._process, house.settings.fold_batch, within_s)
        self._memory = RedisMemory(house.redis, metrics.redis_memory)
        self._lag = LagWatch(house.log, role, topic, app.owned_numbers, reached, metrics.lag, house.identity)

    async def run(self, stop: asyncio.Event) -> None:
        """Work until ``stop`` is set.

        Raises
        ------
        Exception
            Whatever the handling of a batch raised, or a background task that no restart can mend.
        """
        self._app.offset_policy.on_gap = self._metrics.gap
        self.tasks.keep("lag", self._lag.run)
        self.tasks.keep("redis-memory", self._memory.run)
        settings = self._house.settings
        health = health_server(
            self._metrics, settings.metrics_host, settings.metrics_port, self.not_ready, self.warnings
        )
        async with health:
            settle_down()
            await run_together(run_app(self._app, stop), self._agent.until_ended(), self.tasks.until_fatal())
        if self._isolation is not None:
            await self._isolation.close()

    def not_ready(self) -> str | None:
        """Why it is not ready, in words; None where it is."""
        for part, reason in self._metrics.waiting.items():
            return f"waiting for {part}: {reason}"
        return self._role_not_ready() or self._lag.not_ready()

    def warnings(self) -> list[str]:
        """What is not as well as it should be, a sentence each."""
        ended = [
            f"the background task {name} ended and was started again: {reason}"
            for name, reason in self.tasks.not_ready().items()
        ]
        memory = self._memory.warning()
        return [*ended, *([memory] if memory else []), *self._role_warnings()]


async def run_app(app: WorkerApp, stop: asyncio.Event) -> None:
    """Run ``app`` until ``stop`` is set, then stop it cleanly.

    Raises
    ------
    Unavailable
        If the log does not answer at the start: the supervisor tries again.
    Exception
        Whatever crashed the app.
    """
    stopping = asyncio.create_task(stop.wait())
    crashing = asyncio.create_task(app._crashed.wait())
    # A standby's start lasts until it owns something: it must be possible to stop it before.
    starting = asyncio.create_task(app.start())
    try:
        await asyncio.wait([starting, stopping, crashing], return_when=asyncio.FIRST_COMPLETED)
        if starting.done():
            starting.result()
            await asyncio.wait([stopping, crashing], return_when=asyncio.FIRST_COMPLETED)
    except (OSError, ConnectionError) as error:
        raise Unavailable(f"the log does not answer: {error}") from error
    finally:
        stopping.cancel()
        crashing.cancel()
        starting.cancel()
        await asyncio.gather(starting, return_exceptions=True)
        await app.stop()
    if app.crash_reason is not None:
        raise app.crash_reason


async def run_together(main: Coroutine[Any, Any, None], *background: Coroutine[Any, Any, None]) -> None:
    """Run ``main`` to its end with ``background`` tasks beside it; a background task that fails ends all."""
    leading = asyncio.create_task(main)
    running = {leading, *(asyncio.create_task(part) for part in background)}
    try:
        while not leading.done():
            done, running = await asyncio.wait(running, return_when=asyncio.FIRST_COMPLETED)
            for task in done:
                task.result()
    finally:
        for task in running:
            task.cancel()
        await asyncio.gather(*running, return_exceptions=True)


@contextmanager
def stop_signals() -> Iterator[asyncio.Event]:
    """An event that SIGTERM and SIGINT set while the block runs."""
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop.set)
    try:
        yield stop
    finally:
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.remove_signal_handler(number)

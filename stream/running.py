"""A worker at work: its Faust app, its background tasks, its health port, and a clean end."""

from __future__ import annotations

import asyncio
import signal
from collections.abc import Callable, Coroutine, Iterator, Mapping
from contextlib import contextmanager
from typing import Any

from personalization.errors import Unavailable
from stream.health import health_server
from stream.house import House
from stream.lag import LagWatch
from stream.metrics import WorkerMetrics
from stream.worker_app import WorkerApp

Background = Coroutine[Any, Any, None]


async def run_worker(
    house: House,
    role: str,
    topic: str,
    app: WorkerApp,
    metrics: WorkerMetrics,
    reached: Callable[[], Mapping[int, int]],
    *background: Background,
    stop: asyncio.Event,
    told_lag: Callable[[int], None] = lambda entries: None,
) -> None:
    """Run ``app`` and the ``background`` tasks until ``stop``; what is reached and how far behind is on a port.

    Parameters
    ----------
    reached
        Per partition, the offset up to which everything is done.
    told_lag
        Called every second with how many entries are not done yet.
    """
    app.offset_policy.on_gap = metrics.gap
    lag = LagWatch(house.log, role, topic, app.owned_numbers, reached, metrics.lag, told_lag)
    settings = house.settings
    async with health_server(metrics.registry, settings.host, settings.metrics_port, lag.not_ready):
        await run_together(run_app(app, stop), *background, lag.run())


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

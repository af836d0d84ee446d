"""The folder as a process: reads the visitor log, keeps the visitors' states, wakes who is due."""

from __future__ import annotations

import asyncio
import contextlib
from typing import Any

from config.settings import Settings
from eventlog.topics import VISITOR_LOG
from personalization.errors import Refused
from state.timers import RedisTimerStore
from state.visitor_store import RedisVisitorStore
from stream.batches import batches
from stream.clock import Clock
from stream.failpoints import Safeguard
from stream.folder import Folder, Message
from stream.house import open_house, worker_settings
from stream.log_lines import set_up_logging
from stream.metrics import FolderMetrics
from stream.running import run_worker, stop_signals
from stream.worker_app import WorkerApp, make_app

ROLE = "folder"


async def main(settings: Settings) -> None:
    """Fold until told to stop (SIGTERM, SIGINT).

    Raises
    ------
    Refused
        Where log and states do not belong together.
    """
    async with open_house(settings, ROLE) as house:
        metrics = FolderMetrics()
        app = make_app(ROLE, house.log, house.identity, worker_settings(settings))
        timers = RedisTimerStore(house.redis, house.keys)
        n_partitions = house.identity.n_partitions
        clock = Clock(timers, house.log, house.catalogs, app.owned_numbers, n_partitions, metrics)
        compare = Safeguard.COMPARE_AND_SET not in house.failpoints.unsafe
        folder = Folder(
            RedisVisitorStore(house.redis, house.keys, compare=compare),
            timers,
            house.log,
            house.catalogs,
            house.identity.epoch,
            metrics,
            house.failpoints,
            clock.settled,
        )
        refused: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        _add_agent(app, folder, settings, refused)
        background = (_raise_from(refused), clock.run(settings.timer_poll_ms))
        with stop_signals() as stop:
            await run_worker(house, ROLE, VISITOR_LOG, app, metrics, lambda: folder.reached, *background, stop=stop)


def _add_agent(app: WorkerApp, folder: Folder, settings: Settings, refused: asyncio.Future[None]) -> None:
    @app.agent(app.channel_of(VISITOR_LOG))
    async def fold(stream: Any) -> None:
        async for batch in batches(stream, settings.fold_batch, settings.fold_wait_ms / 1000):
            messages = [event.message for event in batch]
            try:
                await folder.process([Message(m.partition, m.offset, m.key, m.value) for m in messages])
            except Refused as error:
                # An agent that raised would be started again, and acknowledge what it never folded.
                with contextlib.suppress(asyncio.InvalidStateError):
                    refused.set_exception(error)
                await asyncio.Event().wait()
            for event in batch:
                await stream.ack(event)


async def _raise_from(refused: asyncio.Future[None]) -> None:
    await refused


def run(settings: Settings) -> None:
    """The process."""
    set_up_logging()
    asyncio.run(main(settings))

"""The folder as a process: reads the visitor log, keeps the visitors' states, wakes who is due."""

from __future__ import annotations

import asyncio
import contextlib
from typing import Any

from config.settings import Settings
from eventlog.topics import VISITOR_LOG
from personalization.errors import Refused
from state.catalog_follower import CatalogFollower
from state.catalog_store import CatalogStore
from state.timers import RedisTimerStore
from state.visitor_store import RedisVisitorStore
from stream.batches import batches
from stream.clock import Clock
from stream.failpoints import Safeguard
from stream.folder import Folder, Message
from stream.health import health_server
from stream.house import House, first_catalog, open_house, run_together, set_up_logging, worker_settings
from stream.lag import LagWatch
from stream.metrics import FolderMetrics
from stream.worker_app import WorkerApp, make_app, run_app

ROLE = "folder"


async def main(settings: Settings, stop: asyncio.Event | None = None) -> None:
    """Fold until told to stop (SIGTERM, SIGINT, or ``stop``).

    Raises
    ------
    Refused
        Where log and states do not belong together.
    """
    async with (
        open_house(settings, ROLE) as house,
        CatalogFollower(CatalogStore(house.redis, settings.namespace)) as catalogs,
    ):
        await run_folder(house, catalogs, stop)


async def run_folder(house: House, catalogs: CatalogFollower, stop: asyncio.Event | None = None) -> None:
    """The folder over the parts of a house."""
    settings = house.settings
    await first_catalog(catalogs)
    metrics = FolderMetrics()
    app = make_app(ROLE, house.log, house.identity, worker_settings(settings))

    def owned() -> list[int]:
        return [tp.partition for tp in app.owned_partitions()]

    timers = RedisTimerStore(house.redis, house.keys)
    clock = Clock(timers, house.log, catalogs, owned, house.identity.n_partitions, metrics)
    compare = Safeguard.COMPARE_AND_SET not in house.failpoints.unsafe
    folder = Folder(
        RedisVisitorStore(house.redis, house.keys, compare=compare),
        timers,
        house.log,
        catalogs,
        house.identity.epoch,
        metrics,
        house.failpoints,
        clock.settled,
    )
    refused: asyncio.Future[None] = asyncio.get_running_loop().create_future()
    _add_agent(app, folder, settings, refused)
    lag = LagWatch(house.log, ROLE, VISITOR_LOG, owned, lambda: folder.reached, metrics.lag)
    async with health_server(metrics.registry, settings.host, settings.metrics_port, lag.not_ready):
        await run_together(run_app(app, stop), _raise_from(refused), clock.run(settings.timer_poll_ms), lag.run())


def _add_agent(app: WorkerApp, folder: Folder, settings: Settings, refused: asyncio.Future[None]) -> None:
    @app.agent(app.channel_of(VISITOR_LOG))  # type: ignore[untyped-decorator]
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

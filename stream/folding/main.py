"""The folder as a process: reads the visitor log, keeps the visitors' states, wakes who is due."""

from __future__ import annotations

import asyncio

from background.cancelling import pause
from config.settings import Settings
from eventlog.topics import VISITOR_LOG
from installation.process_log import set_up_logging
from installation.visitors import visitors_of
from state.erasure_store import ErasureStore
from state.people import People
from state.timers import RedisTimerStore
from stream.failpoints import Safeguard
from stream.folding.batch_fold import Message
from stream.folding.clock import Clock
from stream.folding.eraser import Eraser
from stream.folding.folder import Folder
from stream.folding.log_trimmer import LogTrimmer
from stream.folding.sampling import OutcomeSampling
from stream.folding.sweep import Sweep
from stream.folding.urgency import Urgency
from stream.house import House, open_house, worker_settings
from stream.metrics import FolderMetrics
from stream.running import Worker, stop_signals
from stream.wall_clock import wall_clock_ms
from stream.worker_app import make_app

RULES_S = 2.0

ROLE, LEARNER = "folder", "learner"


async def main(settings: Settings) -> None:
    """Fold until told to stop (SIGTERM, SIGINT).

    Raises
    ------
    Refused
        If log and states do not belong together.
    Exception
        Whatever else nobody thought of: the process ends, and starts again at the committed offset.
    """
    async with open_house(settings, ROLE) as house:
        metrics = FolderMetrics()
        app = make_app(ROLE, house.log, house.identity, worker_settings(settings))
        timers = RedisTimerStore(house.redis, house.keys)
        clock = Clock(timers, house.log, house.catalogs, app.owned_numbers, house.identity, metrics)
        sampling = OutcomeSampling(house.log, LEARNER, metrics)
        compare = Safeguard.COMPARE_AND_SET not in house.failpoints.unsafe
        visitors = visitors_of(settings, house.redis, house.keys, house.cipher, compare)
        sweep = Sweep(house.redis, house.keys, visitors, timers, house.catalogs, app.owned_numbers, metrics)
        eraser = Eraser(
            house.redis,
            house.keys,
            People(house.redis, house.keys, visitors),
            timers,
            house.log,
            house.catalogs,
            app.owned_numbers,
            house.identity,
            metrics,
            settings.log_age_ms,
        )
        erasures = ErasureStore(house.redis, house.keys)
        trimmer = LogTrimmer(house.log, app.owned_numbers, metrics, settings.log_age_ms)
        folder = Folder(
            visitors,
            timers,
            house.log,
            house.catalogs,
            house.identity.epoch,
            metrics,
            house.failpoints,
            clock.settled,
            sampling.share,
            house.identity,
            lambda key, at_ms: erasures.ask((key,), wall_clock_ms(), before_ms=at_ms),
            house.tracer(metrics),
            clock.expect,
        )
        worker = Worker(
            house=house,
            role=ROLE,
            topic=VISITOR_LOG,
            app=app,
            metrics=metrics,
            process=folder.process,
            message=lambda partition, entry, _: Message(
                partition, entry.offset, entry.key, house.value_of(VISITOR_LOG, entry)
            ),
            within_s=Urgency(settings.fold_wait_ms / 1000, settings.fold_linger_ms / 1000).wait_s,
            reached=lambda: folder.reached,
            on_given_up=folder.given_up,
        )
        with stop_signals() as stop:
            async with worker.tasks:
                worker.tasks.keep("clock", lambda: clock.run(settings.timer_poll_ms))
                worker.tasks.keep("sampling", sampling.run)
                worker.tasks.keep("sweep", sweep.run)
                worker.tasks.keep("eraser", eraser.run)
                worker.tasks.keep("trimmer", trimmer.run)
                worker.tasks.keep("rules", lambda: _look_at_rules(folder, house))
                await worker.run(stop)


async def _look_at_rules(folder: Folder, house: House) -> None:
    """Show the rules that fail, until cancelled."""
    while True:
        folder.look_at_rules(house.catalogs.current)
        await pause(RULES_S)


def run(settings: Settings) -> None:
    """The process."""
    set_up_logging(settings.log)
    asyncio.run(main(settings))

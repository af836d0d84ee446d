"""The learner as a process of its own: learning never delays folding."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from typing import Any

from faust.types import TP

from config.settings import Settings
from eventlog.topics import OUTCOMES
from state.catalog_follower import CatalogFollower
from state.catalog_store import CatalogStore
from state.checkpoint_store import CheckpointStore
from state.conversion_store import ConversionPublisher
from state.model_store import ModelPublisher
from stream.batches import batches
from stream.conversion_learner import ConversionLearning
from stream.health import health_server
from stream.house import (
    House,
    first_catalog,
    open_house,
    run_together,
    set_up_logging,
    stop_signals,
    worker_settings,
)
from stream.lag import LagWatch
from stream.learner import LearnedMessage, Learner
from stream.metrics import LearnerMetrics
from stream.transports.offsets import OffsetPolicy
from stream.worker_app import WorkerApp, make_app, run_app

ROLE = "learner"

LEARN_WAIT_S = 0.005
"""How long a batch of outcomes waits to fill, unless weights are to be published sooner than that."""


async def main(settings: Settings, stop: asyncio.Event | None = None) -> None:
    """Learn until told to stop (SIGTERM, SIGINT, or ``stop``).

    Raises
    ------
    Refused
        Where log and states do not belong together.
    """
    async with (
        open_house(settings, ROLE) as house,
        CatalogFollower(CatalogStore(house.redis, settings.namespace)) as catalogs,
    ):
        await run_learner(house, catalogs, stop)


async def run_learner(house: House, catalogs: CatalogFollower, stop: asyncio.Event | None = None) -> None:
    """The learner over the parts of a house."""
    settings = house.settings
    await first_catalog(catalogs)
    metrics = LearnerMetrics()
    secret = settings.secret.encode()
    policy = OffsetPolicy(commits_acked=False)
    app = make_app(ROLE, house.log, house.identity, worker_settings(settings), offset_policy=policy)

    async def commit(offsets: dict[int, int]) -> bool:
        return await app.commit_offsets({app.tp(OUTCOMES, number): offset for number, offset in offsets.items()})

    learner = Learner(
        house.log,
        CheckpointStore(house.redis, house.keys),
        ModelPublisher(house.redis, house.keys, secret),
        catalogs,
        secret,
        house.identity.epoch,
        metrics,
        commit,
        house.failpoints,
        conversions=ConversionLearning(
            ConversionPublisher(house.redis, house.keys),
            secret,
            metrics.registry,
            max(settings.publish_ms, settings.publish_conversion_ms),
        ),
    )

    async def start_offsets(assigned: set[TP]) -> Mapping[TP, int]:
        partitions = {tp.partition for tp in assigned}
        reached = await learner.assigned(partitions, app.lease_generation)
        return {app.tp(OUTCOMES, number): offset for number, offset in reached.items()}

    policy.start_offsets = start_offsets
    _add_agent(app, learner, settings)

    def owned() -> list[int]:
        return [tp.partition for tp in app.owned_partitions()]

    lag = LagWatch(house.log, ROLE, OUTCOMES, owned, lambda: learner.reached, metrics.lag)
    async with health_server(metrics.registry, settings.host, settings.metrics_port, lag.not_ready):
        with stop_signals() as signalled:
            stop = stop or signalled
            stopping = asyncio.Event()
            await run_together(
                run_app(app, stopping),
                _save_before(stop, stopping, learner),
                learner.run_publishing(settings.publish_ms),
                learner.run_saving(settings.checkpoint_ms, settings.checkpoint_outcomes),
                lag.run(),
            )


async def _save_before(stop: asyncio.Event, stopping: asyncio.Event, learner: Learner) -> None:
    """A last checkpoint while the partitions are still ours."""
    await stop.wait()
    await learner.save()
    stopping.set()


def _add_agent(app: WorkerApp, learner: Learner, settings: Settings) -> None:
    @app.agent(app.channel_of(OUTCOMES))  # type: ignore[untyped-decorator]
    async def learn(stream: Any) -> None:
        wait_s = min(LEARN_WAIT_S, settings.publish_ms / 2_000)
        async for batch in batches(stream, settings.fold_batch, wait_s):
            messages = [event.message for event in batch]
            await learner.process(
                [LearnedMessage(m.partition, m.offset, m.key, m.value, m.generation_id) for m in messages]
            )
            for event in batch:
                await stream.ack(event)


def run(settings: Settings) -> None:
    """The process."""
    set_up_logging()
    asyncio.run(main(settings))

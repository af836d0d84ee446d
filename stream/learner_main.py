"""The learner as a process of its own: learning never delays folding."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from typing import Any

from faust.types import TP

from config.settings import Settings
from eventlog.topics import OUTCOMES
from state.checkpoint_store import CheckpointStore
from state.conversion_store import ConversionPublisher
from state.model_store import ModelPublisher
from stream.batches import batches
from stream.conversion_training import ConversionTraining
from stream.house import open_house, worker_settings
from stream.learner import LearnedMessage, Learner
from stream.log_lines import set_up_logging
from stream.metrics import LearnerMetrics
from stream.partitions import Partitions
from stream.placement_training import PlacementTraining
from stream.running import run_worker, stop_signals
from stream.training import Trainings
from stream.transports.offsets import OffsetPolicy
from stream.worker_app import WorkerApp, make_app

ROLE = "learner"

LEARN_WAIT_S = 0.005
"""How long a batch of outcomes waits to fill, unless weights are to be published sooner than that."""


async def main(settings: Settings) -> None:
    """Learn until told to stop (SIGTERM, SIGINT).

    Raises
    ------
    Refused
        Where log, states and checkpoints do not belong together.
    """
    async with open_house(settings, ROLE) as house:
        metrics = LearnerMetrics()
        policy = OffsetPolicy(commits_acked=False)
        app = make_app(ROLE, house.log, house.identity, worker_settings(settings), offset_policy=policy)

        async def commit(offsets: dict[int, int]) -> bool:
            return await app.commit_offsets({app.tp(OUTCOMES, at): offset for at, offset in offsets.items()})

        secret = settings.secret.encode()
        trainings = Trainings(
            PlacementTraining(ModelPublisher(house.redis, house.keys, secret), secret),
            ConversionTraining(
                ConversionPublisher(house.redis, house.keys),
                secret,
                metrics,
                max(settings.publish_ms, settings.publish_conversion_ms),
            ),
        )
        checkpoints = CheckpointStore(house.redis, house.keys)
        epoch = house.identity.epoch
        partitions = Partitions(checkpoints, trainings, house.catalogs, epoch, metrics)
        learner = Learner(house.log, partitions, trainings, house.catalogs, metrics, commit, house.failpoints)

        async def start_offsets(assigned: set[TP]) -> Mapping[TP, int]:
            reached = await learner.assigned({tp.partition for tp in assigned}, app.lease_generation)
            return {app.tp(OUTCOMES, number): offset for number, offset in reached.items()}

        policy.start_offsets = start_offsets
        _add_agent(app, learner, settings)
        stopping = asyncio.Event()
        with stop_signals() as stop:
            background = (
                _save_before(stop, stopping, learner),
                learner.run_publishing(settings.publish_ms),
                learner.run_saving(settings.checkpoint_ms, settings.checkpoint_outcomes),
                learner.run_catching_up(),
            )
            await run_worker(
                house,
                ROLE,
                OUTCOMES,
                app,
                metrics,
                lambda: learner.reached,
                *background,
                stop=stopping,
            )


async def _save_before(stop: asyncio.Event, stopping: asyncio.Event, learner: Learner) -> None:
    """A last checkpoint while the partitions are still ours."""
    await stop.wait()
    await learner.save()
    stopping.set()


def _add_agent(app: WorkerApp, learner: Learner, settings: Settings) -> None:
    @app.agent(app.channel_of(OUTCOMES))
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

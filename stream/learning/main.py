"""The learner as a process of its own: learning never delays folding."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping

from faust.types import TP

from config.settings import Settings
from eventlog.topics import OUTCOMES
from installation.process_log import set_up_logging
from installation.secrets_of import secrets_of
from state.checkpoint_store import CheckpointStore
from state.conversion_store import ConversionPublisher
from state.model_store import ModelPublisher
from stream.house import open_house, worker_settings
from stream.learning.conversion_training import ConversionTraining
from stream.learning.learner import LearnedMessage, Learner
from stream.learning.partitions import Partitions
from stream.learning.placement_training import PlacementTraining
from stream.learning.training import Trainings
from stream.metrics import LearnerMetrics
from stream.running import Worker, stop_signals
from stream.transports.offsets import OffsetPolicy
from stream.worker_app import make_app

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

        key = secrets_of(settings).key("models")
        trainings = Trainings(
            PlacementTraining(
                ModelPublisher(house.redis, house.keys, key, house.cipher),
                key,
                metrics.registry,
                house.tracer(metrics),
            ),
            ConversionTraining(
                ConversionPublisher(house.redis, house.keys, house.cipher),
                key,
                metrics,
                max(settings.publish_ms, settings.publish_conversion_ms),
            ),
        )
        checkpoints = CheckpointStore(house.redis, house.keys, house.cipher)
        epoch = house.identity.epoch
        partitions = Partitions(checkpoints, trainings, house.catalogs, epoch, metrics)
        learner = Learner(house.log, partitions, trainings, house.catalogs, metrics, commit, house.failpoints)

        async def start_offsets(assigned: set[TP]) -> Mapping[TP, int]:
            reached = await learner.assigned({tp.partition for tp in assigned}, app.lease_generation)
            return {app.tp(OUTCOMES, number): offset for number, offset in reached.items()}

        policy.start_offsets = start_offsets
        wait_s = min(LEARN_WAIT_S, settings.publish_ms / 2_000)
        worker = Worker(
            house=house,
            role=ROLE,
            topic=OUTCOMES,
            app=app,
            metrics=metrics,
            process=learner.process,
            message=lambda partition, entry, generation: LearnedMessage(
                partition, entry.offset, entry.key, house.value_of(OUTCOMES, entry), generation
            ),
            within_s=lambda _: wait_s,
            reached=lambda: learner.reached,
            on_given_up=learner.given_up,
            not_ready=learner.not_ready,
            warnings=learner.warnings,
        )
        stopping = asyncio.Event()
        with stop_signals() as stop:
            async with worker.tasks:
                worker.tasks.keep("publishing", lambda: learner.run_publishing(settings.publish_ms))
                worker.tasks.keep(
                    "saving", lambda: learner.run_saving(settings.checkpoint_ms, settings.checkpoint_outcomes)
                )
                worker.tasks.keep("catching_up", learner.run_catching_up)
                worker.tasks.keep("stopping", lambda: _finish(stop, stopping, learner), may_return=True)
                await worker.run(stopping)


async def _finish(stop: asyncio.Event, stopping: asyncio.Event, learner: Learner) -> None:
    """A last checkpoint and a last publish, while the partitions are still ours.

    Without them what they would hold is learned again, and served to nobody until another learner runs.
    """
    await stop.wait()
    try:
        await learner.save()
        await learner.publish(at_once=True)
    finally:
        stopping.set()


def run(settings: Settings) -> None:
    """The process."""
    set_up_logging(settings.log)
    asyncio.run(main(settings))

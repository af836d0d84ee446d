"""An error nobody thought of is never success (the rule *Workers*), in real processes on both logs.

Each awaited call by which a worker handles its batches fails once, before its effect or after it. What fails in the
handling of a batch ends the process; what fails in the background is started again. In the end states and models
are those of a plain loop over the log.
"""

from __future__ import annotations

import pytest

from tests.integration.crashing import System
from tests.integration.oracle import differences, fold_all
from tests.integration.test_crash_exactness import LOGS, assert_learned, make_system

pytestmark = [pytest.mark.slow, pytest.mark.timeout(300)]

__all__ = ["make_system"]

FOLDER = (
    "state.attempts:AttemptStore.get:before",
    "state.attempts:AttemptStore.put:after",
    "state.catalog_follower:CatalogFollower.get:before",
    "state.visitor_store:RedisVisitorStore.load:before",
    "stream.folder:Folder._emit:before",
    "stream.folder:Folder._emit:after",
    "state.timers:RedisTimerStore.add:after",
    "state.visitor_store:RedisVisitorStore.save:before",
    "state.visitor_store:RedisVisitorStore.save:after",
    "state.timers:RedisTimerStore.remove:before",
)
"""What the handling of a batch calls: its failure ends the folder."""

FOLDER_BACKGROUND = ("state.timers:RedisTimerStore.due:after", "stream.clock:Clock.tick:after")

LEARNER = (
    "state.checkpoint_store:CheckpointStore.open:before",
    "state.checkpoint_store:CheckpointStore.load:after",
)
"""What taking partitions over calls: its failure ends the learner."""

LEARNER_BACKGROUND = (
    "state.model_store:ModelPublisher.publish:after",
    "state.conversion_store:ConversionPublisher.publish:before",
    "state.checkpoint_store:CheckpointStore.save:before",
    "state.checkpoint_store:CheckpointStore.save:after",
    "stream.worker_app:WorkerApp.commit_offsets:before",
)


async def fail_in_turn(system: System, role: str, calls: tuple[str, ...], *, ends: bool) -> None:
    """Start a worker for each of the calls, wait until it failed, and see whether it ended by that."""
    for call in calls:
        worker = system.start(role, raises=call)
        await system.burst_until(lambda worker=worker: worker.fact is not None, f"{call} was reached")
        if ends:
            await system.burst_until(lambda worker=worker: not worker.runs, f"{call} ended the {role}")
            assert worker.exit_code == 1, worker.output()
            assert "UnknownError" in worker.output()
            # So many deaths at one place would be laid to the entry there, which has done nothing.
            await system.redis.delete(system.keys.attempts(role))
        else:
            await system.burst()
            assert worker.runs, worker.output()
            assert worker.stop() == 0, worker.output()


@pytest.mark.parametrize("log", LOGS)
async def test_every_call_of_the_folder_may_fail_and_nothing_is_lost(make_system, log: str) -> None:
    system = await make_system(log, seed=41)
    await fail_in_turn(system, "folder", FOLDER, ends=True)
    await fail_in_turn(system, "folder", FOLDER_BACKGROUND, ends=False)
    folder = system.start("folder")
    await system.burst()
    await system.settle()
    assert folder.stop() == 0, folder.output()
    assert await differences(system.redis, system.keys, system.log, system.catalog) == []
    assert len((await fold_all(system.log, system.catalog)).outcomes) > 50


@pytest.mark.parametrize("log", LOGS)
async def test_every_call_of_the_learner_may_fail_and_nothing_is_lost(make_system, log: str) -> None:
    system = await make_system(log, seed=42)
    folder = system.start("folder")
    await fail_in_turn(system, "learner", LEARNER, ends=True)
    await fail_in_turn(system, "learner", LEARNER_BACKGROUND, ends=False)
    learner = system.start("learner")
    await system.burst()
    await system.settle(learner=True)
    assert learner.stop() == 0, learner.output()
    assert folder.stop() == 0, folder.output()
    await assert_learned(system)

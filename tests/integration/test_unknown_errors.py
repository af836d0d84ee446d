"""An error nobody thought of is never success (the rule *Workers*), in real processes on both logs.

Each awaited call by which a worker handles its batches fails once, before its effect or after it. What fails in the
handling of a batch ends the process; what fails in the background is started again. In the end states and models
are those of a plain loop over the log.
"""

from __future__ import annotations

import asyncio
import time
from functools import partial

import pytest

from eventlog.dead_letters import DeadLetter, decode_dead_letter
from eventlog.port import Record
from eventlog.topics import DEAD_LETTERS, VISITOR_LOG
from personalization.events.entry import Entry, decode_entry, encode_entry
from personalization.events.event import Link
from stream.isolation import DEATHS_ALONE, DEATHS_TOGETHER
from tests.integration.crashing import MakeSystem, System, Worker
from tests.integration.oracle import differences, fold_all
from tests.integration.test_crash_exactness import LOGS, assert_learned, make_system

pytestmark = [pytest.mark.slow, pytest.mark.timeout(300)]

__all__ = ["make_system"]

FOLDER = (
    "state.attempts:AttemptStore.get:before",
    "state.attempts:AttemptStore.put:after",
    "state.catalog_follower:CatalogFollower.get:before",
    "state.visitor_store:RedisVisitorStore.load:before:9",  # the sweep loads too, which begins again
    "stream.folding.emitter:Emitter.emit:before",
    "stream.folding.emitter:Emitter.emit:after",
    "state.visitor_store:RedisVisitorStore.save:before",
    "state.visitor_store:RedisVisitorStore.save:after",
    "state.timers:RedisTimerStore.remove:before",
)
"""What the handling of a batch calls: its failure ends the folder."""

FOLDER_BACKGROUND = ("state.timers:RedisTimerStore.look:after", "stream.folding.clock:Clock.tick:after")

LEARNER = (
    "state.checkpoint_store:CheckpointStore.open:before",
    "state.checkpoint_store:CheckpointStore.header:after",
)
"""What taking partitions over calls: its failure ends the learner."""

LEARNER_BACKGROUND = (
    "state.model_store:ModelPublisher.publish:after",
    "state.conversion_store:ConversionPublisher.publish:before",
    "state.checkpoint_store:CheckpointStore.save:before",
    "state.checkpoint_store:CheckpointStore.save:after",
    "stream.worker_app:WorkerApp.commit_offsets:before",
)


def met(worker: Worker, calls: tuple[str, ...]) -> bool:
    return {fact["point"] for fact in worker.facts} == set(calls)


def ended(worker: Worker) -> bool:
    return not worker.runs


async def end_in_turn(system: System, role: str, calls: tuple[str, ...]) -> None:
    """Start a worker for each of the calls, wait until it failed, and see that it ended by that."""
    for call in calls:
        worker = system.start(role, raises=call)
        await system.burst_until(partial(met, worker, (call,)), f"{call} was reached")
        await system.burst_until(partial(ended, worker), f"{call} ended the {role}")
        assert worker.exit_code == 1, worker.output()
        assert "UnknownError" in worker.output()
        # So many deaths at one place would be laid to the entry there, which has done nothing.
        await system.redis.delete(system.keys.attempts(role))


async def outlive(system: System, role: str, calls: tuple[str, ...]) -> None:
    """Start one worker in which each of the calls fails, and see that it goes on."""
    worker = system.start(role, raises=" ".join(calls))
    await system.burst_until(partial(met, worker, calls), f"each of {calls} was reached")
    await system.burst()
    assert worker.runs, worker.output()
    assert worker.stop() == 0, worker.output()


@pytest.mark.parametrize("log", LOGS)
async def test_every_call_of_the_folder_may_fail_and_nothing_is_lost(make_system: MakeSystem, log: str) -> None:
    system = await make_system(log, seed=41)
    await end_in_turn(system, "folder", FOLDER)
    await outlive(system, "folder", FOLDER_BACKGROUND)
    folder = system.start("folder")
    await system.burst()
    await system.settle()
    assert folder.stop() == 0, folder.output()
    assert await differences(system.redis, system.keys, system.log, system.catalog) == []
    assert len((await fold_all(system.log, system.catalog)).outcomes) > 50


@pytest.mark.redis
async def test_every_call_of_the_learner_may_fail_and_nothing_is_lost(make_system: MakeSystem) -> None:
    """Its checkpoints stand in Redis, whatever the log is."""
    system = await make_system("redis", seed=42)
    folder = system.start("folder")
    await end_in_turn(system, "learner", LEARNER)
    await outlive(system, "learner", LEARNER_BACKGROUND)
    # There are copies of models by now, which the next learner takes over: one that fails is put aside alone.
    blobs = "state.checkpoint_store:CheckpointStore.blobs:after"
    await outlive(system, "learner", (blobs,))
    # All four stay aside for seconds, while the learner commits past what waits for them, and catch up in the end.
    await learned_to_the_end(system, folder, raises=f"{blobs}:12")


@pytest.mark.kafka
async def test_what_a_learner_commits_may_fail_and_nothing_is_lost(make_system: MakeSystem) -> None:
    """Of what it calls that alone is answered by the log."""
    system = await make_system("kafka", seed=42)
    folder = system.start("folder")
    await outlive(system, "learner", ("stream.worker_app:WorkerApp.commit_offsets:before",))
    await learned_to_the_end(system, folder)


async def learned_to_the_end(system: System, folder: Worker, raises: str = "") -> None:
    learner = system.start("learner", raises=raises)
    await system.burst()
    await system.settle(learner=True)
    assert learner.stop() == 0, learner.output()
    assert folder.stop() == 0, folder.output()
    await assert_learned(system)


@pytest.mark.redis
async def test_an_entry_that_ends_its_worker_becomes_a_dead_letter_and_the_others_are_folded(
    make_system: MakeSystem,
) -> None:
    system = await make_system("redis", seed=43)
    # Something else has taken the name of a visitor's state: the script that writes it fails, whoever runs it.
    await system.redis.lpush(system.keys.visitor("a:bad"), "not a visitor")
    await system.log.append(system.load.burst())
    (place,) = await system.log.append([bad_record(system.catalog.version)])
    await system.log.append(system.load.burst())
    n_deaths = 0
    folder = system.start("folder")

    async def keep_it_running() -> None:
        nonlocal folder, n_deaths
        while True:
            if not folder.runs:
                assert "WRONGTYPE" in folder.output(), f"ended with {folder.exit_code}: {folder.output()}"
                n_deaths += 1
                folder = system.start("folder")
            await asyncio.sleep(0.05)

    keeping = asyncio.create_task(keep_it_running())
    await system.settle()
    keeping.cancel()
    (letter,) = await dead_letters(system)
    assert (letter.partition, letter.offset, letter.key) == (place.partition, place.offset, b"a:bad")
    assert letter.code == "ends_its_worker"
    assert decode_entry(letter.value).event == Link(canonical="a:bad")
    assert n_deaths >= DEATHS_TOGETHER + DEATHS_ALONE
    assert folder.stop() == 0, folder.output()
    await system.redis.delete(system.keys.visitor("a:bad"))
    assert await differences(system.redis, system.keys, system.log, system.catalog) == ["a:bad: another state"]


def bad_record(catalog_version: int) -> Record:
    at_ms = time.time_ns() // 1_000_000
    event = Link(canonical="a:bad")  # asks for nothing more, so that there is one such entry
    entry = Entry(received_at_ms=at_ms, occurred_at_ms=at_ms, catalog_version=catalog_version, event=event)
    return Record(VISITOR_LOG, "a:bad", encode_entry(entry))


async def dead_letters(system: System) -> list[DeadLetter]:
    found = []
    for partition in range(system.settings.partitions):
        found += [decode_dead_letter(each.value) async for each in system.log.read(DEAD_LETTERS, partition, 0)]
    return found

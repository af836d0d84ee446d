"""Whatever kills the workers, what is left is what a plain loop over the log gives.

Each kill happens at a named point of an unacknowledged batch that holds more than 64 entries of one visitor.
"""

from __future__ import annotations

import random
import signal
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from installation.secrets_of import secrets_of
from online_models.conversion.book import ConversionBook
from online_models.snapshot import unpack_version
from personalization.events.entry import decode_entry
from personalization.events.event import Merged, Offered
from state.embedded import EmbeddedRedis
from state.model_store import read_model
from stream.failpoints import Failpoint
from tests.integration.crashing import MakeSystem, System, Worker, settings_of, until
from tests.integration.oracle import differences, fold_all, learn_all

pytestmark = [pytest.mark.slow, pytest.mark.timeout(240)]

LOGS = [
    pytest.param("redis", marks=pytest.mark.redis),
    pytest.param("kafka", marks=[pytest.mark.redis, pytest.mark.kafka]),
]
FOLDER_POINTS = (
    Failpoint.LOADED,
    Failpoint.EMITTED,
    Failpoint.WRITTEN,
    Failpoint.TIDIED_UP,
)
NAMED = {
    "folder": [f"{point}:kill:1" for point in (*FOLDER_POINTS, Failpoint.HALF_MERGED)],
    "learner": [f"{Failpoint.TRAINED}:kill:1", f"{Failpoint.CHECKPOINTED}:kill:1"],
}


def seeded_points(role: str, seed: int, n: int) -> list[str]:
    """Where and at which pass ``n`` workers die."""
    draw = random.Random(seed)
    points = FOLDER_POINTS if role == "folder" else (Failpoint.TRAINED, Failpoint.CHECKPOINTED)
    return [f"{draw.choice(points)}:kill:{draw.randint(1, 3)}" for _ in range(n)]


@pytest.fixture
async def make_system(
    request: pytest.FixtureRequest, redis_server: EmbeddedRedis, namespace: str, tmp_path: Path
) -> AsyncIterator[MakeSystem]:
    systems: list[System] = []

    async def make(log: str, seed: int, unsafe: str = "") -> System:
        kafka = request.getfixturevalue("kafka_server") if log == "kafka" else ""
        system = System(settings_of(kafka, redis_server.url, namespace), tmp_path, seed, unsafe)
        systems.append(system)
        return await system.__aenter__()

    yield make
    for system in systems:
        await system.__aexit__()


async def kill_them(system: System, points: dict[str, list[str]]) -> list[Worker]:
    """Keep two workers of each role alive, each doomed, until all have met their points; gives the dead."""
    waiting = {role: list(of_role) for role, of_role in points.items()}
    alive: list[Worker] = []
    dead: list[Worker] = []
    n_doomed = sum(map(len, points.values()))

    def next_generation() -> bool:
        for worker in list(alive):
            if worker.exit_code is not None:
                assert worker.exit_code == -signal.SIGKILL, worker.output()
                alive.remove(worker)
                dead.append(worker)
        for role, of_role in waiting.items():
            while of_role and sum(worker.role == role for worker in alive) < 2:
                alive.append(system.start(role, of_role.pop(0)))
        if len(dead) < n_doomed and not any(worker.role == "folder" for worker in system.workers if worker.runs):
            system.start("folder")  # the learners left need outcomes to die of
        return len(dead) == n_doomed

    await system.burst_until(next_generation, f"{n_doomed} workers are dead", 30.0 + 15.0 * n_doomed)
    return dead


def assert_hit_in_mid_batch(dead: list[Worker]) -> None:
    for worker in dead:
        fact = worker.fact
        assert fact is not None, f"{worker.role} {worker.point} died elsewhere"
        assert fact["point"] == worker.point.split(":")[0]
        if worker.role == "folder":
            assert fact["entries"] > 0
            if fact["point"] != Failpoint.HALF_MERGED:
                assert fact["most_of_one"] > 64
        elif fact["point"] == Failpoint.TRAINED:
            assert fact["unsaved"] > 0


async def assert_learned(system: System) -> None:
    """The learners' checkpoints and published models are those of a plain loop over outcomes and examples."""
    expected = await learn_all(system.log, system.catalog)
    learned = await system.learned()
    assert learned.keys() == expected.keys() == {"hero", "cart", "cart@b", "conversion:buys", "conversion:clicks"}
    for placement, model in expected.items():
        left, right = learned[placement].dump(), model.dump()
        if isinstance(model, ConversionBook):
            assert left == right
            assert model.n_learned > 20
            continue
        del left["spec"], right["spec"]  # the same, however it is spelt
        assert left == right
        published = await read_model(
            system.redis, system.keys, placement, secrets_of(system.settings).key("models")
        )
        assert published is not None
        generation, n_learned = unpack_version(published.snapshot.version)
        assert n_learned == model.n_learned
        assert published.snapshot.encode().arms == model.snapshot(generation).encode().arms


@pytest.mark.parametrize("log", LOGS)
@pytest.mark.parametrize(
    "doomed",
    [
        pytest.param("named", id="at-every-named-point"),
        pytest.param("seeded", id="at-ten-seeded-points"),
    ],
)
async def test_killed_workers_change_nothing(make_system: MakeSystem, log: str, doomed: str) -> None:
    system = await make_system(log, seed=7 if doomed == "named" else 11)
    points = NAMED if doomed == "named" else {role: seeded_points(role, 3, n) for role, n in SEEDED}
    dead = await kill_them(system, points)
    assert_hit_in_mid_batch(dead)
    folder, learner = system.start("folder"), system.start("learner")
    await system.burst()
    await system.settle(learner=True)
    assert learner.stop() == 0, learner.output()
    assert folder.stop() == 0, folder.output()
    assert await differences(system.redis, system.keys, system.log, system.catalog) == []
    oracle = await fold_all(system.log, system.catalog)
    assert len(oracle.outcomes) > 50
    derived = {type(decode_entry(data).event) for data in oracle.derived.values()}
    assert {Merged, Offered} <= derived
    assert any(b"withdrawn" in data for data in oracle.outcomes.values()), "some refused while decisions were open"
    await assert_learned(system)


SEEDED = (("folder", 6), ("learner", 4))


@pytest.mark.parametrize("log", LOGS)
async def test_a_learner_that_is_stopped_publishes_what_it_learned(make_system: MakeSystem, log: str) -> None:
    system = await make_system(log, seed=12)
    system.environment["NEXTBEST_PUBLISH_MS"] = "3600000"
    system.start("folder")
    learner = system.start("learner")
    for _ in range(3):
        await system.burst()
    await system.settle(learner=True)
    assert learner.stop() == 0, learner.output()
    await assert_learned(system)


async def freeze_and_go_on(system: System, role: str, point: str, topic_learned: bool = False) -> Worker:
    """Freeze a worker past its lease, let another take over and finish, then let the first go on."""
    zombie = system.start(role, f"{point}:stop:1")
    await system.burst_until(lambda: zombie.fact is not None, "the worker froze")
    system.start(role)
    await system.burst()
    await system.settle(learner=topic_learned)
    zombie.go_on()
    for _ in range(2):
        await system.burst()
        await system.settle(learner=topic_learned)
    return zombie


@pytest.mark.parametrize("log", LOGS)
async def test_zombie_folder_writes_nothing(make_system: MakeSystem, log: str) -> None:
    system = await make_system(log, seed=21)
    zombie = await freeze_and_go_on(system, "folder", Failpoint.LOADED)
    assert zombie.fact is not None
    assert zombie.fact["most_of_one"] > 64
    assert await differences(system.redis, system.keys, system.log, system.catalog) == []


@pytest.mark.parametrize("log", LOGS)
async def test_zombie_learner_publishes_nothing(make_system: MakeSystem, log: str) -> None:
    system = await make_system(log, seed=22)
    folder = system.start("folder")
    await freeze_and_go_on(system, "learner", Failpoint.TRAINED, topic_learned=True)
    for worker in system.workers:
        if worker is not folder:
            worker.stop()
    await assert_learned(system)


async def _differ(system: System) -> bool:
    return bool(await differences(system.redis, system.keys, system.log, system.catalog))


@pytest.mark.redis
async def test_without_the_fence_entries_count_twice(make_system: MakeSystem) -> None:
    system = await make_system("redis", seed=31, unsafe="fence")
    await kill_them(system, {"folder": [f"{Failpoint.WRITTEN}:kill:1"]})
    system.start("folder")
    await system.settle()
    assert await _differ(system)


@pytest.mark.redis
async def test_without_the_comparison_a_zombie_undoes_what_its_successor_wrote(make_system: MakeSystem) -> None:
    system = await make_system("redis", seed=32, unsafe="compare-and-set")
    await freeze_and_go_on(system, "folder", Failpoint.LOADED)
    assert await _differ(system)


@pytest.mark.redis
async def test_with_state_written_before_the_emission_outcomes_are_lost(make_system: MakeSystem) -> None:
    system = await make_system("redis", seed=33, unsafe="emit-before-write")
    await kill_them(system, {"folder": [f"{Failpoint.WRITTEN}:kill:{n}" for n in (1, 2, 1)]})
    system.start("folder")
    await system.settle()

    async def outcomes_are_missing() -> bool:
        found = await differences(system.redis, system.keys, system.log, system.catalog)
        return any(line.startswith(("outcome", "derived entry")) and line.endswith("missing") for line in found)

    await until(outcomes_are_missing, "an outcome is missing", 5)

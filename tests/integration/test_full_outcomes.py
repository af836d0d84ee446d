"""A log on Redis Streams that stands at its bound: what frees it must not wait for it (the rule *Workers*)."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest
from redis.asyncio import Redis

from eventlog.port import Record
from eventlog.redis_streams import RedisStreamsLog
from eventlog.topics import DAY_MS, OUTCOMES, Topics
from installation.redis_clients import worker_client
from personalization.catalog.compiled_catalog import compile_catalog
from personalization.errors import LogFull
from personalization.events.outcome import ClosingReason, Outcome, encode_outcome
from personalization.visitor.choice import Choice
from state.checkpoint_store import CheckpointStore
from state.conversion_store import ConversionPublisher
from state.keys import Keys
from state.model_store import ModelPublisher
from stream.learning.conversion_training import ConversionTraining
from stream.learning.learner import LearnedMessage, Learner
from stream.learning.partitions import Partitions
from stream.learning.placement_training import PlacementTraining
from stream.learning.training import Trainings
from stream.metrics import LearnerMetrics
from tests.integration.workload import catalog
from tests.unit.stream.fakes import FixedCatalog

pytestmark = pytest.mark.redis
LOG_BYTES = 64_000


@pytest.fixture
async def redis(redis_url: str) -> AsyncIterator[Redis]:
    client = worker_client(redis_url)
    yield client
    await client.aclose()


@pytest.fixture
async def log(redis_url: str) -> AsyncIterator[RedisStreamsLog]:
    log = RedisStreamsLog(redis_url, Topics.bounded("t.", LOG_BYTES, DAY_MS))
    await log.create(1)
    yield log
    await log.close()


def a_learner(log: RedisStreamsLog, redis: Redis) -> Learner:
    keys, metrics = Keys("t"), LearnerMetrics()
    trainings = Trainings(
        PlacementTraining(ModelPublisher(redis, keys, b"s"), b"s"),
        ConversionTraining(ConversionPublisher(redis, keys), b"s", metrics),
    )
    catalogs = FixedCatalog(compile_catalog(catalog(), 1))
    partitions = Partitions(CheckpointStore(redis, keys), trainings, catalogs, 1, metrics)

    async def commit(offsets: dict[int, int]) -> None:
        """Nobody looks."""

    return Learner(log, partitions, trainings, catalogs, metrics, commit)


async def fill(log: RedisStreamsLog, first: int) -> int:
    """Append until the log refuses; how many there are then."""
    for number in range(first, first + 10_000):
        outcome = Outcome(Choice(f"d{number}", "hero", 0, "red", 2**31), 1.0, ClosingReason.WINDOW, 0, 1)
        try:
            await log.append([Record(OUTCOMES, "hero", encode_outcome(outcome))])
        except LogFull:
            return number
    raise AssertionError("it is never full")


async def learn(learner: Learner, log: RedisStreamsLog) -> None:
    first = learner.reached[0] + 1
    read = [entry async for entry in log.read(OUTCOMES, 0, first)]
    await learner.process([LearnedMessage(0, e.offset, e.key.encode(), e.value, 1) for e in read])


async def test_a_log_that_is_full_before_the_first_checkpoint_goes_on_after_it(
    log: RedisStreamsLog, redis: Redis
) -> None:
    n = await fill(log, 0)
    assert await log.fill_share(OUTCOMES) == 1.0
    learner = a_learner(log, redis)
    await learner.assigned([0], 1)
    await learn(learner, log)
    await learner.make_room()
    assert learner.not_ready() is None
    more = await fill(log, n)
    assert more > n + n // 2
    # Full again, the learner gone meanwhile, and nothing to learn that would cause a checkpoint.
    await learn(learner, log)
    await learner.save()
    successor = a_learner(log, redis)
    await successor.assigned([0], 1)
    assert successor.reached == {0: more - 1}
    await successor.make_room()
    most = await fill(log, more)
    assert most > more + n // 2
    await learn(successor, log)
    book = successor.book("hero")
    assert book is not None
    assert book.n_learned == most, "and nothing was lost"


async def test_the_fill_share_follows_what_is_trimmed(log: RedisStreamsLog) -> None:
    assert await log.fill_share(OUTCOMES) == 0.0
    n = await fill(log, 0)
    await log.set_trim_floor(OUTCOMES, 0, n // 2)
    await fill(log, n)
    assert 0.9 < await log.fill_share(OUTCOMES) <= 1.0

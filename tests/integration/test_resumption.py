"""A worker refuses to start where what it remembers lies beyond the end of the log."""

from __future__ import annotations

import asyncio

import pytest

from config.settings import Settings
from installation.redis_clients import worker_client
from personalization.errors import Refused
from state.checkpoint_store import CheckpointHeader, CheckpointStore
from state.keys import Keys
from stream.house import open_house


async def save_checkpoint(redis_url: str, *, epoch: int, position: int) -> None:
    redis = worker_client(redis_url)
    store = CheckpointStore(redis, Keys("nextbest"))
    generation = await store.open(2)
    header = CheckpointHeader(epoch, position, generation, 1)
    assert await store.save(2, header, {})
    assert await store.headers(4, epoch) == {2: header}
    await redis.aclose()


async def start(redis_url: str, role: str) -> None:
    settings = Settings.from_environment({"NEXTBEST_REDIS": redis_url, "NEXTBEST_NAMESPACE": "nextbest"})
    async with asyncio.timeout(3), open_house(settings, role):
        pass


async def test_a_checkpoint_beyond_the_end_of_the_log_is_refused(redis_url: str) -> None:
    await save_checkpoint(redis_url, epoch=1, position=41)
    with pytest.raises(Refused, match=r"Partition 2 was read up to offset 42, but the log ends at 0.*epoch open"):
        await start(redis_url, "learner")


async def test_an_older_epochs_checkpoint_is_none_of_this_logs_business(redis_url: str) -> None:
    await save_checkpoint(redis_url, epoch=0, position=41)
    with pytest.raises(TimeoutError):  # it goes on to wait for a catalog
        await start(redis_url, "learner")

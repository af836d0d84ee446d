"""Opening the next epoch: states stay, offsets start anew, and nothing unread is left behind unasked."""

from __future__ import annotations

import asyncio

import pytest
from click.testing import CliRunner

from cli.epoch import epoch
from eventlog.opening import open_log
from eventlog.partition import partition_of
from eventlog.port import LogIdentity, Record
from eventlog.redis_keys import identity_key
from eventlog.redis_streams import RedisStreamsLog
from eventlog.topics import OUTCOMES, VISITOR_LOG, Topics
from installation.redis_clients import worker_client
from personalization.errors import Refused
from state.checkpoint_store import CheckpointHeader, CheckpointStore, ModelCopy, SavedModel
from state.keys import Keys
from state.log_identity import LogIdentityStore


def run(redis_url: str, *arguments: str) -> str:
    environment = {"NEXTBEST_REDIS": redis_url, "NEXTBEST_NAMESPACE": "nextbest", "NEXTBEST_KAFKA": ""}
    result = CliRunner().invoke(epoch, arguments, env=environment)
    if result.exception is not None:
        raise result.exception
    return result.output


async def fold_from(redis_url: str, n_entries: int) -> LogIdentity:
    """A log with entries, known to the states, of which nothing is read."""
    log = open_log(redis_url, Topics(prefix="nextbest."))
    store = LogIdentityStore(worker_client(redis_url), Keys("nextbest"))
    identity = await store.remember_first(await log.create(4))
    await log.append([Record(VISITOR_LOG, "a:1", b"x")] * n_entries)
    await log.close()
    await store.close()
    return identity


def test_the_next_epoch_is_opened_and_noted_beside_the_states(redis_url: str) -> None:
    before = asyncio.run(fold_from(redis_url, 0))
    assert f"epoch 1, 4 partitions, log {before.log_id}" in run(redis_url, "show")
    assert "epoch 2, 8 partitions" in run(redis_url, "open", "--partitions", "8")
    shown = run(redis_url, "show").splitlines()
    assert shown[0].removeprefix("states  ") == shown[1].removeprefix("log     ")
    assert "epoch 2, 8 partitions" in shown[0]


def test_unread_entries_are_not_left_behind_unasked(redis_url: str) -> None:
    asyncio.run(fold_from(redis_url, 3))
    with pytest.raises(Refused, match="3 entries of visitor-log are not read by the folder yet"):
        run(redis_url, "open")
    assert "epoch 2" in run(redis_url, "open", "--lossy")


def test_outcomes_that_wait_for_a_model_are_not_left_behind_unasked(redis_url: str) -> None:
    """The learner commits past a model that was put aside: what waits for it is nowhere but in the log."""

    async def leave_behind(n_learned: int) -> None:
        log = open_log(redis_url, Topics(prefix="nextbest."))
        redis = worker_client(redis_url)
        checkpoints = CheckpointStore(redis, Keys("nextbest"))
        partition = partition_of("hero", 4)
        end = (await log.end_offsets(OUTCOMES))[partition]
        if end == 0:
            await log.append([Record(OUTCOMES, "hero", b"x")] * 5)
            end = 5
        generation = await checkpoints.open(partition)
        copy = ModelCopy(1, n_learned - 1, n_learned, 1)
        models = {"hero": SavedModel(b"schema", -1, end, (copy,))}
        header = CheckpointHeader(1, end - 1, generation, 1, models)
        assert await checkpoints.save(partition, header, {("hero", 1): b"m"})
        await log.close()
        await redis.aclose()

    asyncio.run(fold_from(redis_url, 0))
    asyncio.run(leave_behind(n_learned=3))
    with pytest.raises(Refused, match=r"wait for models that are behind: hero \(2\): let the learner run"):
        run(redis_url, "open")
    asyncio.run(leave_behind(n_learned=5))
    assert "epoch 2" in run(redis_url, "open")


def test_outcomes_that_no_checkpoint_holds_are_not_left_behind_unasked(redis_url: str) -> None:
    async def tell() -> None:
        log = open_log(redis_url, Topics(prefix="nextbest."))
        await log.append([Record(OUTCOMES, "hero", b"x")] * 2)
        await log.close()

    asyncio.run(fold_from(redis_url, 0))
    asyncio.run(tell())
    with pytest.raises(Refused, match="2 entries of outcomes are not read by the learner yet"):
        run(redis_url, "open")
    assert "epoch 2" in run(redis_url, "open", "--lossy")


def test_a_lost_log_is_replaced_by_an_epoch_above_the_one_the_states_know(redis_url: str) -> None:
    async def lose() -> None:
        await fold_from(redis_url, 0)
        redis = worker_client(redis_url)
        assert await redis.delete(identity_key("nextbest.")) == 1
        await redis.aclose()

    asyncio.run(lose())
    assert "epoch 2" in run(redis_url, "open")


def test_what_comes_in_while_an_epoch_is_closed_is_seen_and_nothing_is_lost(
    redis_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A producer is still at work: the epoch stays open, and so does what it appended."""
    asyncio.run(fold_from(redis_url, 0))
    close = RedisStreamsLog.close_epoch

    async def close_late(self: RedisStreamsLog) -> None:
        await self.append([Record(VISITOR_LOG, "a:1", b"x")])
        await close(self)

    monkeypatch.setattr(RedisStreamsLog, "close_epoch", close_late)
    with pytest.raises(Refused, match="1 entries of visitor-log are not read"):
        run(redis_url, "open")
    monkeypatch.undo()
    assert "epoch 1" in run(redis_url, "show")

    async def append() -> None:
        log = open_log(redis_url, Topics(prefix="nextbest."))
        await log.append([Record(VISITOR_LOG, "a:1", b"y")])
        await log.close()

    asyncio.run(append())


def test_an_api_left_running_appends_to_the_new_log(redis_url: str) -> None:
    async def left_running() -> None:
        log = open_log(redis_url, Topics(prefix="nextbest."))
        await log.append([])
        assert (await log.identity()).epoch == 1
        await asyncio.to_thread(run, redis_url, "open")
        [position] = await log.append([Record(VISITOR_LOG, "a:1", b"x")])
        assert (position.offset, (await log.identity()).epoch) == (0, 2)
        other = open_log(redis_url, Topics(prefix="nextbest."))
        assert sum(await other.end_offsets(VISITOR_LOG)) == 1
        await other.close()
        await log.close()

    asyncio.run(fold_from(redis_url, 0))
    asyncio.run(left_running())

"""A follower of models survives whatever stands in Redis: what is no model is refused, the others go on."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import AsyncIterator, Mapping

import pytest
from redis.asyncio import Redis

from installation.redis_clients import worker_client
from online_models.placement_model import PlacementModel
from online_models.snapshot import ModelSnapshot
from state.keys import Keys
from state.model_store import ModelFollower, ModelPublisher
from tests.running import eventually

pytestmark = pytest.mark.redis

KEYS = Keys("test")
SECRET = b"secret"


@pytest.fixture
async def redis(redis_url: str) -> AsyncIterator[Redis]:
    client = worker_client(redis_url)
    yield client
    await client.aclose()


def refusals(caplog: pytest.LogCaptureFixture) -> list[str]:
    return [r.__dict__["placement"] for r in caplog.records if r.message == "model_refused"]


async def test_a_model_that_fails_in_any_way_is_refused_once_and_the_others_go_on(
    redis: Redis, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    decode = ModelSnapshot.decode

    def decoded(header: bytes, arms: Mapping[str, bytes], secret: bytes = b"") -> ModelSnapshot:
        if header == b"poison":
            raise TimeoutError("nobody expected this")
        return decode(header, arms, secret)

    monkeypatch.setattr(ModelSnapshot, "decode", decoded)
    publisher = ModelPublisher(redis, KEYS, SECRET)
    await publisher.publish("sound", PlacementModel("sound").snapshot(1), 1)
    await redis.sadd(KEYS.models, b"\xff", "odd", "poisoned", "torn")
    await redis.set(KEYS.model("odd"), "not even a hash")
    await redis.hset(KEYS.model("poisoned"), mapping={"version": 5, "header": b"poison", "at_ms": 1})
    await redis.hset(KEYS.model("torn"), mapping={"version": "x", "header": b"\xff\xff"})
    follower = ModelFollower(redis, KEYS, SECRET, poll_ms=20)
    for _ in range(3):
        await follower.refresh()
    assert (follower.placements, follower.refused) == (["sound"], ["odd", "poisoned", "torn"])
    assert follower.reached_ms > 0
    assert sorted(refusals(caplog)) == ["odd", "poisoned", "torn"], "each version is told of once"

    await redis.hset(KEYS.model("poisoned"), "version", 6)
    await follower.refresh()
    assert refusals(caplog).count("poisoned") == 2, "another version, another word"
    await publisher.publish("poisoned", PlacementModel("poisoned").snapshot(1), 2)
    await redis.delete(KEYS.model("odd"))
    await redis.srem(KEYS.models, "odd", "torn")
    await follower.refresh()
    assert (follower.placements, follower.refused) == (["poisoned", "sound"], [])


async def test_announcements_that_fail_in_any_way_are_passed_over(
    redis: Redis, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    publisher, model = ModelPublisher(redis, KEYS, SECRET), PlacementModel("hero")
    await publisher.publish("hero", model.snapshot(1), 1)
    follower = ModelFollower(redis, KEYS, SECRET, poll_ms=60_000)
    following = asyncio.create_task(follower.run())
    await eventually(lambda: follower.reached_ms > 0)

    def applied(self: ModelSnapshot, delta: object, secret: bytes = b"") -> ModelSnapshot:
        raise ZeroDivisionError("nobody expected this")

    monkeypatch.setattr(ModelSnapshot, "apply", applied)
    with caplog.at_level(logging.ERROR):
        await redis.publish(KEYS.model_changes, b"\xff no announcement")
        await publisher.publish("hero", model.snapshot(2), 2)
        publisher.forget("hero")
        await publisher.publish("hero", model.snapshot(3), 3)

        def arrived() -> bool:
            held = follower.get("hero")
            return held is not None and held.snapshot.version == model.snapshot(3).version

        await eventually(arrived, "the whole was read where the change could not be applied")
    assert "announcement_unreadable" in caplog.text
    assert not following.done()
    following.cancel()
    await asyncio.gather(following, return_exceptions=True)


async def test_a_model_that_takes_long_to_load_holds_up_nobody(
    redis: Redis, monkeypatch: pytest.MonkeyPatch
) -> None:
    decode = ModelSnapshot.decode

    def slowly(header: bytes, arms: Mapping[str, bytes], secret: bytes = b"") -> ModelSnapshot:
        time.sleep(0.4)  # as a process's first River model does, which imports River
        return decode(header, arms, secret)

    monkeypatch.setattr(ModelSnapshot, "decode", slowly)
    await ModelPublisher(redis, KEYS, SECRET).publish("hero", PlacementModel("hero").snapshot(1), 1)
    follower = ModelFollower(redis, KEYS, SECRET)
    reading = asyncio.create_task(follower.refresh())
    longest_s, before_s = 0.0, time.monotonic()
    while not reading.done():
        await asyncio.sleep(0.005)
        now_s = time.monotonic()
        longest_s, before_s = max(longest_s, now_s - before_s), now_s
    await reading
    assert follower.placements == ["hero"]
    assert longest_s < 0.3

"""Conversion models in a real Redis: fenced, followed whole, refused where they are not ours."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

import pytest
from redis.asyncio import Redis

from installation.redis_clients import worker_client
from online_models.conversion import checkpoint
from online_models.conversion.challenger import retrain
from online_models.conversion.checkpoint import dump_served
from online_models.conversion.contender import Contender
from online_models.snapshot import pack_version
from state.conversion_store import ConversionFollower, ConversionPublisher, FollowedConversion, keep_challenger
from state.keys import Keys
from state.model_store import Published
from tests.integration.crashing import until
from tests.of_type import of_type

pytestmark = pytest.mark.redis
SECRET = b"secret"


@pytest.fixture
async def redis(redis_url: str) -> AsyncIterator[Redis]:
    client = worker_client(redis_url)
    yield client
    await client.aclose()


@pytest.fixture
def keys(namespace: str) -> Keys:
    return Keys(namespace)


def model(n: int, generation: int = 1, secret: bytes = SECRET) -> tuple[int, bytes]:
    version = pack_version(generation, n)
    contender = retrain(Contender(), [({"pages": float(i % 5)}, i % 5 > 3) for i in range(n)])
    return version, dump_served(contender, "buys", version, secret)


async def test_what_is_published_is_followed(redis: Redis, keys: Keys) -> None:
    publisher, follower = ConversionPublisher(redis, keys), ConversionFollower(redis, keys, SECRET, poll_ms=20)
    following = asyncio.create_task(follower.run())
    for n in (50, 90):
        version, data = model(n)
        assert await publisher.publish("buys", version, data, at_ms=n) is Published.DONE

        async def arrived(version: int = version) -> bool:
            held = follower.get("buys")
            return held is not None and held.served.version == version

        await until(arrived, f"{n} examples are served", 5)
    held = follower.get("buys")
    assert held is not None
    assert (follower.names, held.at_ms, held.served.contender.n_learned) == (["buys"], 90, 90)
    following.cancel()
    await asyncio.gather(following, return_exceptions=True)


async def test_a_newer_generation_wins_and_a_zombie_never(redis: Redis, keys: Keys) -> None:
    publisher, follower = ConversionPublisher(redis, keys), ConversionFollower(redis, keys, SECRET)
    assert await publisher.publish("buys", *model(20, generation=2), at_ms=1) is Published.DONE
    assert await publisher.publish("buys", *model(500, generation=1), at_ms=2) is Published.FENCED
    await follower.refresh()
    assert of_type(FollowedConversion, follower.get("buys")).served.contender.n_learned == 20


async def test_a_model_that_is_not_ours_is_refused_once_and_the_last_good_one_stays(
    redis: Redis, keys: Keys
) -> None:
    publisher, follower = ConversionPublisher(redis, keys), ConversionFollower(redis, keys, SECRET)
    await publisher.publish("buys", *model(20), at_ms=1)
    await follower.refresh()
    await publisher.publish("buys", *model(30, secret=b"another"), at_ms=2)
    await follower.refresh()
    await follower.refresh()
    assert of_type(FollowedConversion, follower.get("buys")).served.contender.n_learned == 20
    await publisher.publish("buys", *model(40), at_ms=3)
    await follower.refresh()
    assert of_type(FollowedConversion, follower.get("buys")).served.contender.n_learned == 40


async def test_a_model_that_fails_in_any_way_is_refused_once_and_the_others_go_on(
    redis: Redis, keys: Keys, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    loaded = checkpoint.load_served

    def load_served(data: bytes, secret: bytes, *, conversion: str) -> checkpoint.Served:
        if conversion == "buys":
            raise OSError("nobody expected this")
        return loaded(data, secret, conversion=conversion)

    monkeypatch.setattr(checkpoint, "load_served", load_served)
    publisher, follower = ConversionPublisher(redis, keys), ConversionFollower(redis, keys, SECRET)
    await publisher.publish("buys", *model(20), at_ms=1)
    version, _ = model(20)
    await publisher.publish("signs_up", version, dump_served(Contender(), "signs_up", version, SECRET), at_ms=1)
    await redis.sadd(keys.conversions, b"\xff", "asks")
    await redis.set(keys.conversion("asks"), "not even a hash")
    for _ in range(3):
        await follower.refresh()
    assert (follower.names, follower.refused) == (["signs_up"], ["asks", "buys"])
    refused = sorted(r.__dict__["conversion"] for r in caplog.records if r.message == "conversion_refused")
    assert refused == ["asks", "buys"], "each version is told of once"
    monkeypatch.undo()
    await publisher.publish("buys", *model(30), at_ms=2)
    await redis.srem(keys.conversions, "asks")
    await follower.refresh()
    assert (follower.names, follower.refused) == (["buys", "signs_up"], [])


async def test_where_no_conversion_has_a_model_there_is_nothing_to_follow(redis: Redis, keys: Keys) -> None:
    follower = ConversionFollower(redis, keys, SECRET)
    await follower.refresh()
    assert (follower.names, follower.get("buys")) == ([], None)


async def test_a_challenger_is_kept_for_as_long_as_its_record(redis: Redis, keys: Keys) -> None:
    await keep_challenger(redis, keys, "c1", b"model", keep_ms=60_000)
    publisher = ConversionPublisher(redis, keys)
    assert (await publisher.challenger("c1"), await publisher.challenger("c2")) == (b"model", None)
    assert 0 < await redis.pttl(keys.challenger("c1")) <= 60_000

"""The stores on a real Redis: what the crash suite rests on, looked at one by one."""

from __future__ import annotations

import asyncio
import hmac
from collections.abc import AsyncIterator, Collection
from typing import Any, cast

import msgspec
import pytest
from redis.asyncio import Redis
from redis.crc import key_slot

from installation.redis_clients import worker_client
from online_models.placement_model import PlacementModel
from personalization.events.outcome import ClosingReason, Outcome
from personalization.key_derivation import Secrets
from personalization.visitor.choice import Choice
from personalization.visitor.folder_state import FolderState
from personalization.visitor.visitor import Visitor
from personalization.visitor.visitor_state import VisitorState
from state.checkpoint_store import (
    CheckpointHeader,
    CheckpointStore,
    ModelCopy,
    ReplacedModel,
    SavedModel,
)
from state.keys import Keys
from state.model_store import ModelFollower, ModelPublisher, Published, read_model
from state.timers import RedisTimerStore, Timer, buckets_of
from state.visitor_store import ABSENT, GONE_MS, NEVER_SEEN, SILENT_MS, Change, RedisVisitorStore, unpack_visitor
from tests.integration.crashing import until
from tests.of_type import of_type
from tests.unit.stream.fakes import MemoryCheckpoints

pytestmark = pytest.mark.redis
KEYS = Keys("t")
ODD_IDS = ("a:plain", "u:{}", "a:}{", "a:x}y{z", "u:ü 🙂", "a:{")


@pytest.fixture
async def redis(redis_url: str) -> AsyncIterator[Redis]:
    client = worker_client(redis_url)
    yield client
    await client.aclose()


def at(offset: int) -> Visitor:
    visitor = Visitor(VisitorState(), FolderState())
    visitor.state.epoch, visitor.state.offset = 1, offset
    return visitor


@pytest.mark.parametrize("key", ODD_IDS)
def test_both_keys_of_a_visitor_share_a_slot_and_name_it(key: str) -> None:
    assert key_slot(KEYS.visitor(key).encode()) == key_slot(KEYS.folder(key).encode())
    assert KEYS.visitor_key_of(KEYS.visitor(key)) == key


def test_a_namespace_has_no_braces() -> None:
    with pytest.raises(ValueError, match="no braces"):
        Keys("{shop}")


async def test_visitors_are_written_only_over_what_was_read(redis: Redis) -> None:
    store = RedisVisitorStore(redis, KEYS, b"key")
    assert await store.save([Change(key, NEVER_SEEN, at(3)) for key in ODD_IDS]) == []
    first = await store.load([*ODD_IDS, "a:unknown"])
    assert [unpack_visitor(first[key].visitor_value).offset for key in ODD_IDS] == [3] * len(ODD_IDS)
    assert first["a:unknown"].fence == ABSENT
    await redis.script_flush()  # a script Redis forgot is loaded again
    assert await store.save([Change("u:{}", first["u:{}"], at(9))]) == []
    losers = await store.save([Change(key, first[key], at(5)) for key in ODD_IDS])
    assert losers == ["u:{}"]
    after = await store.load(ODD_IDS)
    offsets = {key: stored.visitor().state.offset for key, stored in after.items()}
    assert offsets == {**dict.fromkeys(ODD_IDS, 5), "u:{}": 9}
    assert await store.save([Change("a:gone", first["a:{"], at(1))]) == ["a:gone"], "erased meanwhile"


async def test_idle_visitors_may_have_an_end(redis: Redis) -> None:
    await RedisVisitorStore(redis, KEYS, b"key").save([Change("a:1", NEVER_SEEN, at(1), net_ms=60_000)])
    for name in (KEYS.visitor("a:1"), KEYS.folder("a:1")):
        assert 0 < await redis.pttl(name) <= 60_000


async def test_timers_are_exact_idempotent_and_partitioned(redis: Redis) -> None:
    store = RedisTimerStore(redis, KEYS)
    timers = [Timer(1_000 + n, f"a:{n}") for n in range(64)]
    await store.add(timers)
    await store.add(timers)

    async def due(partitions: Collection[int], now_ms: int, limit: int = 100) -> list[Timer]:
        return (await store.look(buckets_of(partitions, 4), now_ms, limit)).due

    by_partition = [await due([partition], 2_000) for partition in range(4)]
    assert sorted(timer for found in by_partition for timer in found) == timers
    assert all(by_partition)
    assert sorted(await due(range(4), 1_009)) == timers[:10]
    assert len(await due(range(4), 2_000, 7)) == 7
    another = Timer(5_000, "a:1")
    await store.add([another])
    await store.remove([timers[1], Timer(1, "a:2")])
    assert set(await due(range(4), 9_000)) == {*timers[:1], *timers[2:], another}


def learned(n: int, model: PlacementModel | None = None) -> PlacementModel:
    model = model or PlacementModel("hero")
    for number in range(n):
        arm = ("red", "green")[number % 2]
        model.learn(
            Outcome(
                Choice(f"d{model.n_learned}", "hero", 0, arm, 2**31),
                float(number % 3 == 0),
                ClosingReason.WINDOW,
                0,
                1,
            )
        )
    return model


async def test_followers_hold_what_was_published(redis: Redis, redis_url: str) -> None:
    publisher = ModelPublisher(redis, KEYS, b"secret")
    client = worker_client(redis_url)
    follower = ModelFollower(client, KEYS, b"secret", poll_ms=60_000)
    following = asyncio.create_task(follower.run())
    await until(lambda: _is(follower.reached_ms > 0), "the follower listens", 5)
    model = learned(20)
    whole, n_whole = await publisher.publish("hero", model.snapshot(3), 1)
    learned(1, model)
    changed, n_changed = await publisher.publish("hero", model.snapshot(3), 2)
    assert whole is changed is Published.DONE
    assert n_changed > 0
    assert n_whole > 0
    version = model.snapshot(3).version
    await until(lambda: _is(_version(follower) == version), "the change arrived", 5)
    held = follower.get("hero")
    stored = await read_model(redis, KEYS, "hero", b"secret")
    assert held is not None
    assert stored is not None
    expected = model.snapshot(3).encode()
    assert held.snapshot.encode() == stored.snapshot.encode() == expected
    assert (held.at_ms, follower.n_gaps) == (2, 0)
    following.cancel()
    await asyncio.gather(following, return_exceptions=True)
    await client.aclose()


async def test_a_gap_means_read_the_whole(redis: Redis) -> None:
    publisher, follower = ModelPublisher(redis, KEYS, b"s"), ModelFollower(redis, KEYS, b"s")
    model = learned(10)
    await publisher.publish("hero", model.snapshot(1), 1)
    await follower.refresh()
    channel = redis.pubsub(ignore_subscribe_messages=True)
    await channel.subscribe(KEYS.model_changes)
    for _ in range(2):
        learned(5, model)
        await publisher.publish("hero", model.snapshot(1), 2)
    messages: list[bytes] = []

    async def both() -> bool:
        message = await channel.get_message(timeout=0.1)
        if message:
            messages.append(message["data"])
        return len(messages) == 2

    await until(both, "two announcements", 5)
    await follower._on_announcement(messages[1])  # the first was lost
    assert follower.n_gaps == 1
    assert _version(follower) == model.snapshot(1).version
    await channel.aclose()  # type: ignore[no-untyped-call]  # the library has no types here


async def test_a_new_generation_always_wins_and_a_zombie_never(redis: Redis) -> None:
    zombie, successor = ModelPublisher(redis, KEYS, b"s"), ModelPublisher(redis, KEYS, b"s")
    ahead, behind = learned(50), learned(10)
    await zombie.publish("hero", ahead.snapshot(1), 1)
    assert (await successor.publish("hero", behind.snapshot(2), 2))[0] is Published.DONE
    learned(5, ahead)
    assert (await zombie.publish("hero", ahead.snapshot(1), 3))[0] is Published.FENCED
    stored = await read_model(redis, KEYS, "hero", b"s")
    assert stored is not None
    assert stored.snapshot.version == behind.snapshot(2).version


async def test_a_flushed_redis_gets_the_whole_again(redis: Redis) -> None:
    publisher, model = ModelPublisher(redis, KEYS, b"s"), learned(10)
    await publisher.publish("hero", model.snapshot(1), 1)
    await redis.flushall()
    learned(1, model)
    assert (await publisher.publish("hero", model.snapshot(1), 2))[0] is Published.DONE
    stored = await read_model(redis, KEYS, "hero", b"s")
    assert stored is not None
    assert stored.snapshot.encode() == model.snapshot(1).encode()


@pytest.fixture(params=["redis", "memory"])
def checkpoints(request: pytest.FixtureRequest, redis: Redis) -> CheckpointStore:
    """The real store, and what stands for it in tests of the learner."""
    return CheckpointStore(redis, KEYS) if request.param == "redis" else MemoryCheckpoints()


def header_of(generation: int, number: int, **copies: tuple[int, ...]) -> CheckpointHeader:
    models = {
        key: SavedModel(b"s", -1, 7, tuple(ModelCopy(n, 10 * n, n, 2) for n in numbers))
        for key, numbers in copies.items()
    }
    return CheckpointHeader(1, 10 * number, generation, number, models)


async def test_a_checkpoint_keeps_the_copies_it_names_and_nothing_else(checkpoints: CheckpointStore) -> None:
    generation = await checkpoints.open(0)
    assert await checkpoints.header(0) is None
    assert await checkpoints.load(0) is None
    first = header_of(generation, 2, hero=(2, 1))
    second = header_of(generation, 4, hero=(3, 2), cart=(4,))
    assert await checkpoints.save(0, first, {("hero", 1): b"h1", ("hero", 2): b"h2"})
    assert await checkpoints.save(0, second, {("hero", 3): b"h3", ("cart", 4): b"c4"}, first)
    assert await checkpoints.header(0) == second
    loaded = await checkpoints.load(0)
    assert loaded is not None
    assert loaded.blobs == {"hero": b"h3", "cart": b"c4"}
    names = [("hero", 1), ("hero", 2), ("hero", 3), ("cart", 4)]
    assert await checkpoints.blobs(0, names) == dict(zip(names, [None, b"h2", b"h3", b"c4"], strict=True))
    assert await checkpoints.header(1) is None
    replaced = ReplacedModel("hero", b"s", second.models["hero"].copies, 5)
    third = msgspec.structs.replace(second, models={"cart": second.models["cart"]}, replaced=(replaced,))
    assert await checkpoints.save(0, third, {}, second)
    assert (await checkpoints.blobs(0, names))["hero", 3] == b"h3", "a model that was replaced is kept"
    assert await checkpoints.save(0, msgspec.structs.replace(third, replaced=()), {}, third)
    assert list((await checkpoints.blobs(0, names)).values()) == [None, None, None, b"c4"]


async def test_an_older_generation_saves_no_checkpoint_and_renews_nothing(checkpoints: CheckpointStore) -> None:
    zombie, successor = await checkpoints.open(0), await checkpoints.open(0)
    assert successor > zombie
    assert await checkpoints.renew(0, zombie) is None
    renewed = await checkpoints.renew(0, successor)
    assert renewed is not None
    assert renewed > successor
    ours = header_of(renewed, 5)
    assert await checkpoints.save(0, ours, {})
    for generation in (zombie, successor):
        assert not await checkpoints.save(0, header_of(generation, 9, hero=(9,)), {("hero", 9): b"h"}, ours)
    assert await checkpoints.header(0) == ours
    assert await checkpoints.blobs(0, [("hero", 9)]) == {("hero", 9): None}


async def test_a_header_is_stored_twice(redis: Redis) -> None:
    store = CheckpointStore(redis, KEYS)
    header = header_of(await store.open(0), 3, hero=(3, 2))
    await store.save(0, header, {})
    whole = of_type(bytes, await redis.get(KEYS.checkpoint(0, "current")))
    damaged = [whole[:at] + bytes([whole[at] ^ 1]) + whole[at + 1 :] for at in range(len(whole))]
    for value in damaged:
        await redis.set(KEYS.checkpoint(0, "current"), value)
        assert await store.header(0) == header
    await redis.set(KEYS.checkpoint(0, "copy"), damaged[0])
    with pytest.raises(msgspec.DecodeError, match="damaged"):
        await store.header(0)
    assert await store.headers(1, 1) == {}
    await redis.delete(KEYS.checkpoint(0, "current"))
    await redis.set(KEYS.checkpoint(0, "copy"), whole)
    assert await store.headers(1, 1) == {0: header}
    assert await store.headers(1, 2) == {}


def _version(follower: ModelFollower) -> int:
    held = follower.get("hero")
    return held.snapshot.version if held else 0


async def _is(value: bool) -> bool:
    return value


def gone(offset: int, erased_ms: int = 0) -> Visitor:
    return Visitor.forgotten(1, offset, erased_ms)


async def names_in(redis: Redis) -> str:
    """All that Redis holds, names and values."""
    found = []
    async for name in redis.scan_iter():
        found.append(name + b"=" + (await redis.get(name) or b""))
    return b"\n".join(found).decode(errors="replace")


async def test_of_whoever_was_forgotten_the_fence_alone_stays_without_their_id(redis: Redis) -> None:
    store = RedisVisitorStore(redis, KEYS, b"key")
    jane = "u:jane@example.com"
    await store.save([Change(jane, NEVER_SEEN, at(3))])
    read = (await store.load([jane]))[jane]
    assert await store.save([Change(jane, read, gone(7, erased_ms=99))]) == []
    assert "jane" not in await names_in(redis)
    assert SILENT_MS < await redis.pttl(gone_name(jane)) <= GONE_MS
    after = (await store.load([jane]))[jane].visitor()
    assert (after.is_known, after.state.epoch, after.state.offset, after.folder.erased_ms) == (False, 1, 7, 99)


async def test_of_whoever_went_by_silence_it_stays_as_long_as_something_may_be_folded_again(redis: Redis) -> None:
    store = RedisVisitorStore(redis, KEYS, b"key")
    await store.save([Change("a:1", NEVER_SEEN, gone(7))])
    assert 0 < await redis.pttl(gone_name("a:1")) <= SILENT_MS, "there are many of them"


def gone_name(key: str) -> str:
    return KEYS.gone(hmac.digest(b"key", key.encode(), "sha256")[:16])


async def test_a_worker_that_was_paused_brings_nobody_back(redis: Redis) -> None:
    store = RedisVisitorStore(redis, KEYS, b"key")
    seen_early = (await store.load(["a:1"]))["a:1"]
    await store.save([Change("a:1", seen_early, at(3))])
    read = (await store.load(["a:1"]))["a:1"]
    await store.save([Change("a:1", read, gone(7))])
    for stale in (seen_early, read):
        assert await store.save([Change("a:1", stale, at(4))]) == ["a:1"]
    assert not (await store.load(["a:1"]))["a:1"].visitor().is_known


async def test_whoever_was_forgotten_is_known_to_be_after_a_rotation(redis: Redis) -> None:
    old, new = Secrets(b"o" * 32), Secrets(b"n" * 32, b"o" * 32)
    before, after = (RedisVisitorStore(redis, KEYS, secrets.key("forgotten")) for secrets in (old, new))
    await before.save([Change("a:1", NEVER_SEEN, gone(7))])
    read = (await after.load(["a:1"]))["a:1"]
    assert read.visitor().state.offset == 7
    assert await after.save([Change("a:1", read, gone(9))]) == []
    assert (await after.load(["a:1"]))["a:1"].visitor().state.offset == 9
    assert await after.save([Change("a:1", (await after.load(["a:1"]))["a:1"], at(11))]) == []


async def test_who_was_merged_into_whom_is_noted(redis: Redis) -> None:
    store = RedisVisitorStore(redis, KEYS, b"key")
    await store.save([Change(key, NEVER_SEEN, at(3), alias_of="u:7") for key in ("a:1", "a:2")])
    assert await cast("Any", redis.smembers(KEYS.aliases("u:7"))) == {b"a:1", b"a:2"}
    read = (await store.load(["a:1"]))["a:1"]
    await store.save([Change("a:1", read, at(4), no_alias_of="u:7")])
    assert await cast("Any", redis.smembers(KEYS.aliases("u:7"))) == {b"a:2"}
    await store.save([Change("u:7", NEVER_SEEN, gone(9))])
    assert 0 < await redis.pttl(KEYS.aliases("u:7")) <= GONE_MS, "it is let go of in time"

"""Items on a real Redis: written singly and many at once, followed by change, kept within their bound."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import Any, cast

import msgspec
import pytest
from redis.asyncio import Redis

from installation.redis_clients import worker_client
from personalization.catalog.catalog import Content
from personalization.catalog.item import Item
from state import item_store
from state.item_follower import ItemFollower
from state.item_store import ItemStore
from tests.running import eventually

pytestmark = pytest.mark.redis


@pytest.fixture
async def redis(redis_url: str) -> AsyncIterator[Redis]:
    client = worker_client(redis_url)
    yield client
    await client.aclose()


def item(body: str = "x", *tags: str, in_stock: bool = True) -> Item:
    return Item(content=Content(type="html", body=body, features={"n": 1.0}), tags=tags, in_stock=in_stock)


async def test_items_are_put_changed_and_removed_and_each_has_a_revision(redis: Redis) -> None:
    store = ItemStore(redis, "t")
    assert await store.put({"a": item("one", "news"), "ü": item("two")}) == {"a": 1, "ü": 2}
    assert await store.get("a") == item("one", "news")
    assert await store.get("c") is None
    changed = await store.change("a", lambda held: msgspec.structs.replace(held, in_stock=False))
    assert changed == 3
    assert await store.get("a") == item("one", "news", in_stock=False)
    assert await store.change("c", lambda held: held) is None
    assert await store.remove("ü") == 4
    assert await store.remove("ü") is None


async def test_changes_of_many_at_once_lose_nothing(redis: Redis) -> None:
    store = ItemStore(redis, "t")
    await store.put({"a": item("0")})

    def add(held: Item) -> Item:
        body = str(int(held.content.body) + 1)
        return msgspec.structs.replace(held, content=msgspec.structs.replace(held.content, body=body))

    await asyncio.gather(*(store.change("a", add) for _ in range(5)))
    held = await store.get("a")
    assert held is not None
    assert held.content.body == "5"


async def test_beyond_the_bound_new_ones_are_refused_alone(redis: Redis, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(item_store, "MAX_ITEMS", 2)
    store = ItemStore(redis, "t")
    assert await store.put({"a": item(), "b": item(), "c": item(), "a2": item()}) == {
        "a": 1,
        "b": 2,
        "c": None,
        "a2": None,
    }
    assert await store.put({"a": item("new")}) == {"a": 3}, "one that is there may change"
    await store.remove("b")
    assert await store.put({"c": item()}) == {"c": 5}


async def test_a_follower_reads_what_changed_and_all_if_it_is_far_behind(
    redis: Redis, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(item_store, "LOG_LENGTH", 100)
    store, follower = ItemStore(redis, "t"), ItemFollower(ItemStore(redis, "t"))
    assert not await follower.refresh()
    await store.put({"b": item("b", "news", "top"), "a": item("a", "news"), "c": item("c", "sport")})
    assert await follower.refresh()
    assert list(follower.tagged(["news"])) == ["a", "b"], "sorted: every process has the same order"
    assert list(follower.tagged(["sport", "top"])) == ["b", "c"]
    await store.put({"a": item("a", "sport")})
    await store.remove("b")
    changes = await store.since(follower.revision)
    assert changes is not None
    assert (changes.is_all, set(changes.items)) == (False, {"a", "b"})
    await follower.refresh()
    assert (list(follower.tagged(["news"])), list(follower.tagged(["sport"]))) == ([], ["a", "c"])
    for n in range(500):
        await store.put({"d": item(str(n), "news")})
    changes = await store.since(follower.revision)
    assert changes is not None
    assert changes.is_all
    await follower.refresh()
    assert list(follower.tagged(["news"])) == ["d"]
    await redis.flushall()
    await follower.refresh()
    assert len(follower) == 0, "another Redis, or an emptied one"


async def test_what_changes_is_at_hand_within_a_second_and_one_unreadable_item_hides_no_other(redis: Redis) -> None:
    store, follower = ItemStore(redis, "t"), ItemFollower(ItemStore(redis, "t"), look_s=30.0)
    following = asyncio.create_task(follower.run())
    try:
        await store.put({"a": item("a", "news")})
        await eventually(lambda: follower.get("a") is not None, "it was there when the follower came")
        await store.put({"b": item("b", "news")})
        await eventually(lambda: follower.get("b") is not None, "it was announced", bound_s=1.0)
        await cast("Any", redis.hset("t:{items}:by-id", "bad", b"\xc1"))
        await store.put({"c": item("c", "news")})
        await eventually(lambda: follower.get("c") is not None, "it was announced", bound_s=1.0)
        other = ItemFollower(store)
        await other.refresh()
        assert list(other.tagged(["news"])) == ["a", "b", "c"]
    finally:
        following.cancel()

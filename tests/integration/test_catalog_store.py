"""Catalog versions on a real Redis: numbered once, kept, announced, and refused where they cannot be read."""

from __future__ import annotations

import asyncio
import logging
import time
import zlib
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

import msgspec
import pytest
from redis.asyncio import Redis

from config.loader import demo_catalog, load_catalog, shipped_catalog
from config.watch import watch_catalog
from installation.opened import open_catalogs
from personalization.catalog.catalog import Catalog, Content, Placement, PublishedCatalog
from personalization.catalog.compiled_catalog import CompiledCatalog, compile_catalog
from personalization.errors import InvalidInput, Refused, Unavailable
from state import catalog_follower
from state.catalog_follower import CatalogFollower
from state.catalog_store import CatalogStore, decode_catalog, encode_catalog

pytestmark = pytest.mark.redis


def small(body: str = "hello", **more: Any) -> Catalog:
    return Catalog(
        placements={"hero": Placement(content=("a",), default="a")},
        content={"a": Content(body=body)},
        **more,
    )


@pytest.fixture
async def redis(redis_url: str) -> AsyncIterator[Redis]:
    # The decider's timeouts, the tightest there are: following must live with them.
    client = Redis.from_url(redis_url, socket_timeout=1.0)
    yield client
    await client.aclose()


@pytest.fixture
def store(redis: Redis) -> CatalogStore:
    return CatalogStore(redis, "test")


async def until(holds: Callable[[], bool], within_s: float = 10.0) -> None:
    async with asyncio.timeout(within_s):
        while not holds():  # noqa: ASYNC110 (what is waited for has no event of its own)
            await asyncio.sleep(0.005)


async def test_versions_count_from_one_and_are_kept(store: CatalogStore) -> None:
    assert await store.latest() is None
    assert [await store.publish(small("one")), await store.publish(small("two"))] == [1, 2]
    assert await store.get(1) == small("one")
    assert await store.latest() == (2, small("two"))
    assert await store.get(3) is None


async def test_an_unchanged_catalog_keeps_its_version(store: CatalogStore) -> None:
    first = Catalog(
        placements={}, content={"a": Content(body=1), "b": Content(body=2)}, segments={"x": "true", "y": "false"}
    )
    reordered = Catalog(
        placements={}, content={"b": Content(body=2), "a": Content(body=1)}, segments={"y": "false", "x": "true"}
    )
    assert await store.publish(first) == await store.publish(first) == await store.publish(reordered) == 1
    assert len(await store.history()) == 1


async def test_publishers_at_the_same_time_get_one_version_for_one_catalog(store: CatalogStore) -> None:
    versions = await asyncio.gather(*(store.publish(small("same")) for _ in range(8)))
    assert versions == [1] * 8


async def test_history_says_who_and_what(store: CatalogStore) -> None:
    await store.publish(small("one"), who="ada")
    await store.publish(small("two", segments={"vip": "n_orders > 3"}), who="bob")
    newest, oldest = await store.history()
    assert (oldest.version, oldest.who, oldest.changes) == (1, "ada", ["first version: 1 placements, 1 contents"])
    assert (newest.version, newest.who, newest.changes) == (2, "bob", ["content.a: body", "+ segments.vip"])
    assert [entry.version for entry in await store.history(limit=1)] == [2]


async def test_rollback_publishes_the_old_one_anew(store: CatalogStore) -> None:
    await store.publish(small("one"))
    await store.publish(small("two"))
    assert await store.rollback(1, who="ada") == 3
    assert await store.get(3) == small("one")
    assert (await store.history())[0].rollback_of == 1
    with pytest.raises(InvalidInput, match="there is no version 9"):
        await store.rollback(9)


@pytest.mark.parametrize("folder", [shipped_catalog(), demo_catalog()], ids=lambda path: path.name)
async def test_what_comes_back_is_what_was_published(store: CatalogStore, folder: Path) -> None:
    catalog = load_catalog(folder)
    assert await store.get(await store.publish(catalog)) == catalog


def test_stored_catalogs_spell_out_their_defaults() -> None:
    # An old version must fold the same after a release changed a default.
    body = msgspec.json.decode(zlib.decompress(encode_catalog(small())[1]))
    assert body["session_gap_ms"] == 1_800_000
    assert body["placements"]["hero"]["policy"]["epsilon"] == 0.02
    assert decode_catalog(encode_catalog(small())[1]) == small()


async def test_a_follower_follows_announcements(store: CatalogStore) -> None:
    seen: list[int] = []
    await store.publish(small("one"))
    # Polling so rarely that only an announcement can be what it heard.
    async with CatalogFollower(store, lambda compiled: seen.append(compiled.version), poll_s=60) as follower:
        assert follower.current.version == 1
        await until(lambda: _listeners(follower))
        await store.publish(small("two"))
        await until(lambda: follower.current.version == 2)
        await store.rollback(1)
        await until(lambda: follower.current.version == 3)
    assert seen == [1, 2, 3]


def _listeners(follower: CatalogFollower) -> bool:
    return follower.listening


async def test_a_follower_polls_where_announcements_are_lost(store: CatalogStore, redis: Redis) -> None:
    async with CatalogFollower(store, poll_s=0.05) as follower:
        assert not follower.ready
        with pytest.raises(Unavailable, match="nextbest publish"):
            _ = follower.current
        deaf = CatalogStore(redis, "test")
        deaf.channel = "elsewhere"
        await deaf.publish(small())
        await until(lambda: follower.ready)


async def test_start_waits_for_the_first_version(store: CatalogStore) -> None:
    follower = CatalogFollower(store, poll_s=0.02)
    started = asyncio.create_task(follower.start(wait_s=10))
    await asyncio.sleep(0)
    await store.publish(small())
    assert (await started).current.version == 1
    await follower.stop()


async def test_an_old_version_is_fetched_once_and_kept(store: CatalogStore) -> None:
    for n in range(5):
        await store.publish(small(str(n)))
    follower = CatalogFollower(store, keep=2)
    old = await follower.get(2)
    assert encode_catalog(old.catalog) == encode_catalog(small("1"))
    assert await follower.get(2) is old
    await follower.get(3)
    await follower.get(4)
    assert await follower.get(2) is not old  # the bound dropped it


async def test_a_window_is_kept_since_it_was_first_published_without_a_break(store: CatalogStore) -> None:
    def looking(*events: str) -> Catalog:
        return small(segments={f"s{n}": f'never("{event}")' for n, event in enumerate(events)})

    async def declared(version: int) -> dict[str, int]:
        published = await store.published(version)
        assert published is not None
        compiled = compile_catalog(published, version)
        return {name: series[0].declared_ms for name, series in compiled.series_by_event.items()}

    for catalog in (looking("A"), looking("A", "B"), looking("B"), looking("A", "B")):
        await store.publish(catalog)
        await asyncio.sleep(0.002)
    first, second, _, fourth = [await declared(version) for version in (1, 2, 3, 4)]
    assert first["A"] <= time.time_ns() // 1_000_000 < second["B"], "processes may still stamp the version before"
    assert second["A"] == first["A"] < second["B"]
    assert fourth["B"] == second["B"], "it was looked at all along"
    assert fourth["A"] > second["B"], "what happened while nobody looked is not known"
    assert await store.publish(looking("A", "B")) == 4, "when it was declared is no part of the content"
    assert await store.get(4) == looking("A", "B")


async def test_a_window_that_asks_for_more_begins_anew(store: CatalogStore) -> None:
    for at_least in (3, 1, 5):
        await store.publish(small(segments={"keen": f'count("V", within="7d") >= {at_least}'}))
        await asyncio.sleep(0.002)
    first, second, third = [list((await published(store, version)).declared.values()) for version in (1, 2, 3)]
    assert first[0][0] == second[0][0] < third[0][0], "less is known already, more is not"
    await store.restore(9, small(segments={"keen": 'never("V")'}))
    assert min((await published(store, 9)).declared.values())[0] > third[0][0]


async def test_windows_that_reach_further_back_stay_so(store: CatalogStore) -> None:
    looking = {"keen": 'count("V", within="7d") >= 3', "new": 'never("W")'}
    version = await store.publish(small(segments=looking))
    (v, (v_ms, n_kept)), (w, w_declared) = (await published(store, version)).declared.items()

    reached = await store.reach_back(version, {v: v_ms - 9}, who="ada")

    assert reached == version + 1
    assert (await published(store, reached)).declared == {v: (v_ms - 9, n_kept), w: w_declared}
    assert (await published(store, version)).declared[v] == (v_ms, n_kept), "what was folded by it stays what it is"
    assert await store.get(reached) == await store.get(version)
    (newest,) = await store.history(1)
    assert (newest.who, newest.changes) == ("ada", ["version 1, whose windows reach back further"])
    later = await store.publish(small("another", segments=looking))
    assert (await published(store, later)).declared[v] == (v_ms - 9, n_kept), "it is not begun anew"
    assert await store.reach_back(later, {v: v_ms}) == later + 1
    assert (await published(store, later + 1)).declared[v] == (v_ms - 9, n_kept), "nor ever shortened"


async def test_windows_of_a_version_that_is_not_the_newest_reach_no_further(store: CatalogStore) -> None:
    version = await store.publish(small(segments={"new": 'never("W")'}))
    (series,) = (await published(store, version)).declared
    await store.publish(small("another"))
    assert await store.reach_back(version, {series: 0}) is None
    assert await store.latest_version() == version + 1
    assert await store.reach_back(9, {}) is None


async def published(store: CatalogStore, version: int) -> PublishedCatalog:
    found = await store.published(version)
    assert found is not None
    return found


async def test_a_missing_version_is_waited_for(store: CatalogStore) -> None:
    follower = CatalogFollower(store)
    waiting = asyncio.create_task(follower.get(1))
    await asyncio.sleep(0.02)
    assert not waiting.done()
    await store.publish(small())
    assert (await waiting).version == 1
    with pytest.raises(Unavailable, match=r"catalog version 7 was not published within 0\.05 s"):
        await follower.get(7, wait_s=0.05)


async def test_a_version_that_does_not_compile_is_refused_and_the_last_good_one_kept(
    store: CatalogStore, caplog: pytest.LogCaptureFixture
) -> None:
    bad = Catalog(placements={"hero": Placement(content=("gone",), default="gone")}, content={})
    await store.publish(small())
    with caplog.at_level(logging.ERROR):
        async with CatalogFollower(store, poll_s=0.02) as follower:
            await store.publish(bad)
            await until(lambda: "catalog_refused" in caplog.text)
            assert follower.current.version == 1
            with pytest.raises(Refused, match="version 2 does not compile here"):
                await follower.get(2)
            await store.publish(small("mended"))
            await until(lambda: follower.current.version == 3)
    (refused,) = [vars(record) for record in caplog.records if record.message == "catalog_refused"]
    assert (refused["version"], refused["kept"]) == (2, 1)


async def test_a_version_in_words_of_a_newer_release_is_refused(store: CatalogStore, redis: Redis) -> None:
    await store.publish(small())
    digest = (await store.history())[0].digest
    newer = zlib.compress(b'{"placements":{},"content":{},"journeys":{}}')
    await redis.hset("test:{catalog}:bodies", digest, newer)
    with pytest.raises(Refused, match="update nextbest"):
        await store.get(1)
    assert await store.publish(small("two")) == 2  # and it is no obstacle to the next


async def test_a_catalog_that_fails_in_any_way_is_refused_once_and_following_goes_on(
    store: CatalogStore, redis: Redis, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    def compiled(catalog: Catalog, version: int) -> CompiledCatalog:
        if version == 2:
            raise RecursionError("nobody expected this")
        return compile_catalog(catalog, version)

    monkeypatch.setattr(catalog_follower, "compile_catalog", compiled)
    await store.publish(small("one"))
    with caplog.at_level(logging.ERROR):
        async with CatalogFollower(store, poll_s=0.02) as follower:
            await store.publish(small("two"))
            await until(lambda: follower.refused == 2)
            assert follower.current.version == 1
            with pytest.raises(Refused, match="does not compile here"):
                await follower.get(2)
            await store.publish(small("three"))
            await redis.hset("test:{catalog}:versions", "3", b'{"digest": "x", "at_ms": "a newer word"}')
            await until(lambda: follower.refused == 3 or follower.current.version == 3)
            with pytest.raises(Refused, match="version 3 cannot be read"):
                await CatalogFollower(store).get(3)
            await store.publish(small("four"))
            await until(lambda: follower.current.version == 4)
            assert follower.refused == 0
    refused = [vars(record)["version"] for record in caplog.records if record.message == "catalog_refused"]
    assert refused.count(2) == 1
    assert "background_task_ended" not in caplog.text


async def test_a_listener_that_raises_keeps_nobody_from_following(store: CatalogStore) -> None:
    def listener(_: CompiledCatalog) -> None:
        raise RuntimeError("not today")

    await store.publish(small("one"))
    async with CatalogFollower(store, listener, poll_s=0.02) as follower:
        await store.publish(small("two"))
        await until(lambda: follower.current.version == 2)


async def test_a_new_process_takes_the_newest_that_compiles(store: CatalogStore) -> None:
    await store.publish(small())
    await store.publish(Catalog(placements={"hero": Placement(content=("gone",), default="gone")}, content={}))
    async with CatalogFollower(store) as follower:
        assert follower.current.version == 1


async def test_following_outlives_a_redis_that_drops_it(store: CatalogStore, redis: Redis) -> None:
    await store.publish(small())
    async with CatalogFollower(store, poll_s=60) as follower:
        await until(lambda: _listeners(follower))
        await redis.client_kill_filter(_type="pubsub")
        await until(lambda: not _listeners(follower))
        await store.publish(small("two"))
        await until(lambda: follower.current.version == 2)


async def test_a_saved_file_is_live_and_a_wrong_one_is_not(store: CatalogStore, tmp_path: Path) -> None:
    file = tmp_path / "shop.yaml"
    good = "placements: {hero: {content: a, default: a}}\ncontent: {a: {body: BODY}}\n"
    file.write_text(good.replace("BODY", "one"))
    await store.publish(load_catalog(tmp_path))
    said: list[str] = []
    stop = asyncio.Event()
    async with CatalogFollower(store) as follower:
        watching = asyncio.create_task(
            watch_catalog(tmp_path, store.publish, report=said.append, stop=stop, debounce_ms=20)
        )

        async def save(text: str, holds: Callable[[], bool]) -> None:
            # Saved again until it is seen: nothing says when the watch has begun.
            async with asyncio.timeout(20):
                while not holds():
                    file.write_text(text)
                    await asyncio.sleep(0.1)

        await save(good.replace("BODY", "two"), lambda: _body(follower.current) == "two")
        version = follower.current.version
        await save(
            "placements:\n  hero: {content: b, default: a, windw: 3m}\n", lambda: any("windw" in s for s in said)
        )
        assert follower.current.version == version
        assert any("shop.yaml:2: placements.hero.windw: unknown field; did you mean 'window'?" in s for s in said)
        await save(good.replace("BODY", "three"), lambda: _body(follower.current) == "three")
        stop.set()
        await asyncio.wait_for(watching, 10)


def _body(compiled: CompiledCatalog) -> object:
    return compiled.catalog.content["a"].body


async def test_a_connection_that_broke_meanwhile_does_not_keep_a_catalog_from_being_published(
    redis: Redis, redis_url: str
) -> None:
    async with open_catalogs(redis_url, "broken") as store:
        await store.publish(small())
        for body in ("other", "third"):
            await redis.client_kill_filter(_id=str(await store.redis.client_id()))
            await store.publish(small(body))
        assert [version.version for version in await store.history()] == [3, 2, 1]

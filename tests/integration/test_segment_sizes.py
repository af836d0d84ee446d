"""Segments are counted over the states in Redis, partition by partition, and take a bounded share of a core."""

from __future__ import annotations

import time
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from functools import partial

import pytest
from redis.asyncio import Redis

from eventlog.partition import partition_of
from installation.redis_clients import worker_client
from personalization.catalog.catalog import Catalog
from personalization.catalog.compiled_catalog import CompiledCatalog, compile_catalog
from personalization.visitor.folder_state import FolderState
from personalization.visitor.purposes import Word
from personalization.visitor.visitor import Visitor
from personalization.visitor.visitor_state import VisitorState
from state.keys import Keys
from state.segment_store import SegmentStore
from state.visitor_store import NEVER_SEEN, Change, RedisVisitorStore
from stream.projecting.segment_census import SegmentCensus

pytestmark = pytest.mark.redis
N_PARTITIONS, NOW = 4, 1_700_000_000_000
KEYS = Keys("sizes")


def catalog(version: int = 1) -> CompiledCatalog:
    segments = {"buyers": "n_orders > 0", "rich": "revenue > 100.0", "phones": "device == 'mobile'"}
    return compile_catalog(Catalog(placements={}, content={}, segments=segments), version)


@dataclass
class Catalogs:
    current: CompiledCatalog = field(default_factory=catalog)
    ready: bool = True


@pytest.fixture
async def redis(redis_url: str) -> AsyncIterator[Redis]:
    client = worker_client(redis_url)
    yield client
    await client.aclose()


@pytest.fixture
async def store(redis: Redis) -> SegmentStore:
    visitors = RedisVisitorStore(redis, KEYS, b"hash key")
    states = {
        f"a:{n}": VisitorState(epoch=1, offset=n, first_ms=NOW, n_orders=n % 3, revenue=float(n))
        for n in range(300)
    }
    states["a:refused"] = VisitorState(
        epoch=1, first_ms=NOW, n_orders=1, consents={"personalization": Word(False, NOW)}
    )
    states["a:merged"] = VisitorState(epoch=1, redirect="a:1", first_ms=NOW, n_orders=1)
    await visitors.save([Change(key, NEVER_SEEN, Visitor(state, FolderState())) for key, state in states.items()])
    await redis.mset({f"other:visitor:{{a:{n}}}": b"of another namespace" for n in range(50)})
    return SegmentStore(redis, KEYS, visitors)


async def test_every_partition_is_counted_by_its_owner(store: SegmentStore) -> None:
    for owned in ((0, 1), (2, 3)):
        census = SegmentCensus(store, Catalogs(), partial(tuple, owned), N_PARTITIONS, 1.0, lambda: NOW)
        assert await census.count(catalog())
    counted = await store.read(N_PARTITIONS)
    keys = [f"a:{n}" for n in range(300)]
    for partition, one in enumerate(counted):
        inside = [int(key[2:]) for key in keys if partition_of(key, N_PARTITIONS) == partition]
        assert one is not None
        assert (one.catalog_version, one.at_ms, one.n_visitors) == (1, NOW, len(inside))
        assert one.sizes == {"buyers": sum(n % 3 > 0 for n in inside), "rich": sum(n > 100 for n in inside)}


async def test_nothing_is_written_of_a_version_that_is_not_in_force_any_more(store: SegmentStore) -> None:
    census = SegmentCensus(store, Catalogs(catalog(2)), lambda: range(N_PARTITIONS), N_PARTITIONS, 1.0)
    assert not await census.count(catalog(1))
    assert await store.read(N_PARTITIONS) == [None] * N_PARTITIONS


async def test_a_walk_takes_no_more_than_its_share_of_a_core(store: SegmentStore) -> None:
    census = SegmentCensus(store, Catalogs(), lambda: range(N_PARTITIONS), N_PARTITIONS, 0.02)
    began_s, began_cpu_s = time.perf_counter(), time.process_time()
    await census.count(catalog())
    share = (time.process_time() - began_cpu_s) / (time.perf_counter() - began_s)
    assert share < 0.05, "a fiftieth, and what the loop itself takes"


async def test_a_count_of_another_release_is_none(store: SegmentStore, redis: Redis) -> None:
    await redis.set(KEYS.segment_sizes(0), b"\xc1")
    assert await store.read(1) == [None]

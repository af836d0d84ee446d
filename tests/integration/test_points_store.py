"""Thresholds of several projectors through Redis: counts by partition, and one version of the catalog for all."""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from functools import partial

import pytest
from redis.asyncio import Redis

from installation.redis_clients import worker_client
from personalization.catalog.catalog import Catalog, Content, Placement, Score
from personalization.catalog.compiled_catalog import CompiledCatalog, compile_catalog
from personalization.catalog.sections.scores import TraitPoints
from personalization.catalog.tier_thresholds import TopShare
from personalization.visitor.folder_state import FolderState
from personalization.visitor.visitor import Visitor
from personalization.visitor.visitor_state import VisitorState
from state.catalog_store import CatalogStore
from state.keys import Keys
from state.points_store import PointsStore
from state.segment_store import SegmentStore
from state.visitor_store import NEVER_SEEN, Change, RedisVisitorStore
from stream.projecting.quantile_census import WHO, QuantileCensus

pytestmark = pytest.mark.redis
N_PARTITIONS, NOW, HOUR_MS = 4, 1_700_000_000_000, 3_600_000
KEYS = Keys("points")
BITS = tuple(TraitPoints(when=f"traits.bit{bit} == true", points=2.0**bit) for bit in range(8))


def catalog(*, body: str = "a", **terms: object) -> Catalog:
    score = Score(traits=BITS, tiers={"hot": TopShare(top=0.1)}, **terms)  # type: ignore[arg-type]  # of a score
    placements = {"hero": Placement(content=("a",), default="a")}
    return Catalog(placements=placements, content={"a": Content(body=body)}, scores={"lead": score})


@dataclass
class InForce:
    """The newest version, as a follower sees it."""

    store: CatalogStore
    current: CompiledCatalog = field(default_factory=lambda: compile_catalog(catalog(), 0))
    ready: bool = True

    async def follow(self) -> CompiledCatalog:
        version = await self.store.latest_version()
        published = await self.store.published(version)
        assert published is not None
        self.current = compile_catalog(published, version)
        return self.current


@pytest.fixture
async def redis(redis_url: str) -> AsyncIterator[Redis]:
    client = worker_client(redis_url)
    yield client
    await client.aclose()


@pytest.fixture
async def in_force(redis: Redis) -> InForce:
    found = InForce(CatalogStore(redis, "points"))
    await found.store.publish(catalog(), "ann")
    await found.follow()
    return found


def census(redis: Redis, in_force: InForce, *owned: int) -> QuantileCensus:
    visitors = SegmentStore(redis, KEYS, RedisVisitorStore(redis, KEYS, b"hash key"))
    return QuantileCensus(
        visitors,
        PointsStore(redis, KEYS),
        in_force,
        in_force.store,
        partial(tuple, owned),
        N_PARTITIONS,
        HOUR_MS,
        cpu_share=1.0,
        now_ms=lambda: NOW,
    )


async def known_visitors(redis: Redis, n_visitors: int = 200) -> None:
    changes = []
    for number in range(1, n_visitors + 1):
        traits: dict[str, str | float | int | bool] = {f"bit{n}": True for n in range(8) if number & 2**n}
        state = VisitorState(epoch=1, offset=number, first_ms=NOW, traits=traits)
        changes.append(Change(f"a:{number}", NEVER_SEEN, Visitor(state, FolderState())))
    await RedisVisitorStore(redis, KEYS, b"hash key").save(changes)


def begins(catalog: CompiledCatalog) -> float | None:
    known = catalog.scores.by_name["lead"].thresholds
    return None if known is None else dict(known.points)[0.1]


async def test_two_projectors_publish_one_set_of_thresholds(redis: Redis, in_force: InForce) -> None:
    await known_visitors(redis)
    first, second = census(redis, in_force, 0, 2), census(redis, in_force, 1, 3)
    for each in (first, second):
        await each.look()
    assert begins(await in_force.follow()) is None, "the first had seen a half when it looked"
    # Both take themselves for the owner of the first partition, as in the moment of a rebalance.
    published = [await each.publish(in_force.current) for each in (first, second)]
    assert published == [2, None]
    assert begins(await in_force.follow()) == 181
    newest = (await in_force.store.history(1))[0]
    assert (newest.who, newest.changes) == (WHO, ["scores.lead: hot from 181 points, of 200 visitors"])


async def test_the_same_content_stays_the_same_content(redis: Redis, in_force: InForce) -> None:
    """Whoever follows a folder finds in force what lies in it, and publishes nothing for a threshold."""
    await known_visitors(redis)
    before = (await in_force.store.history(1))[0]
    await census(redis, in_force, *range(N_PARTITIONS)).look()
    after = (await in_force.store.history(1))[0]
    assert (after.version, after.digest, after.declared) == (2, before.digest, before.declared)
    assert await in_force.store.publish(catalog(), "ann") == 2


async def test_who_edits_the_catalog_keeps_the_thresholds_of_the_same_points(
    redis: Redis, in_force: InForce
) -> None:
    await known_visitors(redis)
    await census(redis, in_force, *range(N_PARTITIONS)).look()
    assert await in_force.store.publish(catalog(body="b"), "ann") == 3
    assert begins(await in_force.follow()) == 181
    assert await in_force.store.publish(catalog(range=(0.0, 50.0)), "ann") == 4
    assert begins(await in_force.follow()) is None, "they are other points"
    await in_force.store.publish(catalog(body="b"), "ann")
    assert begins(await in_force.follow()) is None, "what another version knew is not searched for"
    assert await in_force.store.rollback(3, "ann") == 5
    assert begins(await in_force.follow()) is None, "it is in force already"
    await in_force.store.publish(catalog(range=(0.0, 50.0)), "ann")
    assert await in_force.store.rollback(3, "ann") == 7
    assert begins(await in_force.follow()) == 181, "a rollback has those of the version it goes back to"


async def test_a_rollback_keeps_the_newest_thresholds(redis: Redis, in_force: InForce) -> None:
    await known_visitors(redis)
    await census(redis, in_force, *range(N_PARTITIONS)).look()
    await in_force.store.publish(catalog(body="b"), "ann")
    assert await in_force.store.rollback(1, "ann") == 4
    assert begins(await in_force.follow()) == 181


async def test_counts_of_another_release_are_none(redis: Redis) -> None:
    await redis.set(KEYS.points(0), b"\xc1")
    assert await PointsStore(redis, KEYS).read(1) == [None]


async def test_windows_may_be_filled_while_thresholds_move_and_not_while_somebody_publishes(
    redis: Redis, in_force: InForce
) -> None:
    await known_visitors(redis)
    ours = census(redis, in_force, *range(N_PARTITIONS))
    await ours.look()
    assert await in_force.store.reach_back(1, {}, "ann") == 3
    assert begins(await in_force.follow()) == 181
    assert [entry.computed for entry in await in_force.store.history()] == [False, True, False]
    assert await in_force.store.reach_back(2, {}, "ann") is None, "the one after it is somebody's"
    assert await in_force.store.reach_back(9, {}, "ann") is None

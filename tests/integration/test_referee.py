"""The referee on a real Redis: a promoted policy that does harm is taken back by a version of the catalog."""

from __future__ import annotations

import time
from collections.abc import AsyncIterator
from dataclasses import dataclass

import pytest
from redis.asyncio import Redis

from eventlog.topics import OUTCOMES
from installation.redis_clients import worker_client
from personalization.catalog.catalog import Catalog, Challenger, Content, Placement, RewardRule, Standing
from personalization.catalog.compiled_catalog import CompiledCatalog, compile_catalog
from personalization.catalog.duration import DAY_MS, HOUR_MS
from personalization.catalog.policy_spec import PolicySpec
from personalization.catalog.sections.challengers import contest_of
from personalization.events.participant import Participant
from personalization.projecting.experiments import Experiments
from personalization.projecting.sums import no_sums
from state.catalog_store import CatalogStore
from state.keys import Keys
from state.projection_store import Place, ProjectionStore, Step
from state.read_models import ReadModels
from stream.projecting.referee import Referee, differences_since

pytestmark = pytest.mark.redis

NAMESPACE = "refereed"
SPLIT = {"control": 0.5, "": 0.5}
NOW_MS = int(time.time() * 1000)
HERO = Placement(
    content=("a", "b"),
    default="a",
    holdout=0.5,
    horizon_ms=HOUR_MS,
    rewards=(RewardRule(event="Clicked"),),
    challenger=Challenger(policy=PolicySpec(name="thompson")),
)


@dataclass
class Catalogs:
    current: CompiledCatalog
    ready: bool = True


@pytest.fixture
async def redis(redis_url: str) -> AsyncIterator[Redis]:
    client = worker_client(redis_url)
    yield client
    await client.aclose()


async def add(redis: Redis, *, treated: int, control: int, n: int = 1_000) -> None:
    """``n`` participants of either side whose horizons closed just now, and of how many of them a reward came."""
    sums, model = no_sums(), Experiments()
    for side, k in (("", treated), ("control", control)):
        for each in range(n):
            values = {"reward": 1.0} if each < k else {}
            model.participated(
                Participant(
                    "p", "hero", side, {"control": 0.5, "": 0.5}, NOW_MS - HOUR_MS, NOW_MS, HOUR_MS, values
                ),
                sums,
            )
    await ProjectionStore(redis, Keys(NAMESPACE), 1).advance([Step(Place(OUTCOMES, 0), None, 1)], sums)


async def looked(redis: Redis, since_ms: int) -> tuple[CatalogStore, list[tuple[str, str]]]:
    """What a referee does who finds the challenger promoted since then."""
    store, told = CatalogStore(redis, NAMESPACE), list[tuple[str, str]]()
    version = await store.publish(
        Catalog(placements={"hero": HERO}, content={"a": Content(body="a"), "b": Content(body="b")})
    )
    promoted = await store.put_standing(version, "hero", Standing(contest_of(HERO), "promoted", since_ms), "", "")
    published = await store.published(promoted or 0)
    assert promoted is not None
    assert published is not None
    sums, catalogs = ReadModels(redis, Keys(NAMESPACE)), Catalogs(compile_catalog(published, promoted))
    referee = Referee(
        sums,
        catalogs,
        lambda: True,
        lambda version, placement, standing: store.put_standing(version, placement, standing, "", standing.why),
        lambda placement, since: differences_since(sums, catalogs.current, placement, since, NOW_MS),
        lambda *what: told.append(what),
        lambda: NOW_MS,
    )
    await referee.look()
    return store, told


async def test_harm_beyond_doubt_takes_it_back(redis: Redis) -> None:
    await add(redis, treated=100, control=400)
    store, told = await looked(redis, NOW_MS - 3 * DAY_MS)
    assert told == [("hero", "demoted")]
    published = await store.published(await store.latest_version())
    assert published is not None
    assert published.standings["hero"].is_now == "demoted"
    assert "held out" in published.standings["hero"].why
    assert compile_catalog(published, 1).placements["hero"].spec.policy.name == "default"
    [line] = await store.history(1)
    assert line.changes == [published.standings["hero"].why]


async def test_only_those_count_who_came_since_it_was_promoted(redis: Redis) -> None:
    await add(redis, treated=100, control=400)
    _, told = await looked(redis, NOW_MS - HOUR_MS)
    assert told == []


async def test_no_harm_changes_nothing(redis: Redis) -> None:
    await add(redis, treated=300, control=300)
    _, told = await looked(redis, NOW_MS - 3 * DAY_MS)
    assert told == []

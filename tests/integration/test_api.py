"""The API against a real Redis: log, states, models and catalog where the workers keep them."""

from __future__ import annotations

import asyncio
import os
import re
import signal
import sys
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import httpx
import pytest
from redis.asyncio import Redis

from api.app import Application
from api.process.composition import open_services
from background.ports import free_port
from config.setting_values import RedisUrl, Secret
from config.settings import Settings
from eventlog.opening import open_log
from eventlog.partition import partition_of
from eventlog.port import LogIdentity
from eventlog.topics import DECISIONS, VISITOR_LOG, Topics
from online_models import checkpoint
from online_models.placement_model import PlacementModel
from personalization.deciding.decision_keys import DecisionKeys
from personalization.deciding.distribution import SCALE
from personalization.deciding.recompute import recompute
from personalization.events.decision_record import decode_record
from personalization.events.entry import decode_entry
from personalization.events.event import DecisionMade
from personalization.events.outcome import ClosingReason, Outcome
from personalization.key_derivation import Secrets
from personalization.visitor.choice import Choice
from personalization.visitor.visitor_state import VisitorState
from state.catalog_store import CatalogStore
from state.checkpoint_store import CheckpointHeader, CheckpointStore, ModelCopy, SavedModel
from state.embedded import EmbeddedRedis
from state.keys import Keys
from state.model_store import ModelPublisher, read_model
from state.visitor_store import pack_visitor
from tests.ciphers import cipher_at
from tests.receipts import signed
from tests.requirements import require
from tests.unit.api.site import SERVER, WRITE, client_of, shop

pytestmark = pytest.mark.redis

KEYS = Keys("test")
SECRET = "test-secret"
SECRETS = Secrets(SECRET.encode())
MODELS_KEY = SECRETS.key("models")


@pytest.fixture
def own_redis(tmp_path: Path) -> Iterator[EmbeddedRedis]:
    """A Redis that a test may take away."""
    require("redis")
    with EmbeddedRedis(tmp_path / "redis") as server:
        yield server


def settings_for(url: str, tmp_path: Path, **more: Any) -> Settings:
    return Settings(
        redis=RedisUrl(url),
        namespace="test",
        data_dir=str(tmp_path / "data"),
        # Others use this machine too: the budgets of a quiet one are measured by the benchmarks.
        **{"secret": Secret(SECRET), "redis_timeout_ms": 500, "deadline_ms": 2_000, **more},
    )


@asynccontextmanager
async def api(settings: Settings, *, publish: bool = True) -> AsyncIterator[httpx.AsyncClient]:
    if publish:
        redis = Redis.from_url(settings.redis)
        await CatalogStore(redis, "test").publish(shop(), "test")
        await redis.aclose()
    app = Application(lambda: open_services(settings))
    async with app.started(), client_of(app) as client:
        await until(lambda: ready(client))
        yield client


async def ready(client: httpx.AsyncClient) -> bool:
    return (await client.get("http://inner/readyz")).status_code == 200


async def until(holds: Callable[[], Awaitable[bool]], within_s: float = 20.0) -> None:
    async with asyncio.timeout(within_s):
        while True:
            if await holds():
                return
            await asyncio.sleep(0.01)


async def decide(client: httpx.AsyncClient, visitor: str = "a1", *placements: str, **more: Any) -> dict[str, Any]:
    body = {"visitor": {"anonymousId": visitor}, "placements": list(placements) or ["home.hero"], **more}
    response = await client.post("/v1/decide", json=body, headers=WRITE)
    assert response.status_code == 200, response.text
    decided: dict[str, Any] = response.json()
    return decided


async def entries(url: str, topic: str, secret: str = SECRET) -> list[tuple[str, bytes]]:
    cipher = await cipher_at(Settings(redis=RedisUrl(url), namespace="test", secret=Secret(secret)))
    log = open_log(url, Topics(prefix="test."), cipher=cipher)
    try:
        identity = await log.identity()
        return [
            (entry.key, entry.value)
            for partition in range(identity.n_partitions)
            async for entry in log.read(topic, partition, 0)
        ]
    finally:
        await log.close()


async def test_what_crawlers_are_known_by_is_compiled_before_the_first_visitor_waits_for_it(
    redis_url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delitem(sys.modules, "crawleruseragents", raising=False)
    async with api(settings_for(redis_url, tmp_path)):
        patterns = vars(sys.modules["crawleruseragents"].CRAWLER_PATTERNS)
        assert [len(each) > 10 for each in patterns.values()] == [True]


async def test_events_are_in_the_log_when_they_are_answered(redis_url: str, tmp_path: Path) -> None:
    async with api(settings_for(redis_url, tmp_path)) as client:
        await asyncio.sleep(0)
        body = {"type": "identify", "anonymousId": "a1", "userId": "u1", "traits": {"age": 3}}
        await until(lambda: accepted(client, body))
        found = await entries(redis_url, VISITOR_LOG)
    assert {key for key, _ in found} == {"u:u1", "a:a1"}
    assert all(decode_entry(value).catalog_version == 1 for _, value in found)


async def accepted(client: httpx.AsyncClient, body: dict[str, Any]) -> bool:
    """The log may still be coming into being: then it is 503."""
    response = await client.post("/v1/events", json=body, headers=WRITE)
    assert response.status_code in (200, 503)
    return response.status_code == 200


async def test_decisions_reach_both_topics_and_recompute_from_the_record(redis_url: str, tmp_path: Path) -> None:
    async with api(settings_for(redis_url, tmp_path)) as client:
        answers = [await decide(client, f"a{n}", "home.hero", "home.list") for n in range(10)]

        async def all_there() -> bool:
            return len(await entries(redis_url, DECISIONS)) == 30

        await until(all_there)
    records = {record.choice.decision_id: record for _, value in await entries(redis_url, DECISIONS)
               for record in [decode_record(value)]}  # fmt: skip
    made = {e.event.choice.decision_id: e.event for _, value in await entries(redis_url, VISITOR_LOG)
            for e in [decode_entry(value)] if isinstance(e.event, DecisionMade)}  # fmt: skip
    from online_models.snapshot import ModelSnapshot
    from personalization.catalog.compiled_catalog import compile_catalog

    catalog = compile_catalog(shop(), 1)
    for decision in (decision for answer in answers for decision in answer["decisions"]):
        record = records[decision["decisionId"]]
        assert made[decision["decisionId"]].choice.weight == record.choice.weight == decision["probability"] * SCALE
        again = recompute(record, catalog, ModelSnapshot.prior(), DecisionKeys.of(SECRETS))
        assert (again.arm, again.distribution.weights) == (decision["contentId"], record.weights)


async def test_the_state_the_folder_wrote_is_the_state_decided_with(redis_url: str, tmp_path: Path) -> None:
    async with api(settings_for(redis_url, tmp_path)) as client, Redis.from_url(redis_url) as redis:
        assert (await decide(client))["stateRevision"] == 0
        await redis.set(KEYS.visitor("a:a1"), pack_visitor(VisitorState(revision=7, offset=3)))
        assert (await decide(client))["stateRevision"] == 7
        await redis.set(KEYS.visitor("a:b2"), pack_visitor(VisitorState(redirect="a:a1", offset=3)))
        assert (await decide(client, "b2"))["stateRevision"] == 7


async def test_a_published_model_changes_what_is_served(redis_url: str, tmp_path: Path) -> None:
    async with api(settings_for(redis_url, tmp_path)) as client, Redis.from_url(redis_url) as redis:
        before = {(await decide(client, f"a{n}"))["modelAgeMs"] for n in range(3)}
        assert before == {None}
        model = PlacementModel("home.hero")
        for n in range(600):
            arm = ("shoes", "tents", "bags")[n % 3]
            model.learn(
                Outcome(
                    Choice(f"d{n}", "home.hero", 0, arm, SCALE // 3),
                    float(arm == "tents"),
                    ClosingReason.WINDOW,
                    n,
                    n,
                )
            )
        publisher = ModelPublisher(redis, KEYS, MODELS_KEY)
        await publisher.publish("home.hero", model.snapshot(generation=1), time.time_ns() // 10**6)

        async def arrived() -> bool:
            return (await decide(client))["modelAgeMs"] is not None

        await until(arrived)
        chosen = [(await decide(client, f"a{n}"))["decisions"][0]["contentId"] for n in range(60)]
        assert chosen.count("tents") > 50
        assert (await read_model(redis, KEYS, "home.hero", MODELS_KEY)) is not None
        await save_checkpoint(redis, model, (await log_identity(redis_url)).n_partitions)
        body = (await client.get("/v1/placements/home.hero", headers=SERVER)).json()
        assert body["trainedThrough"]["offset"] == 599
        assert [arm["exposures"] for arm in body["arms"]] == [200, 200, 200]
        assert body["arms"][1]["mean"] == 1.0


async def log_identity(url: str) -> LogIdentity:
    log = open_log(url, Topics(prefix="test."))
    try:
        return await log.identity()
    finally:
        await log.close()


async def save_checkpoint(redis: Redis, model: PlacementModel, n_partitions: int) -> None:
    partition = partition_of("home.hero", n_partitions)
    store = CheckpointStore(redis, KEYS)
    generation = await store.open(partition)
    blob = checkpoint.dump(model, {partition: 600}, MODELS_KEY, generation=generation)
    saved = SavedModel(b"", -1, 600, (ModelCopy(1, 599, 600, len(blob)),))
    header = CheckpointHeader(1, 640, generation, 1, {"home.hero": saved})
    assert await store.save(partition, header, {("home.hero", 1): blob})


async def test_redis_away_is_answered_from_what_is_at_hand_and_comes_back(
    own_redis: EmbeddedRedis, tmp_path: Path
) -> None:
    async with api(settings_for(own_redis.url, tmp_path)) as client:
        assert (await decide(client))["decisions"][0]["tier"] == "personalised"
        own_redis.stop()
        receipt = signed(SECRETS, "a:a1", time.time_ns() // 10**6)
        tiers = {(await decide(client))["decisions"][0]["tier"] for _ in range(20)}
        assert tiers == {"contextual"}
        granted = await decide(client, context={"consentReceipt": receipt})
        assert granted["decisions"][0]["tier"] == "contextual"
        began = time.process_time()
        for _ in range(50):
            await decide(client)
        assert (time.process_time() - began) / 50 < 0.02, "client included: no time-out is waited for"
        response = await client.post("/v1/events", json={"type": "page", "anonymousId": "a1"}, headers=WRITE)
        assert response.status_code == 503
        own_redis.start()

        async def back() -> bool:
            return bool((await decide(client))["decisions"][0]["tier"] == "personalised")

        await until(back)


async def test_what_was_decided_while_the_log_was_away_reaches_it_later(
    own_redis: EmbeddedRedis, tmp_path: Path
) -> None:
    async with api(settings_for(own_redis.url, tmp_path)) as client:
        await until(lambda: accepted(client, {"type": "page", "anonymousId": "a0"}))
        own_redis.stop()
        receipt = signed(SECRETS, "a:a1", time.time_ns() // 10**6)
        ids = {
            (await decide(client, context={"consentReceipt": receipt}))["decisions"][0]["decisionId"]
            for _ in range(5)
        }
        own_redis.start()

        async def all_there() -> bool:
            found = [decode_entry(value).event for _, value in await entries(own_redis.url, VISITOR_LOG)]
            made = [event for event in found if isinstance(event, DecisionMade)]
            assert not any(event.trains for event in made)
            return {event.choice.decision_id for event in made} == ids

        await until(all_there)


@pytest.mark.slow
async def test_processes_that_share_a_port_sum_their_metrics(redis_url: str, tmp_path: Path) -> None:
    port, inner_port = free_port(), free_port()
    environment = {
        **os.environ,
        "NEXTBEST_REDIS": redis_url,
        "NEXTBEST_NAMESPACE": "test",
        "NEXTBEST_PORT": str(port),
        "NEXTBEST_METRICS_PORT": str(inner_port),
        "NEXTBEST_API_PROCESSES": "2",
        "NEXTBEST_DATA_DIR": str(tmp_path / "data"),
    }
    async with Redis.from_url(redis_url) as redis:
        await CatalogStore(redis, "test").publish(shop(), "test")
    process = await asyncio.create_subprocess_exec(sys.executable, "-m", "api.main", env=environment)
    try:

        async def up() -> bool:
            try:
                async with httpx.AsyncClient() as client:
                    return (await client.get(f"http://127.0.0.1:{inner_port}/readyz")).status_code == 200
            except httpx.TransportError:
                return False

        await until(up, within_s=60)
        for n in range(60):
            async with httpx.AsyncClient(base_url=f"http://127.0.0.1:{port}") as client:  # a connection each
                await decide(client, f"a{n}")

        async def counted() -> bool:
            async with httpx.AsyncClient() as client:
                text = (await client.get(f"http://127.0.0.1:{inner_port}/metrics")).text
            found = re.search(r'nextbest_requests_total\{endpoint="decide",status="200"\} (\S+)', text)
            return found is not None and float(found[1]) == 60

        await until(counted)
    finally:
        process.send_signal(signal.SIGTERM)
        async with asyncio.timeout(30):
            await process.wait()

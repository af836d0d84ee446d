"""Keys that everybody knows serve nothing where the API listens beyond this machine, and it says why."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import httpx
import pytest
from msgspec import structs
from redis.asyncio import Redis

from api.app import Application
from api.process.composition import open_services
from cli.live_catalog import live_catalog
from config.development_keys import keys_problem
from personalization.catalog.catalog import Catalog, Source
from personalization.errors import Refused
from state.catalog_store import CatalogStore
from tests.integration.test_api import settings_for, until
from tests.unit.api.site import client_of, shop

pytestmark = pytest.mark.redis

BODY: dict[str, Any] = {"visitor": {"anonymousId": "a1"}, "placements": ["home.hero"]}


def with_key(key: str) -> Catalog:
    return structs.replace(shop(), sources={"web": Source(write_keys=(key,), consent_default="granted")})


async def status(client: httpx.AsyncClient, key: str) -> int:
    response = await client.post("/v1/decide", json=BODY, headers={"Authorization": f"Bearer {key}"})
    return response.status_code


async def test_no_version_with_such_keys_is_ever_in_force(redis_url: str, tmp_path: Path) -> None:
    settings = settings_for(redis_url, tmp_path, host="0.0.0.0")
    redis = Redis.from_url(redis_url)
    store = CatalogStore(redis, "test")
    await store.publish(with_key("pk_dev"), "test")
    app = Application(lambda: open_services(settings))
    async with app.started(), client_of(app) as client:
        ready = await client.get("http://inner/readyz")
        assert ready.status_code == 503
        assert "its sources have pk_dev, which everybody knows" in ready.json()["reasons"]["catalog"]
        assert await status(client, "pk_dev") == 503

        await store.publish(with_key("pk_own"), "test")

        async def served() -> bool:
            return await status(client, "pk_own") == 200

        await until(served)
        assert (await client.get("http://inner/readyz")).status_code == 200

        await store.publish(with_key("pk_dev"), "test")

        async def told() -> bool:
            return "version 3 cannot be used here" in str(
                (await client.get("http://inner/readyz")).json()["reasons"]
            )

        await until(told)
        assert (await status(client, "pk_own"), await status(client, "pk_dev")) == (200, 401)
    await redis.aclose()


async def test_up_publishes_no_such_catalog(redis_url: str, tmp_path: Path) -> None:
    settings = settings_for(redis_url, tmp_path, host="0.0.0.0")
    memory = tmp_path / "memory.json"
    following = live_catalog(
        redis_url, "test", None, print, memory, lambda catalog: keys_problem(settings, catalog)
    )
    with pytest.raises(Refused, match=r"config/catalog cannot be served: its sources have pk_dev and sk_dev"):
        await following.__aenter__()
    redis = Redis.from_url(redis_url)
    assert await CatalogStore(redis, "test").latest_version() == 0
    await redis.aclose()

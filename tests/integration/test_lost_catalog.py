"""A catalog version that the log names and Redis has lost: it is named, brought back, and all goes on."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from click.testing import CliRunner
from prometheus_client import CollectorRegistry, Counter
from redis.asyncio import Redis

import state.catalog_follower
from cli.catalog_commands import history, publish
from config.loader import load_catalog
from personalization.errors import Refused
from state.catalog_follower import CatalogFollower
from state.catalog_store import CatalogStore
from stream.patience import Patience
from tests.running import eventually

pytestmark = [pytest.mark.redis, pytest.mark.timeout(60)]


def folder_of(tmp_path: Path, title: str) -> Path:
    folder = tmp_path / title
    folder.mkdir()
    (folder / "shop.yaml").write_text(
        f"placements: {{home: {{content: [a], default: a}}}}\ncontent: {{a: {{body: {title}}}}}\n"
    )
    return folder


@pytest.fixture
async def store(redis_url: str, namespace: str) -> AsyncIterator[CatalogStore]:
    async with Redis.from_url(redis_url) as redis:
        yield CatalogStore(redis, namespace)


async def test_who_waits_for_a_lost_version_says_which_and_goes_on_once_it_is_back(
    store: CatalogStore, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(state.catalog_follower.CatalogFollower.get, "__defaults__", (0.1,))
    await store.publish(load_catalog(folder_of(tmp_path, "one")))
    waiting: dict[str, str] = {}
    retries = Counter("retries", "Failed attempts.", ["part"], registry=CollectorRegistry())
    async with CatalogFollower(store) as follower:
        getting = asyncio.create_task(Patience(retries, waiting)("catalog", follower.get, 7))
        await eventually(lambda: bool(waiting), "it is told what is waited for")
        assert waiting["catalog"] == (
            "catalog version 7 was not published within 0.1 s; if it was lost, `nextbest publish FOLDER "
            "--as-version 7` brings it back"
        )
        await store.restore(7, load_catalog(folder_of(tmp_path, "two")), "ann")
        compiled = await getting
        assert compiled.version == 7
        assert waiting == {}
        await eventually(lambda: follower.current.version == 7, "above the newest, it is in force")
    assert await store.publish(load_catalog(folder_of(tmp_path, "three"))) == 8


async def test_below_the_newest_a_version_comes_back_without_being_in_force(
    store: CatalogStore, tmp_path: Path
) -> None:
    one, two = load_catalog(folder_of(tmp_path, "one")), load_catalog(folder_of(tmp_path, "two"))
    await store.restore(9, one)
    await store.restore(4, two)
    assert await store.latest() == (9, one)
    assert await store.get(4) == two
    assert [entry.version for entry in await store.history()] == [9, 4]
    assert await store.rollback(4) == 10


async def test_a_version_that_is_there_is_never_replaced(store: CatalogStore, tmp_path: Path) -> None:
    one, two = load_catalog(folder_of(tmp_path, "one")), load_catalog(folder_of(tmp_path, "two"))
    await store.publish(one)
    with pytest.raises(Refused, match="there is a version 1"):
        await store.restore(1, two)
    assert await store.latest() == (1, one)


def test_it_is_brought_back_from_the_command_line(redis_url: str, namespace: str, tmp_path: Path) -> None:
    runner = CliRunner(env={"NEXTBEST_REDIS": redis_url, "NEXTBEST_NAMESPACE": namespace})
    one, two = str(folder_of(tmp_path, "one")), str(folder_of(tmp_path, "two"))
    assert (
        runner.invoke(publish, [one, "--as-version", "7"]).stdout == "Version 7 is back. Version 7 is in force.\n"
    )
    assert (
        runner.invoke(publish, [two, "--as-version", "3"]).stdout == "Version 3 is back. Version 7 is in force.\n"
    )
    assert isinstance(runner.invoke(publish, [two, "--as-version", "7"]).exception, Refused)
    assert "version 7 brought back" in runner.invoke(history).output

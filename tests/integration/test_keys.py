"""Keys in a running installation: rotated and revoked without its files, at once, and for good."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path

import httpx
import pytest
from click.testing import CliRunner, Result
from redis.asyncio import Redis

from api.app import Application
from api.process.composition import open_services
from cli.catalog_commands import publish, rollback
from cli.keys_commands import keys
from config.loader import load_catalog
from config.settings import Settings
from personalization.catalog.check import InvalidCatalog
from personalization.catalog.source_keys import digest_of, shown_digest
from personalization.errors import InvalidInput, Refused
from state.catalog_store import CatalogStore
from tests.integration.test_api import until

pytestmark = pytest.mark.redis

SHOP = """\
placements:
  hero: {content: [a], default: a}
content:
  a: {body: hello}
sources:
  shop:
    consent_default: granted
    write_keys: [pk_shop]
    server_keys: [sk_shop]
"""


@pytest.fixture
def command(redis_url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., Result]:
    """Run a command against the Redis of the test; what it raises is raised here."""
    for name, value in (("REDIS", redis_url), ("NAMESPACE", "test"), ("DATA_DIR", str(tmp_path / "data"))):
        monkeypatch.setenv(f"NEXTBEST_{name}", value)
    monkeypatch.setenv("NEXTBEST_SECRET", "a secret of thirty-two characters")

    def run(*arguments: str) -> Result:
        group = {"publish": publish, "rollback": rollback}.get(arguments[0])
        words = [*arguments[1:]] if group else [*arguments]
        result = CliRunner().invoke(group or keys, words, catch_exceptions=False)
        assert result.exit_code == 0, result.output
        return result

    return run


@pytest.fixture
def files(tmp_path: Path) -> Path:
    folder = tmp_path / "catalog"
    folder.mkdir()
    (folder / "shop.yaml").write_text(SHOP)
    return folder


@asynccontextmanager
async def api() -> AsyncIterator[httpx.AsyncClient]:
    app = Application(lambda: open_services(Settings.from_environment()))
    transport = httpx.ASGITransport(app=app)
    async with app.started(), httpx.AsyncClient(transport=transport, base_url="http://api") as client:
        await until(lambda: is_answered(client, "sk_shop"))
        yield client


async def is_answered(client: httpx.AsyncClient, key: str, code: str = "") -> bool:
    answer = await client.get("/v1/placements/hero", headers={"X-API-Key": key})
    return (answer.status_code, answer.json().get("code", "")) == ((401, code) if code else (200, ""))


async def run(command: Callable[..., Result], *arguments: str) -> str:
    """The key that a command prints."""
    return (await asyncio.to_thread(command, *arguments)).stdout.strip()


async def test_a_key_is_made_rotated_and_revoked_while_an_api_runs(
    command: Callable[..., Result], files: Path
) -> None:
    await run(command, "publish", str(files))
    async with api() as client:
        first = await run(command, "create", "viewer", "--name", "ci", "--expires", "90d", "--publish")
        await until(lambda: is_answered(client, first))
        second = await run(command, "rotate", "ci", "--expires", "never")
        await until(lambda: is_answered(client, second))
        assert await is_answered(client, first), "both hold while the overlap lasts"
        await run(command, "revoke", "ci", "--before")
        await until(lambda: is_answered(client, first, "key_revoked"))
        assert await is_answered(client, second)
        await run(command, "revoke", "ci")
        await until(lambda: is_answered(client, second, "key_revoked"))
        assert await is_answered(client, "sk_shop")
        assert await is_answered(client, "sk_nobodys", "unauthorized")


async def test_the_key_before_one_that_is_revoked_with_it_is_told_so(
    command: Callable[..., Result], files: Path
) -> None:
    await run(command, "publish", str(files))
    async with api() as client:
        first = await run(command, "create", "viewer", "--name", "ci", "--expires", "90d", "--publish")
        second = await run(command, "rotate", "ci", "--expires", "never")
        await until(lambda: is_answered(client, second))
        await run(command, "revoke", "ci")
        await until(lambda: is_answered(client, second, "key_revoked"))
        assert await is_answered(client, first, "key_revoked")


async def test_what_was_revoked_is_not_brought_back_by_any_version_of_the_catalog(
    command: Callable[..., Result], files: Path
) -> None:
    await run(command, "publish", str(files))
    async with api() as client:
        await asyncio.to_thread(command, "revoke", hash_of("sk_shop"))
        await until(lambda: is_answered(client, "sk_shop", "key_revoked"))
        await asyncio.to_thread(command, "rollback", "1")
        await until(lambda: is_answered(client, "sk_shop", "key_revoked"))
        with pytest.raises(Refused, match=r"sources\.shop\.server_keys\[0\]: this key was revoked or rotated"):
            await asyncio.to_thread(command, "publish", str(files))


async def test_files_that_do_not_know_of_a_rotation_do_not_take_the_new_key_away(
    command: Callable[..., Result], files: Path
) -> None:
    await run(command, "publish", str(files))
    result = await asyncio.to_thread(command, "rotate", hash_of("sk_shop"), "--name", "server")
    new, printed = result.stdout.strip(), result.stderr
    with pytest.raises(Refused, match="take it out, or write what `nextbest keys rotate` printed"):
        await asyncio.to_thread(command, "publish", str(files))
    lines = [line[2:] for line in printed.splitlines() if line.startswith("    ")]
    text = SHOP.replace("    server_keys: [sk_shop]\n", "    keys:\n" + "".join(f"    {line}\n" for line in lines))
    (files / "shop.yaml").write_text(text)
    result = await asyncio.to_thread(command, "publish", str(files))
    assert result.stdout.startswith("Nothing changed: version 2"), "the printed lines are what is in force"
    assert load_catalog(files).sources["shop"].keys["server"].before is not None
    async with api() as client:
        assert await is_answered(client, new)


async def test_a_change_of_keys_never_overwrites_what_others_publish_meanwhile(redis_url: str, files: Path) -> None:
    catalog = load_catalog(files)
    redis = Redis.from_url(redis_url)
    store = CatalogStore(redis, "test")
    try:
        await store.publish(catalog)
        assert await store.change_keys(2, catalog, {"00": 1}, "ann", "+ key") is None
        assert (await store.latest_version(), await store.ended_keys()) == (1, {})
        assert await store.change_keys(1, catalog, {"00": 1}, "ann", "+ key") == 2
        published = await store.published(2)
        assert published is not None
        assert published.ended == {"00": 1}
        assert (await store.history(1))[0].changes == ["+ key"]
    finally:
        await redis.aclose()


def test_nothing_is_changed_by_a_command_that_fails(command: Callable[..., Result], files: Path) -> None:
    command("publish", str(files))
    for words in (("rotate", "nobody"), ("revoke", "nobody"), ("create", "viewer", "--name", "a b", "--publish")):
        with pytest.raises((InvalidInput, InvalidCatalog), match=r"called 'nobody'|commands name it"):
            command(*words)
    assert command("publish", str(files)).stdout.startswith("Nothing changed: version 1")


def hash_of(key: str) -> str:
    """A key as `nextbest keys list` shows it."""
    return shown_digest(digest_of(key))

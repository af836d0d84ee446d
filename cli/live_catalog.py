"""Puts a catalog folder in force when everything starts, and follows it from then on."""

from __future__ import annotations

import contextlib
import getpass
from collections.abc import AsyncIterator, Callable, Collection
from pathlib import Path

from redis.asyncio import Redis
from redis.exceptions import RedisError

from background.supervisor import TaskSupervisor
from config.catalog_errors import CatalogWarning
from config.loader import check_catalog, shipped_catalog
from config.watch import watch_catalog
from personalization.catalog import Catalog
from personalization.errors import Unavailable
from state.catalog_store import CatalogStore, encode_catalog


@contextlib.asynccontextmanager
async def live_catalog(
    redis_url: str, namespace: str, folder: Path | None, say: Callable[[str], None]
) -> AsyncIterator[str]:
    """Publish ``folder`` and publish it again whenever a file in it is saved; gives what is in force, in words.

    Each of its warnings is said once.

    Without a folder it is the example shop, unless something else was published before: that stays.

    Raises
    ------
    InvalidCatalog
        With every mistake in the folder; nothing is published then.
    Unavailable
        Where Redis does not answer.
    """
    wanted = folder or shipped_catalog()
    checked = check_catalog(wanted)
    catalog = checked.catalog_or_raise()
    async with Redis.from_url(redis_url) as redis:
        store = CatalogStore(redis, namespace)
        try:
            kept = None if folder else await _published_before(store, catalog)
            version = kept or await store.publish(catalog, who())
        except (RedisError, OSError) as error:
            raise Unavailable(f"Redis at {redis_url} does not answer: {error}") from error
        if kept is not None:
            yield f"version {kept}, published before (--catalog {wanted} puts the example shop in force)"
            return
        for warning in checked.warnings:
            say(str(warning))
        # A folder that is renamed or unmounted ends a watch: it is begun again until it succeeds.
        async with TaskSupervisor(lambda _: say(f"{wanted} cannot be watched; trying again")) as tasks:
            tasks.keep("catalog-watch", lambda: _watch(store, wanted, say, checked.warnings))
            yield f"{wanted}, version {version}, followed live"


async def _published_before(store: CatalogStore, catalog: Catalog) -> int | None:
    latest = await store.latest()
    if latest is None or encode_catalog(latest[1])[0] == encode_catalog(catalog)[0]:
        return None
    return latest[0]


async def _watch(
    store: CatalogStore, folder: Path, say: Callable[[str], None], warned: Collection[CatalogWarning]
) -> None:
    async def publish(catalog: Catalog) -> int:
        return await store.publish(catalog, who())

    await watch_catalog(folder, publish, report=say, warned=warned)


def who() -> str:
    """The person at this terminal, for the catalog's history."""
    try:
        return getpass.getuser()
    except (KeyError, OSError):  # a container's user without a name
        return ""

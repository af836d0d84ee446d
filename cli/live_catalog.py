"""Puts a catalog folder in force when everything starts, and follows it from then on."""

from __future__ import annotations

import contextlib
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

import msgspec
from redis.asyncio import Redis

from background.supervisor import TaskSupervisor
from config.loader import check_catalog, shipped_catalog
from config.watch import watch_catalog
from installation.audit import login
from installation.opened import open_catalogs
from personalization.catalog.catalog import Catalog
from personalization.catalog.source_keys import outdated_keys
from personalization.errors import Refused
from state.catalog_store import CatalogStore, PublishedVersion, encode_catalog


class Records(Protocol):
    """Records what a block does before it does it."""

    def __call__(self, redis: Redis, act: str, *objects: str) -> AbstractAsyncContextManager[None]:
        """The block; raises where nothing can be recorded."""
        ...


@dataclass(frozen=True, slots=True)
class CatalogInForce:
    """A published catalog.

    Attributes
    ----------
    words
        Where it comes from, for people.
    """

    version: int
    catalog: Catalog
    words: str


def _nothing(_: Catalog) -> str:
    return ""


@contextlib.asynccontextmanager
async def live_catalog(
    redis_url: str,
    namespace: str,
    folder: Path | None,
    say: Callable[[str], None],
    memory: Path,
    refuses: Callable[[Catalog], str] = _nothing,
    records: Records | None = None,
) -> AsyncIterator[CatalogInForce]:
    """Publish ``folder``, and publish it again whenever a file in it is saved; gives what is in force.

    Each of its warnings is said once.

    What was published of it before and has not changed since is not published again: a rollback, or a catalog that
    somebody else published, stays in force until a file of the folder is changed. Without a folder it is the
    example shop, unless something else was published before: that stays.

    Parameters
    ----------
    memory
        File that keeps what was published last.
    refuses
        Says why a catalog may not be in force here; empty: it may.
    records
        Records in the audit what is published, before it is.

    Raises
    ------
    Refused
        Where it may not; nothing is published then.
    InvalidCatalog
        With every mistake in the folder; nothing is published then.
    Unavailable
        Where Redis does not answer.
    """
    wanted = folder or shipped_catalog()
    checked = check_catalog(wanted)
    catalog = checked.catalog_or_raise()
    async with open_catalogs(redis_url, namespace) as store:
        followed = FollowedFolder(store, wanted, memory, say, records)
        kept = None if folder else await _published_before(store, catalog)
        if reason := refuses(catalog if kept is None else kept.catalog):
            raise Refused(f"the catalog {wanted if kept is None else kept.words} cannot be served: {reason}")
        in_force = kept or await followed.begin(catalog)
        if kept is not None:
            yield kept
            return
        for warning in checked.warnings:
            say(str(warning))
        # A folder that is renamed or unmounted ends a watch: it is begun again until it succeeds.
        async with TaskSupervisor(lambda _: say(f"{wanted} cannot be watched; trying again")) as tasks:
            tasks.keep(
                "catalog-watch",
                lambda: watch_catalog(wanted, followed.save, report=say, warned=checked.warnings),
            )
            yield in_force


async def _published_before(store: CatalogStore, catalog: Catalog) -> CatalogInForce | None:
    latest = await store.latest()
    if latest is None or encode_catalog(latest[1])[0] == encode_catalog(catalog)[0]:
        return None
    words = f"version {latest[0]}, published before (--catalog {shipped_catalog()} puts the example shop in force)"
    return CatalogInForce(*latest, words)


class _Memory(msgspec.Struct, frozen=True):
    folder: str
    digest: str


class FollowedFolder:
    """A folder whose changes are published, and only those.

    Parameters
    ----------
    memory
        File that keeps what was published of it last.
    say
        Told if what is published replaces what a rollback put in force.
    records
        Records in the audit what is published, before it is.
    """

    def __init__(
        self,
        store: CatalogStore,
        folder: Path,
        memory: Path,
        say: Callable[[str], None],
        records: Records | None = None,
    ) -> None:
        self._store = store
        self._folder = folder
        self._memory = memory
        self._say = say
        self._records = records

    async def begin(self, catalog: Catalog) -> CatalogInForce:
        """Publish what the folder holds, if that changed since it was published; gives what is in force."""
        newest = await self._newest()
        if newest is not None and self._unchanged(catalog, newest):
            version, in_force = await self._store.latest() or (0, catalog)
            words = (
                f"{_named(newest)}; {self._folder} has not changed since it was published, and is followed live "
                f"(`nextbest publish {self._folder}` puts it in force)"
            )
            return CatalogInForce(version, in_force, words)
        outdated = await self._outdated(catalog)
        if newest is not None and outdated:
            version, in_force = await self._store.latest() or (0, catalog)
            for line in outdated:
                self._say(line)
            words = f"{_named(newest)}; {self._folder} gives keys on that have ended, and is followed live"
            return CatalogInForce(version, in_force, words)
        version = await self._publish(catalog, newest)
        return CatalogInForce(version, catalog, f"{self._folder}, version {version}, followed live")

    async def save(self, catalog: Catalog) -> int:
        """Publish what was saved; gives its version.

        Raises
        ------
        Refused
            If nothing in it changed since it was published, and something else is in force by now; or if it gives
            keys on that were revoked or rotated.
        """
        newest = await self._newest()
        if newest is not None and self._unchanged(catalog, newest):
            raise Refused(f"nothing changed since it was published; {_named(newest)} stays in force")
        if outdated := await self._outdated(catalog):
            raise Refused("\n".join(outdated))
        return await self._publish(catalog, newest)

    async def _outdated(self, catalog: Catalog) -> list[str]:
        return outdated_keys(catalog.sources, await self._store.ended_keys())

    async def _newest(self) -> PublishedVersion | None:
        versions = await self._store.history(1)
        return versions[0] if versions else None

    def _unchanged(self, catalog: Catalog, newest: PublishedVersion) -> bool:
        """Whether it is what was published of this folder last, though not what is in force."""
        digest = encode_catalog(catalog)[0]
        return digest != newest.digest and self._remembered() == _Memory(str(self._folder.resolve()), digest)

    async def _publish(self, catalog: Catalog, newest: PublishedVersion | None) -> int:
        digest = encode_catalog(catalog)[0]
        is_new = newest is None or newest.digest != digest
        async with contextlib.AsyncExitStack() as stack:
            if is_new and self._records is not None:
                await stack.enter_async_context(self._records(self._store.redis, "publish", f"catalog:{digest}"))
            version = await self._store.publish(catalog, who())
        if newest is not None and newest.rollback_of and version != newest.version:
            self._say(f"catalog version {version}, what {self._folder} says now, replaces {_named(newest)}")
        self._remember(digest)
        return version

    def _remembered(self) -> _Memory | None:
        try:
            return msgspec.json.decode(self._memory.read_bytes(), type=_Memory)
        except (OSError, msgspec.DecodeError):
            return None

    def _remember(self, digest: str) -> None:
        # Where the disk takes nothing, the next start publishes the folder, and says what that replaces.
        with contextlib.suppress(OSError):
            self._memory.write_bytes(msgspec.json.encode(_Memory(str(self._folder.resolve()), digest)))


def _named(newest: PublishedVersion) -> str:
    """``version 3 (a rollback to version 1, by ann)``."""
    if newest.rollback_of:
        by = f", by {newest.who}" if newest.who else ""
        return f"version {newest.version} (a rollback to version {newest.rollback_of}{by})"
    return f"version {newest.version} (published by {newest.who or 'somebody else'})"


def who() -> str:
    """The person at this terminal, for the catalog's history."""
    return login()

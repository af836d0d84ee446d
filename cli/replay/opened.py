"""What a replay stands on: log, Redis and published catalogs, of running servers or of a stopped data folder."""

from __future__ import annotations

import dataclasses
import os
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import click
from redis.asyncio import Redis
from redis.exceptions import RedisError

from cli.beside import find_installation
from cli.data_dir import UMASK, DataDir
from cli.replay.log_fold import CatalogOf
from cli.running_file import read_running
from config.settings import RedisUrl, Secret, Settings, shown_url
from eventlog.kafka import KafkaLog
from eventlog.redis_streams import RedisStreamsLog
from personalization.catalog.compiled_catalog import CompiledCatalog, compile_catalog
from personalization.errors import Refused, Unavailable
from state.catalog_store import CatalogStore
from state.embedded import EmbeddedRedis
from state.keys import Keys
from stream.house import log_of


@dataclass(frozen=True, slots=True)
class Parts:
    """The parts of one installation."""

    settings: Settings
    log: RedisStreamsLog | KafkaLog
    redis: Redis
    keys: Keys
    catalogs: CatalogStore


@contextmanager
def installation(settings: Settings, data_dir: Path | None) -> Iterator[Settings]:
    """The settings of what runs; of a data folder that ``nextbest up`` has left, with its Redis running meanwhile.

    Raises
    ------
    Refused
        Where the folder is in use.
    """
    before = os.umask(UMASK)  # a base holds what is known of everybody
    try:
        if data_dir is None or read_running(data_dir) is not None:
            environment = dict(os.environ)
            click.echo(f"nextbest: talking to {find_installation(environment, data_dir)}", err=True)
            yield Settings.from_environment(environment)
        else:
            with _stopped(settings, data_dir) as found:
                yield found
    finally:
        os.umask(before)


@contextmanager
def _stopped(settings: Settings, data_dir: Path) -> Iterator[Settings]:
    if not (data_dir / "redis").is_dir():
        raise Refused(f"{data_dir} is no data folder of `nextbest up`: there is no redis in it")
    folder = DataDir(data_dir, partial(click.echo, err=True))
    try:
        with EmbeddedRedis(folder.path / "redis") as server:
            yield dataclasses.replace(settings, redis=RedisUrl(server.url), secret=Secret(folder.secret()))
    finally:
        folder.release()


@asynccontextmanager
async def open_parts(settings: Settings) -> AsyncIterator[Parts]:
    """Connect.

    Raises
    ------
    Unavailable
        Where a server stays away.
    """
    log = log_of(settings)
    async with Redis.from_url(settings.redis) as redis:
        try:
            await log.start()
            store = CatalogStore(redis, settings.namespace)
            yield Parts(settings, log, redis, Keys(settings.namespace), store)
        except (RedisError, OSError) as error:
            raise Unavailable(f"Redis at {shown_url(settings.redis)} does not answer: {error}") from error
        finally:
            await log.close()


def published(store: CatalogStore) -> CatalogOf:
    """Published catalogs by version, compiled once each."""
    compiled: dict[int, CompiledCatalog] = {}

    async def catalog_of(version: int) -> CompiledCatalog:
        if version not in compiled:
            catalog = await store.get(version)
            if catalog is None:
                raise Refused(f"the log names catalog version {version}, which is not published here")
            compiled[version] = compile_catalog(catalog, version)
        return compiled[version]

    return catalog_of

"""An installation as a command opens it: everything connected, and errors of Redis said in words."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass

from redis.asyncio import Redis
from redis.exceptions import RedisError

from config.setting_values import shown_url
from config.settings import Settings
from eventlog.kafka import KafkaLog
from eventlog.redis_errors import why_shut_out
from eventlog.redis_streams import RedisStreamsLog
from installation.encryption import cipher_of, load_data_key
from installation.redis_clients import catalog_client, worker_client
from installation.visitor_log import log_of
from personalization.catalog.compiled_catalog import CompiledCatalog, compile_catalog
from personalization.data_cipher import DataCipher
from personalization.errors import Refused, ShutOut, Unavailable
from state.catalog_store import CatalogStore
from state.keys import Keys

ANSWER_S = 3.0
"""Somebody waits at a terminal: a Redis that says nothing for so long does not answer. What a command then asks of
one that did may take longer; clients of workers, whose patience is half a minute, are opened here as well."""

CatalogOf = Callable[[int], Awaitable[CompiledCatalog]]
"""Gives a published version of the catalog."""


@dataclass(frozen=True, slots=True)
class Installation:
    """The parts of one installation."""

    settings: Settings
    log: RedisStreamsLog | KafkaLog
    redis: Redis
    keys: Keys
    catalogs: CatalogStore
    cipher: DataCipher


@asynccontextmanager
async def open_installation(settings: Settings, *, reads_data: bool = True) -> AsyncIterator[Installation]:
    """Connect to log and Redis.

    Parameters
    ----------
    reads_data
        Whether personal data are read or written: then the secret has to be the installation's.

    Raises
    ------
    Refused
        If they are encrypted under another secret.
    Unavailable
        If a server does not answer, now (Redis within ``ANSWER_S``) or later in the block.
    """
    cipher = cipher_of(settings)
    log = log_of(settings, cipher)
    redis = worker_client(settings.redis)
    try:
        await _answers(settings.redis, redis)
        await log.start()
        keys = Keys(settings.namespace)
        if reads_data:
            await load_data_key(settings, redis, keys, cipher, makes=False)
        yield Installation(settings, log, redis, keys, CatalogStore(redis, settings.namespace), cipher)
    except RedisError as error:
        raise _does_not_answer(settings.redis, error) from error
    finally:
        await log.close()
        await redis.aclose()


@asynccontextmanager
async def open_catalogs(redis_url: str, namespace: str, remedy: str = "") -> AsyncIterator[CatalogStore]:
    """Connect to the catalogs that were published.

    Parameters
    ----------
    remedy
        What to do if Redis does not answer; ends the message.

    Raises
    ------
    Unavailable
        If Redis does not answer, now (within ``ANSWER_S``) or later in the block.
    """
    async with catalog_client(redis_url) as redis:
        try:
            await _answers(redis_url, redis, remedy)
            yield CatalogStore(redis, namespace)
        except RedisError as error:
            raise _does_not_answer(redis_url, error, remedy) from error


def published(store: CatalogStore) -> CatalogOf:
    """Gives published catalogs by version; each is compiled once."""
    compiled: dict[int, CompiledCatalog] = {}

    async def catalog_of(version: int) -> CompiledCatalog:
        if version not in compiled:
            catalog = await store.published(version)
            if catalog is None:
                raise Refused(f"the log names catalog version {version}, which is not published here")
            compiled[version] = compile_catalog(catalog, version)
        return compiled[version]

    return catalog_of


async def _answers(url: str, redis: Redis, remedy: str = "") -> None:
    try:
        async with asyncio.timeout(ANSWER_S):
            await redis.ping()
    except TimeoutError as error:
        raise _does_not_answer(url, TimeoutError(f"not within {ANSWER_S:g} s"), remedy) from error


def _does_not_answer(url: str, error: BaseException, remedy: str = "") -> Unavailable:
    if problem := why_shut_out(error):
        return ShutOut(f"at {shown_url(url)}: {problem}")
    message = f"Redis at {shown_url(url)} does not answer ({error})"
    return Unavailable(f"{message}; {remedy}" if remedy else message)

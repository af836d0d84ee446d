"""The clients of Redis: how long each waits, how often it tries again, and how many connections it may open.

A URL says all there is to know of the server, password and files of TLS included (``background/redis_url.py``).
The settings refuse a Redis Cluster (``redis+cluster://``): the log, catalogs, models and leases need one server.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from redis.asyncio import Redis
from redis.asyncio.retry import Retry
from redis.backoff import ExponentialBackoff, NoBackoff
from redis.exceptions import ConnectionError as RedisConnectionError

from eventlog.redis_connection import redis_client
from eventlog.redis_pipeline import Asked, RedisPipeline

CONNECT_S = 1.0
"""A connection by TLS takes longer than a decision may wait: it is made all the same, for those who come later."""


class DeciderReads:
    """The decider's reads; see ``state.visitor_reader.Fetch``. It does not try again: a decision has a deadline."""

    def __init__(self, url: str) -> None:
        self._pipeline = RedisPipeline(url, CONNECT_S)

    def __call__(self, names: list[str], then: Callable[[Any], None]) -> Asked:
        """Ask for the values of several keys, in order."""
        return self._pipeline.ask(then, "MGET", *names)

    async def aclose(self) -> None:
        """Close its connections."""
        await self._pipeline.aclose()


def background_client(url: str) -> Redis:
    """An API process uses this client for everything but decisions; an announcement occupies a connection.

    It gives up on a Redis that hangs after two seconds; redis-py's own patience would hide that for a minute.
    """
    return redis_client(url, socket_timeout=2.0, socket_connect_timeout=2.0, retry=Retry(NoBackoff(), 1))


def catalog_client(url: str) -> Redis:
    """Whoever publishes catalogs tries once more if a connection broke: it may be as old as the catalog before.

    What was published and not answered is not published twice (``CatalogStore.publish``).
    """
    return redis_client(
        url,
        socket_timeout=5.0,
        socket_connect_timeout=2.0,
        retry=Retry(NoBackoff(), 1, supported_errors=(RedisConnectionError,)),
    )


def worker_client(url: str) -> Redis:
    """A folder or a learner waits long, and tries twice more if a connection breaks."""
    return redis_client(
        url,
        decode_responses=False,
        socket_timeout=10.0,
        socket_connect_timeout=2.0,
        retry=Retry(ExponentialBackoff(cap=0.2, base=0.01), 2),
    )

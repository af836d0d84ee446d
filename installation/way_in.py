"""Whether Redis and Kafka let us in, and are who they should be: asked before a role starts.

A wrong password or certificate is as wrong in a minute. Without this question it would look like a server that is
away, and be waited for.
"""

from __future__ import annotations

import asyncio
from urllib.parse import urlsplit

from redis.exceptions import RedisError

from background.tls import causes, speaks_tls
from config.setting_values import shown_url
from config.settings import Settings
from eventlog.kafka_security import why_shut_out as why_kafka_shuts_out
from eventlog.redis_errors import why_shut_out as why_redis_shuts_out
from installation.kafka_security import kafka_security
from installation.redis_clients import background_client
from personalization.errors import Refused, ShutOut

LOOK_S = 3.0
"""A server that says nothing for so long is taken for one that is away: the role starts, and waits for it."""

OTHER_S = 1.0


async def check_way_in(settings: Settings, *, redis: bool = True) -> None:
    """See that no server shuts us out. One that is away does not.

    Parameters
    ----------
    redis
        Whether Redis is asked at all.

    Raises
    ------
    Refused
        With the server, what is wrong, and the setting to look at.
    """
    asked = [_redis(settings)] if redis else []
    if settings.kafka:
        asked.append(why_kafka_shuts_out(settings.kafka, kafka_security(settings), LOOK_S))
    found = [problem for problem in await asyncio.gather(*asked) if problem is not None]
    if found:
        raise Refused("\n".join(found))


def shut_out(error: BaseException) -> str | None:
    """Why waiting for what failed is of no use; None where it may be."""
    for each in causes(error):
        if isinstance(each, ShutOut):
            return str(each)
        if isinstance(each, RedisError | OSError) and (problem := why_redis_shuts_out(each)):
            return problem
    return None


async def _redis(settings: Settings) -> str | None:
    client = background_client(settings.redis)
    try:
        async with asyncio.timeout(LOOK_S):
            await client.ping()
    except (RedisError, OSError, TimeoutError) as error:
        problem = why_redis_shuts_out(error) or await _other_language(settings.redis)
        return problem and f"at {shown_url(settings.redis)}: {problem}"
    finally:
        await client.aclose()
    return None


async def _other_language(url: str) -> str | None:
    """Whether TLS is spoken there where the URL says it is not, or the other way round.

    Either looks like a server that is away: Redis waits for the end of a line that TLS never sends.
    """
    parts = urlsplit(url)
    host, port = parts.hostname or "", parts.port or 6379
    if parts.scheme == "redis" and await speaks_tls(host, port, OTHER_S):
        return "Redis cannot be used: it speaks TLS on that port; write rediss:// in NEXTBEST_REDIS"
    if parts.scheme == "rediss" and await _answers_plainly(host, port):
        return "Redis cannot be used: it does not speak TLS on that port; write redis:// in NEXTBEST_REDIS"
    return None


async def _answers_plainly(host: str, port: int) -> bool:
    try:
        async with asyncio.timeout(OTHER_S):
            reader, writer = await asyncio.open_connection(host, port)
            try:
                writer.write(b"PING\r\n")
                return (await reader.readline()).startswith((b"+PONG", b"-"))
            finally:
                writer.close()
    except (OSError, TimeoutError):
        return False

"""Whether Redis and Kafka let us in, and are who they should be: asked before a role starts.

A wrong password or certificate is as wrong in a minute. Without this question it would look like a server that is
away, and be waited for.
"""

from __future__ import annotations

import asyncio

from redis.exceptions import RedisError

from background.tls import causes
from config.settings import Settings, shown_url
from eventlog.kafka_security import why_shut_out as why_kafka_shuts_out
from eventlog.redis_errors import why_shut_out as why_redis_shuts_out
from installation.kafka_security import kafka_security
from installation.redis_clients import background_client
from personalization.errors import Refused, ShutOut

LOOK_S = 3.0
"""A server that says nothing for so long is taken for one that is away: the role starts, and waits for it."""


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
    except TimeoutError:
        return None
    except (RedisError, OSError) as error:
        problem = why_redis_shuts_out(error)
        return problem and f"at {shown_url(settings.redis)}: {problem}"
    finally:
        await client.aclose()
    return None

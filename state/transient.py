"""What a worker waits out: it tries again until it is told to stop.

Workers have no deadline to keep, so they wait out a restart or a failover of Redis; deciders must not.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import TypeVar

from redis.exceptions import RedisError

from background.cancelling import pause
from eventlog.redis_errors import is_passing
from personalization.errors import Unavailable

T = TypeVar("T")


def is_transient(error: BaseException) -> bool:
    """What may be gone by itself the next time: worth trying again, never a reason to drop an event.

    A server's refusals count by their code, also inside a script's error; anything else, such as a key of the
    wrong type, is nobody's weather.
    """
    return isinstance(error, Unavailable) or (isinstance(error, RedisError | OSError) and is_passing(error))


_FIRST_PAUSE_S = 0.02
_LONGEST_PAUSE_S = 1.0


async def until_done(
    attempt: Callable[[], Awaitable[T]],
    on_failure: Callable[[BaseException], None] | None = None,
) -> T:
    """Await ``attempt()``, again and again while it fails for a transient reason; cancelling ends it."""
    pause_s = _FIRST_PAUSE_S
    while True:
        try:
            return await attempt()
        except Exception as error:
            if not is_transient(error):
                raise
            if on_failure is not None:
                on_failure(error)
        await pause(pause_s)
        pause_s = min(2 * pause_s, _LONGEST_PAUSE_S)

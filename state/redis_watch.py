"""Whether Redis answers and takes writes: asked twice a second, whatever else happens.

What only traffic finds out is found too late by whoever has none, and a Redis that hangs refuses nothing: its
kernel accepts connections and bytes, and no answer comes.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable

from redis.asyncio import Redis
from redis.exceptions import AskError, MovedError, RedisError

from background.cancelling import pause
from eventlog.redis_errors import in_words, refusal

logger = logging.getLogger(__name__)

EVERY_S = 0.5
PATIENCE_S = 1.0
"""With the pause between two looks: a Redis that hangs is known to hang after at most 1.5 s."""


class RedisWatch:
    """Asks Redis to write nothing, again and again, and keeps what it said.

    ``SETRANGE key 0 ""`` on a key that is not there changes nothing, reaches no append-only file and no replica,
    and is refused whenever a write would be: the disk full, memory used up, a replica, too few replicas.

    Parameters
    ----------
    redis
        Not the decider's own client.
    key
        One that nobody writes.
    every_s, patience_s
        Between two looks; how long an answer may take.
    heard
        Is told the time by Redis's clock, in milliseconds since 1970, as soon as it answers.

    Attributes
    ----------
    error
        What is wrong now; None: it answers and takes writes, or was not asked yet.
    """

    def __init__(
        self,
        redis: Redis,
        key: str,
        every_s: float = EVERY_S,
        patience_s: float = PATIENCE_S,
        heard: Callable[[int], None] | None = None,
    ) -> None:
        self._redis = redis
        self._key = key
        self._every_s = every_s
        self._patience_s = patience_s
        self._writes = True
        self._heard = heard
        self.error: BaseException | None = None

    async def run(self) -> None:
        """Look until cancelled."""
        while True:
            await self.look()
            await pause(self._every_s)

    async def look(self) -> None:
        """Ask once."""
        try:
            async with asyncio.timeout(self._patience_s):
                if self._heard is not None:
                    await self._ask_time(self._heard)
                if self._writes:
                    await self._redis.setrange(self._key, 0, "")
                else:
                    await self._redis.ping()
        except (MovedError, AskError):  # a node of a Cluster: it answers, and the key is another's
            self._note(None)
        except TimeoutError:
            self._note(TimeoutError(f"nothing within {self._patience_s:g} s"))
        except (RedisError, OSError) as error:
            if refusal(error) == "NOPERM" and self._writes:
                # This user of Redis has only the commands it needs: whether it may write, only they can tell.
                self._writes = False
                return
            self._note(error)
        else:
            self._note(None)

    async def _ask_time(self, heard: Callable[[int], None]) -> None:
        try:
            seconds, microseconds = await self._redis.time()
        except RedisError as error:
            if refusal(error) != "NOPERM":
                raise
            self._heard = None
            logger.warning("redis_time_not_permitted")
        else:
            heard(seconds * 1000 + microseconds // 1000)

    def _note(self, error: BaseException | None) -> None:
        if error is not None and (self.error is None or in_words(error) != in_words(self.error)):
            logger.error("redis_not_well", extra={"reason": in_words(error)})
        elif error is None and self.error is not None:
            logger.warning("redis_well_again")
        self.error = error

"""How full Redis is, and whether it would rather forget than refuse: asked now and then, told before it hurts."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from typing import Any

from redis.asyncio import Redis
from redis.exceptions import RedisError

from background.cancelling import pause
from eventlog.redis_errors import refusal

logger = logging.getLogger(__name__)

EVERY_S = 5.0
PATIENCE_S = 1.0

ALARM_SHARE = 0.8
"""At a growth of 5 % a day four days are left."""

KEEPS_ALL = "noeviction"

LOST = {
    "allkeys": "whatever it likes: visitors' states, refusals of consent, the log, models and the catalog",
    "volatile": "visitors' states, their open decisions and refusals of consent",
}
"""What is lost by eviction, by the beginning of the policy's name. Only visitors' keys have an end of their own."""


class RedisMemory:
    """Asks Redis for its use of memory, again and again, and keeps what it said.

    Parameters
    ----------
    heard
        Is told bytes used and the bound, both as counted for it.
    every_s
        Between two looks.

    Attributes
    ----------
    used_bytes, limit_bytes
        As of the last look; the bound is ``maxmemory``, and the machine's memory where there is none. 0: not known.
    policy
        What Redis does at ``maxmemory``; empty without one, as nothing is evicted then.
    """

    def __init__(
        self, redis: Redis, heard: Callable[[int, int], None] = lambda used, limit: None, every_s: float = EVERY_S
    ) -> None:
        self._redis = redis
        self._heard = heard
        self._every_s = every_s
        self.used_bytes = 0
        self.limit_bytes = 0
        self.policy = ""

    async def run(self) -> None:
        """Look until cancelled."""
        while await self.look():
            await pause(self._every_s)
        await asyncio.Event().wait()

    async def look(self) -> bool:
        """Ask once; false where asking again is of no use. Of a Redis that does not answer others tell."""
        try:
            async with asyncio.timeout(PATIENCE_S):
                said: dict[str, Any] = await self._redis.info("memory")
        except RedisError as error:
            if refusal(error) == "NOPERM":
                logger.warning("redis_memory_not_permitted")
                return False
            return True
        except (OSError, TimeoutError):
            return True
        bound = int(said.get("maxmemory", 0))
        # What Redis compares with its bound: buffers of the append-only file and of replicas are not in it.
        self.used_bytes = max(0, int(said.get("used_memory", 0)) - int(said.get("mem_not_counted_for_evict", 0)))
        self.limit_bytes = bound or int(said.get("total_system_memory", 0))
        self.policy = str(said.get("maxmemory_policy", "")) if bound else ""
        self._heard(self.used_bytes, self.limit_bytes)
        return True

    def warning(self) -> str | None:
        """What is not well, for everybody to read; None: all is, or nothing is known."""
        return self._eviction() or self._fill()

    def _eviction(self) -> str | None:
        lost = LOST.get(self.policy.partition("-")[0])
        if self.policy == KEEPS_ALL or lost is None:
            return None
        return (
            f"Redis forgets without a word when its memory is used up (maxmemory-policy {self.policy}): it drops "
            f"{lost}; set maxmemory-policy to {KEEPS_ALL}"
        )

    def _fill(self) -> str | None:
        if not self.limit_bytes or self.used_bytes < ALARM_SHARE * self.limit_bytes:
            return None
        share = self.used_bytes / self.limit_bytes
        return (
            f"Redis has used {share:.0%} of the {self.limit_bytes / 2**20:,.0f} MiB it may: at 100 % it takes no "
            "more, events are refused and nothing is folded; give it more memory, or keep less in it"
        )

"""Our clock against Redis's."""

from __future__ import annotations

from redis.asyncio import Redis

from operations.doctor.finding import Finding, ok, wrong
from operations.doctor.surroundings import Surroundings

APART_MS = 2_000
"""From here on collectors go by Redis's clock, and ``/readyz`` warns."""


async def check_clock(around: Surroundings, redis: Redis) -> list[Finding]:
    """How far the two are apart, half of the round trip taken off."""
    before_ms = around.machine.clock_ms()
    seconds, microseconds = await redis.time()
    after_ms = around.machine.clock_ms()
    ahead_ms = (before_ms + after_ms) // 2 - (seconds * 1000 + microseconds // 1000)
    apart_s = abs(ahead_ms) / 1000
    if abs(ahead_ms) <= APART_MS:
        return [ok("clock", f"this machine's clock and Redis's are {apart_s:.2g} s apart")]
    which = "ahead of" if ahead_ms > 0 else "behind"
    return [
        wrong(
            "clock",
            f"this machine's clock is {apart_s:,.0f} s {which} Redis's",
            "set them right (NTP): this machine's, or Redis's if others say the same",
            "clock-ahead",
        )
    ]

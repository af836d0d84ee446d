"""What the projector has added up, for people: read in few round trips, never from the log."""

from __future__ import annotations

import asyncio

from redis.asyncio import Redis
from redis.exceptions import RedisError

from personalization.catalog.duration import DAY_MS
from personalization.errors import Unavailable
from personalization.evaluation.strata import Stratum
from personalization.evaluation.trial_sums import TrialSums
from personalization.projecting import trials
from personalization.projecting.arms import ArmOfSide, ArmSums, arms_in, buckets_over
from personalization.projecting.experiments import KEPT_DAYS, bucket_name, strata_in
from personalization.projecting.sums import ReadSums
from state.keys import Keys
from state.projection_store import read_sums

_DAYS_AT_ONCE = 5
"""What is decoded in between holds up whoever else waits on the event loop: 1,400 sums of a day with 16 segments
and as many metrics take under 2 ms."""


class ReadModels:
    """Reads sums; each look raises ``Unavailable`` if Redis does not answer."""

    def __init__(self, redis: Redis, keys: Keys) -> None:
        self._redis = redis
        self._keys = keys

    async def arms(self, placement: str, over_ms: int, now_ms: int) -> dict[ArmOfSide, ArmSums]:
        """What the arms of a placement were chosen, shown and worth in the last ``over_ms``.

        Spans of time are whole minutes for up to an hour, hours for up to two days, else days: the one that
        ``over_ms`` ago lies in counts whole.
        """
        return arms_in(await self._sums(buckets_over(placement, over_ms, now_ms)), placement)

    async def trials(self, placement: str, now_ms: int) -> dict[int, TrialSums]:
        """What policies on trial would have brought in a placement, by what a trial is called."""
        today = now_ms // DAY_MS
        days = range(today - trials.KEPT_DAYS + 1, today + 1)
        return trials.trials_in(await self._sums([trials.bucket_name(placement, day) for day in days]))

    async def strata(self, placement: str, now_ms: int, over_days: int = KEPT_DAYS) -> list[Stratum]:
        """The participants of a placement's experiments whose horizon closed in the last days, by split.

        A day may hold a thousand sums: few of them are read at once, and all are added up beside the event loop.
        """
        today = now_ms // DAY_MS
        names = [bucket_name(placement, day) for day in range(today - over_days + 1, today + 1)]
        found: list[ReadSums] = []
        for at in range(0, len(names), _DAYS_AT_ONCE):
            found += await self._sums(names[at : at + _DAYS_AT_ONCE])
        return await asyncio.to_thread(strata_in, found)

    async def _sums(self, buckets: list[str]) -> list[ReadSums]:
        try:
            return await read_sums(self._redis, self._keys, buckets)
        except (RedisError, OSError) as error:
            raise Unavailable(f"what was added up cannot be read: {error}") from error

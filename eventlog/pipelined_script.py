"""A Lua script that is called over a pipeline: one write, and one call when the reply is there."""

from __future__ import annotations

import asyncio
import hashlib
from collections.abc import Sequence
from typing import Any

from redis.exceptions import ResponseError
from redis.exceptions import TimeoutError as RedisTimeoutError

from eventlog.deadlines import Deadlines
from eventlog.redis_pipeline import Asked, RedisPipeline


class PipelinedScript:
    """Calls a script by its hash; sends its text once Redis does not know it.

    Parameters
    ----------
    timeout_s
        How long Redis may take, connecting included. A call that meets it may have been carried out.
    """

    def __init__(self, pipeline: RedisPipeline, text: str, timeout_s: float) -> None:
        self._pipeline = pipeline
        self._text = text
        self._hash = hashlib.sha1(text.encode(), usedforsecurity=False).hexdigest()
        self._timeout_s = timeout_s
        self._deadlines = Deadlines(timeout_s, self._expire)

    async def __call__(self, keys: Sequence[str], args: Sequence[str | bytes]) -> Any:
        """What the script returns.

        Raises
        ------
        redis.exceptions.RedisError, OSError
            Where Redis refuses, does not answer in time, or is away.
        """
        try:
            return await self._ask("EVALSHA", self._hash, str(len(keys)), *keys, *args)
        except ResponseError as error:
            if not str(error).startswith("NOSCRIPT"):
                raise
        return await self._ask("EVAL", self._text, str(len(keys)), *keys, *args)

    def close(self) -> None:
        """Give nobody up any more; the pipeline tells who waits that it is closed."""
        self._deadlines.stop()

    def _ask(self, *command: str | bytes) -> asyncio.Future[Any]:
        call = _Call()
        call.asked = self._pipeline.ask(call.take, *command)
        self._deadlines.add(call)
        return call.done

    def _expire(self, call: _Call) -> None:
        if call.asked is not None:
            call.asked.leave()
        call.done.set_exception(RedisTimeoutError(f"no answer within {self._timeout_s:g} s"))


class _Call:
    """One call on its way."""

    __slots__ = ("asked", "done")

    def __init__(self) -> None:
        self.asked: Asked | None = None
        self.done: asyncio.Future[Any] = asyncio.get_running_loop().create_future()

    def take(self, outcome: Any) -> None:
        if self.done.done():
            return
        if isinstance(outcome, Exception):
            self.done.set_exception(outcome)
        else:
            self.done.set_result(outcome)

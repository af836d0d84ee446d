"""Conversion models in Redis: one writer per conversion publishes, every process follows, challengers wait.

A model is one value, read whole: it changes every few seconds at most, and what it learns is a horizon old. Readers
look at the versions now and then; nothing of this is on a decision's path.
"""

from __future__ import annotations

import asyncio
import logging
from dataclasses import dataclass
from typing import Any, cast

from redis.asyncio import Redis
from redis.exceptions import RedisError

from background.cancelling import pause
from eventlog.redis_errors import is_passing
from online_models.conversion import checkpoint
from online_models.conversion.checkpoint import Served
from online_models.snapshot import unpack_version
from personalization.data_cipher import CLEAR, DataCipher
from personalization.errors import Refused
from state.keys import Keys
from state.model_store import Published

logger = logging.getLogger(__name__)

POLL_MS = 1_000

_PUBLISH = """
local held = tonumber(redis.call('HGET', KEYS[1], 'generation') or '-1')
if held > tonumber(ARGV[1]) then return 'fenced' end
redis.call('HSET', KEYS[1], 'generation', ARGV[1], 'version', ARGV[2], 'at_ms', ARGV[3], 'model', ARGV[4])
return 'done'
"""


class ConversionPublisher:
    """The learner's side; a newer generation of the learner always wins.

    Parameters
    ----------
    cipher
        Seals models, for what they know by name are values of features, and opens challengers.
    """

    def __init__(self, redis: Redis, keys: Keys, cipher: DataCipher = CLEAR) -> None:
        self._redis = redis
        self._keys = keys
        self._cipher = cipher
        self._script = redis.register_script(_PUBLISH)

    async def publish(self, conversion: str, version: int, model: bytes, at_ms: int) -> Published:
        """Publish a model (``checkpoint.dump_served``) under its packed version."""
        generation, _ = unpack_version(version)
        await cast("Any", self._redis.sadd(self._keys.conversions, conversion))
        name = self._keys.conversion(conversion)
        arguments: list[Any] = [generation, version, at_ms, self._cipher.sealed(model, name.encode())]
        result = await self._script(keys=[name], args=arguments)
        return Published(result.decode())

    async def published(self, conversion: str) -> bytes | None:
        """The bytes of the model in force; None where there is none."""
        name = self._keys.conversion(conversion)
        value = cast("bytes | None", await cast("Any", self._redis.hget(name, "model")))
        return None if value is None else self._cipher.opened(value, name.encode())

    async def challenger(self, challenger_id: str) -> bytes | None:
        """The bytes of a challenger; None where they are gone."""
        name = self._keys.challenger(challenger_id)
        value = cast("bytes | None", await self._redis.get(name))
        return None if value is None else self._cipher.opened(value, name.encode())


async def keep_challenger(
    redis: Redis, keys: Keys, challenger_id: str, model: bytes, keep_ms: int, cipher: DataCipher = CLEAR
) -> None:
    """Keep a challenger for as long as the record that enters it may be read; sealed, as checkpoints are."""
    name = keys.challenger(challenger_id)
    pipeline = redis.pipeline(transaction=True)
    pipeline.set(name, cipher.sealed(model, name.encode()), px=keep_ms)
    pipeline.sadd(keys.challengers, challenger_id)
    pipeline.pexpire(keys.challengers, keep_ms)
    await pipeline.execute()


@dataclass(frozen=True, slots=True)
class FollowedConversion:
    """A model as held here, and when the learner published it."""

    served: Served
    at_ms: int


class ConversionFollower:
    """The deciders' side: the newest model of every conversion, in memory.

    A model that cannot be read, for whatever reason, is refused until another version of it is published: the last
    good one stays, and the others go on.

    Parameters
    ----------
    redis
        Not the decider's own client.
    cipher
        Opens what is read; it has its data key before ``run``.
    """

    def __init__(
        self, redis: Redis, keys: Keys, secret: bytes, poll_ms: int = POLL_MS, cipher: DataCipher = CLEAR
    ) -> None:
        self._redis = redis
        self._cipher = cipher
        self._keys = keys
        self._secret = secret
        self._poll_ms = poll_ms
        self._models: dict[str, FollowedConversion] = {}
        self._refused: dict[str, bytes | None] = {}
        self._away = False

    def get(self, conversion: str) -> FollowedConversion | None:
        """The model of a conversion; None: nothing was learned yet."""
        return self._models.get(conversion)

    @property
    def names(self) -> list[str]:
        """The conversions that have a model."""
        return sorted(self._models)

    @property
    def refused(self) -> list[str]:
        """The conversions whose newest model cannot be read here."""
        return sorted(self._refused)

    async def refresh(self) -> None:
        """Read whatever is newer in Redis."""
        found: set[bytes] = await cast("Any", self._redis.smembers(self._keys.conversions))
        names = sorted(name.decode(errors="replace") for name in found)
        pipeline = self._redis.pipeline(transaction=False)
        for name in names:
            pipeline.hget(self._keys.conversion(name), "version")
        # One that is no model must not keep the others from being read.
        versions = await pipeline.execute(raise_on_error=False) if names else []
        for name, version in zip(names, versions, strict=True):
            if isinstance(version, BaseException):
                if is_passing(version):
                    raise version
                self._refuse(name, None, version)
                continue
            held = self._models.get(name)
            if version is None or (held is not None and str(held.served.version).encode() == version):
                continue
            if name not in self._refused or self._refused[name] != version:
                await self._read(name, version)
        for gone in self._refused.keys() - set(names):
            del self._refused[gone]

    async def run(self) -> None:
        """Follow until cancelled, through failures of Redis."""
        while True:
            try:
                await self.refresh()
            except (RedisError, OSError) as error:
                if not self._away:
                    logger.warning("conversions_unreachable", extra={"reason": repr(error)})
                self._away = True
            else:
                if self._away:
                    logger.warning("conversions_followed_again")
                self._away = False
            await pause(self._poll_ms / 1000)

    async def _read(self, name: str, version: bytes) -> None:
        stored = self._keys.conversion(name)
        model, at_ms = await cast("Any", self._redis.hmget(stored, ["model", "at_ms"]))
        if model is None:
            return
        try:
            model = self._cipher.opened(model, stored.encode())
            # Off the loop: half a megabyte takes milliseconds to unpack.
            served = await asyncio.to_thread(checkpoint.load_served, model, self._secret, conversion=name)
            self._models[name] = FollowedConversion(served, int(at_ms))
        except Exception as error:  # bytes that are no model may fail in any way: they are refused, no more
            self._refuse(name, version, error)
        else:
            self._refused.pop(name, None)

    def _refuse(self, name: str, version: bytes | None, error: BaseException) -> None:
        if name not in self._refused or self._refused[name] != version:
            reason = str(error) if isinstance(error, Refused) else repr(error)
            logger.error("conversion_refused", extra={"conversion": name, "reason": reason})
        self._refused[name] = version

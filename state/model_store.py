"""Snapshots of models in Redis, both sides: the learner publishes, deciders follow.

``model:{placement}`` is a hash and always complete: ``header``, one field ``arm:{id}`` per arm, ``version``,
``generation``, ``at_ms``. A publish writes what changed and announces the same bytes on one channel, with the
version they build on; a follower that misses one, or starts, reads the whole hash, and asks for versions now and
then should announcements stay away. A newer generation of the learner always wins: what a learner that lost its
partition still publishes is refused.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Any, cast

import msgspec
from redis.asyncio import Redis
from redis.exceptions import RedisError

from background.cancelling import pause, stop_if_cancelled
from online_models.snapshot import ModelSnapshot, unpack_version
from online_models.wire import SnapshotDelta
from personalization.errors import Refused
from state.keys import Keys

logger = logging.getLogger(__name__)

_ARM = "arm:"


class Announcement(msgspec.Struct, frozen=True, array_like=True):
    """What goes over the channel: a change, as ``SnapshotDelta`` bytes; empty: read the whole."""

    placement: str
    version: int
    at_ms: int
    delta: bytes


_encoder = msgspec.msgpack.Encoder()
_decoder = msgspec.msgpack.Decoder(Announcement)


class Published(StrEnum):
    """How a publish went."""

    DONE = "done"
    GAP = "gap"
    """What is stored is not what the change builds on: write the whole."""
    FENCED = "fenced"
    """A newer generation has published: this learner owns the placement no more."""


_PUBLISH = """
local held = tonumber(redis.call('HGET', KEYS[1], 'generation') or '-1')
if held > tonumber(ARGV[1]) then return 'fenced' end
if ARGV[4] == '' then
  redis.call('DEL', KEYS[1])
elseif redis.call('HGET', KEYS[1], 'version') ~= ARGV[4] then
  return 'gap'
end
local n_removed = tonumber(ARGV[7])
for i = 8, 7 + n_removed do redis.call('HDEL', KEYS[1], ARGV[i]) end
redis.call('HSET', KEYS[1], 'generation', ARGV[1], 'version', ARGV[2], 'at_ms', ARGV[3], 'header', ARGV[5])
for i = 8 + n_removed, #ARGV - 1, 2 do redis.call('HSET', KEYS[1], ARGV[i], ARGV[i + 1]) end
redis.call('PUBLISH', KEYS[2], ARGV[6])
return 'done'
"""


class ModelPublisher:
    """The learner's side.

    Parameters
    ----------
    secret
        Authenticates snapshots that are not made of arrays.
    """

    def __init__(self, redis: Redis, keys: Keys, secret: bytes) -> None:
        self._redis = redis
        self._keys = keys
        self._secret = secret
        self._script = redis.register_script(_PUBLISH)
        self._last: dict[str, ModelSnapshot] = {}

    async def publish(self, placement: str, snapshot: ModelSnapshot, at_ms: int) -> tuple[Published, int]:
        """Publish a snapshot: what changed since the last one, or the whole; how it went, and its bytes."""
        last = self._last.get(placement)
        result, n_bytes = Published.GAP, 0
        if last is not None and _same_generation(last, snapshot):
            delta = snapshot.changed_since(last, self._secret)
            result, n_bytes = await self._send(placement, delta, at_ms, str(delta.builds_on))
        if result is Published.GAP:
            parts = snapshot.encode(self._secret)
            whole = SnapshotDelta(0, snapshot.version, parts.header, parts.arms)
            result, n_bytes = await self._send(placement, whole, at_ms, "")
        if result is Published.DONE:
            self._last[placement] = snapshot
        return result, n_bytes

    def forget(self, placement: str) -> None:
        """The placement went to another learner."""
        self._last.pop(placement, None)

    async def _send(
        self, placement: str, delta: SnapshotDelta, at_ms: int, builds_on: str
    ) -> tuple[Published, int]:
        announced = delta.to_bytes() if builds_on else b""
        message = _encoder.encode(Announcement(placement, delta.version, at_ms, announced))
        generation, _ = unpack_version(delta.version)
        arguments: list[Any] = [generation, delta.version, at_ms, builds_on, delta.header, message]
        arguments.append(len(delta.removed))
        arguments.extend(_ARM + arm for arm in delta.removed)
        for arm, field in delta.arms.items():
            arguments += (_ARM + arm, field)
        await cast("Any", self._redis.sadd(self._keys.models, placement))
        keys = [self._keys.model(placement), self._keys.model_changes]
        result = Published((await self._script(keys=keys, args=arguments)).decode())
        n_bytes = len(message) + len(delta.header) + sum(map(len, delta.arms.values()))
        return result, n_bytes


def _same_generation(left: ModelSnapshot, right: ModelSnapshot) -> bool:
    return unpack_version(left.version)[0] == unpack_version(right.version)[0]


@dataclass(frozen=True, slots=True)
class Followed:
    """A model as held here, and when the learner published it."""

    snapshot: ModelSnapshot
    at_ms: int


async def read_model(redis: Redis, keys: Keys, placement: str, secret: bytes) -> Followed | None:
    """The whole published model of a placement, None where there is none.

    Raises
    ------
    Refused
        Where the snapshot is of another format or signed with another secret.
    """
    fields = cast("dict[bytes, bytes]", await cast("Any", redis.hgetall(keys.model(placement))))
    return _from_fields(fields, secret)


def _from_fields(fields: Mapping[bytes, bytes], secret: bytes) -> Followed | None:
    if b"header" not in fields:
        return None
    prefix = _ARM.encode()
    arms = {name[len(prefix) :].decode(): value for name, value in fields.items() if name.startswith(prefix)}
    return Followed(ModelSnapshot.decode(fields[b"header"], arms, secret), int(fields[b"at_ms"]))


class ModelFollower:
    """The deciders' side: the newest model of every placement, in memory.

    ``get`` is a dictionary look-up. ``run`` keeps the models current until cancelled, through failures of Redis.

    Parameters
    ----------
    redis
        A client of its own: announcements occupy a connection.
    poll_ms
        Between two looks at the versions, should announcements be lost.
    """

    def __init__(self, redis: Redis, keys: Keys, secret: bytes, poll_ms: int = 1_000) -> None:
        self._redis = redis
        self._keys = keys
        self._secret = secret
        self._poll_ms = poll_ms
        self._models: dict[str, Followed] = {}
        self.n_gaps = 0
        """Announcements that did not fit what was held."""
        self.reached_ms: int = 0
        """When the models were last known to be current, by this process's loop clock; 0: never."""

    def get(self, placement: str) -> Followed | None:
        """The model of a placement; None: nothing was learned yet, decide by the prior."""
        return self._models.get(placement)

    @property
    def placements(self) -> list[str]:
        """The placements that have a model."""
        return sorted(self._models)

    async def refresh(self) -> None:
        """Read whatever is newer in Redis."""
        placements = sorted(name.decode() for name in await cast("Any", self._redis.smembers(self._keys.models)))
        pipeline = self._redis.pipeline(transaction=False)
        for placement in placements:
            pipeline.hget(self._keys.model(placement), "version")
        versions = await pipeline.execute() if placements else []
        for placement, version in zip(placements, versions, strict=True):
            held = self._models.get(placement)
            if version is not None and (held is None or held.snapshot.version != int(version)):
                await self._read(placement)
        self.reached_ms = int(asyncio.get_running_loop().time() * 1000)

    async def run(self) -> None:
        """Follow until cancelled."""
        while True:
            try:
                await self._follow()
            except (RedisError, OSError) as error:
                logger.warning("models_unreachable", extra={"reason": repr(error)})
            await pause(self._poll_ms / 1000)

    async def _follow(self) -> None:
        loop = asyncio.get_running_loop()
        async with self._redis.pubsub(ignore_subscribe_messages=True) as channel:
            await channel.subscribe(self._keys.model_changes)
            # What was published before the subscription: read now, later changes are announced.
            await self.refresh()
            next_poll_s = loop.time() + self._poll_ms / 1000
            while True:
                stop_if_cancelled()
                message = await channel.get_message(timeout=max(0.001, next_poll_s - loop.time()))
                if message is not None:
                    await self._on_announcement(message["data"])
                if loop.time() >= next_poll_s:
                    await self.refresh()
                    next_poll_s = loop.time() + self._poll_ms / 1000

    async def _on_announcement(self, data: bytes) -> None:
        try:
            told = _decoder.decode(data)
            held = self._models.get(told.placement)
            if held is not None and told.version <= held.snapshot.version:
                return
            if held is not None and told.delta:
                snapshot = held.snapshot.apply(SnapshotDelta.from_bytes(told.delta), self._secret)
                self._models[told.placement] = Followed(snapshot, told.at_ms)
                return
        except Refused:
            self.n_gaps += 1
        except msgspec.DecodeError as error:
            logger.error("announcement_unreadable", extra={"reason": str(error)})
            return
        await self._read(told.placement)

    async def _read(self, placement: str) -> None:
        try:
            found = await read_model(self._redis, self._keys, placement, self._secret)
        except (Refused, msgspec.DecodeError, KeyError, ValueError) as error:
            logger.error("model_refused", extra={"placement": placement, "reason": str(error)})
            return
        if found is not None:
            self._models[placement] = found

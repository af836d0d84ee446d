"""Snapshots of models in Redis, both sides: the learner publishes, deciders follow.

``model:{placement}`` is a hash and always complete: ``header``, one field ``arm:{id}`` per arm, ``version``,
``generation``, ``at_ms``. A publish writes what changed and announces the same bytes on one channel, with the
version they build on; a follower that misses one, or starts, reads the whole hash, and asks for versions now and
then should announcements stay away. A newer generation of the learner always wins: what a learner that lost its
partition still publishes is refused.

Header, arms and announcements are sealed: what a model knows by name are values of features.
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
from eventlog.redis_errors import is_passing
from online_models.snapshot import ModelSnapshot, unpack_version
from online_models.wire import SnapshotDelta
from personalization.data_cipher import CLEAR, DataCipher, why_sealed
from personalization.errors import Refused
from state.keys import Keys

logger = logging.getLogger(__name__)

_ARM = "arm:"
_HEADER = "header"
_ANNOUNCEMENT = b"announcement"


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
    cipher
        Seals what is published.
    """

    def __init__(self, redis: Redis, keys: Keys, secret: bytes, cipher: DataCipher = CLEAR) -> None:
        self._redis = redis
        self._cipher = cipher
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
        message = self._cipher.sealed(message, _ANNOUNCEMENT)
        name = self._keys.model(placement)
        header = self._cipher.sealed(delta.header, _bound(name, _HEADER))
        generation, _ = unpack_version(delta.version)
        arguments: list[Any] = [generation, delta.version, at_ms, builds_on, header, message]
        arguments.append(len(delta.removed))
        arguments.extend(_ARM + arm for arm in delta.removed)
        for arm, field in delta.arms.items():
            arguments += (_ARM + arm, self._cipher.sealed(field, _bound(name, _ARM + arm)))
        await cast("Any", self._redis.sadd(self._keys.models, placement))
        keys = [name, self._keys.model_changes]
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


async def read_model(
    redis: Redis, keys: Keys, placement: str, secret: bytes, cipher: DataCipher = CLEAR
) -> Followed | None:
    """The whole published model of a placement, None where there is none.

    Raises
    ------
    Refused
        Where the snapshot is of another format, signed with another secret or sealed under another data key.
    """
    name = keys.model(placement)
    return _from_fields(name, await _fields(redis, name), secret, cipher)


async def _fields(redis: Redis, name: str) -> dict[bytes, bytes]:
    return cast("dict[bytes, bytes]", await cast("Any", redis.hgetall(name)))


def _from_fields(name: str, fields: Mapping[bytes, bytes], secret: bytes, cipher: DataCipher) -> Followed | None:
    if _HEADER.encode() not in fields:
        return None
    header = b""
    arms = {}
    for field, value in ((field.decode(), value) for field, value in fields.items()):
        if field == _HEADER:
            header = _opened(cipher, name, field, value)
        elif field.startswith(_ARM):
            arms[field[len(_ARM) :]] = _opened(cipher, name, field, value)
    return Followed(ModelSnapshot.decode(header, arms, secret), int(fields[b"at_ms"]))


def _opened(cipher: DataCipher, name: str, field: str, value: bytes) -> bytes:
    opened = cipher.opened(value, _bound(name, field))
    if sealed := why_sealed(opened):
        raise Refused(f"{field} of {name} is {sealed}")
    return opened


def _bound(name: str, field: str) -> bytes:
    return f"{name}\x1f{field}".encode()


class ModelFollower:
    """The deciders' side: the newest model of every placement, in memory.

    ``get`` is a dictionary look-up. ``run`` keeps the models current until cancelled, through failures of Redis.
    A model that cannot be read, for whatever reason, is refused until another version of it is published: the last
    good one stays, and the others go on.

    Parameters
    ----------
    redis
        A client of its own: announcements occupy a connection.
    poll_ms
        Between two looks at the versions, should announcements be lost.
    cipher
        Opens what is read; it has its data key before ``run``.
    """

    def __init__(
        self, redis: Redis, keys: Keys, secret: bytes, poll_ms: int = 1_000, cipher: DataCipher = CLEAR
    ) -> None:
        self._redis = redis
        self._cipher = cipher
        self._keys = keys
        self._secret = secret
        self._poll_ms = poll_ms
        self._models: dict[str, Followed] = {}
        self._refused: dict[str, bytes | None] = {}
        self._away = False
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

    @property
    def refused(self) -> list[str]:
        """The placements whose newest model cannot be read here."""
        return sorted(self._refused)

    async def refresh(self) -> None:
        """Read whatever is newer in Redis."""
        names: set[bytes] = await cast("Any", self._redis.smembers(self._keys.models))
        placements = sorted(name.decode(errors="replace") for name in names)
        pipeline = self._redis.pipeline(transaction=False)
        for placement in placements:
            pipeline.hget(self._keys.model(placement), "version")
        # One that is no model must not keep the others from being read.
        versions = await pipeline.execute(raise_on_error=False) if placements else []
        for placement, version in zip(placements, versions, strict=True):
            if isinstance(version, BaseException):
                if is_passing(version):
                    raise version
                self._refuse(placement, None, version)
                continue
            held = self._models.get(placement)
            if version is None or (held is not None and str(held.snapshot.version).encode() == version):
                continue
            if placement not in self._refused or self._refused[placement] != version:
                await self._read(placement)
        for gone in self._refused.keys() - set(placements):
            del self._refused[gone]
        self.reached_ms = int(asyncio.get_running_loop().time() * 1000)

    async def run(self) -> None:
        """Follow until cancelled."""
        while True:
            try:
                await self._follow()
            except (RedisError, OSError) as error:
                if not self._away:
                    logger.warning("models_unreachable", extra={"reason": repr(error)})
                self._away = True
            await pause(self._poll_ms / 1000)

    async def _follow(self) -> None:
        loop = asyncio.get_running_loop()
        async with self._redis.pubsub(ignore_subscribe_messages=True) as channel:
            await channel.subscribe(self._keys.model_changes)
            # What was published before the subscription: read now, later changes are announced.
            await self.refresh()
            if self._away:
                logger.warning("models_followed_again")
            self._away = False
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
            told = _decoder.decode(self._cipher.opened(data, _ANNOUNCEMENT))
        except msgspec.DecodeError as error:
            logger.error("announcement_unreadable", extra={"reason": str(error)})
            return
        held = self._models.get(told.placement)
        if held is not None and told.version <= held.snapshot.version:
            return
        if held is not None and told.delta:
            try:
                snapshot = held.snapshot.apply(SnapshotDelta.from_bytes(told.delta), self._secret)
            except Refused:
                self.n_gaps += 1
            except Exception as error:  # whatever it was: what is stored may be sound
                self.n_gaps += 1
                logger.error("announcement_unreadable", extra={"placement": told.placement, "reason": repr(error)})
            else:
                self._take(told.placement, Followed(snapshot, told.at_ms))
                return
        await self._read(told.placement)

    async def _read(self, placement: str) -> None:
        name = self._keys.model(placement)
        try:
            fields = await _fields(self._redis, name)
        except (RedisError, OSError) as error:
            if is_passing(error):
                raise
            self._refuse(placement, None, error)
            return
        try:
            # Off the loop: the first River model of a process imports half a second of River.
            found = await asyncio.to_thread(_from_fields, name, fields, self._secret, self._cipher)
        except Exception as error:  # bytes that are no model may fail in any way: they are refused, no more
            self._refuse(placement, fields.get(b"version"), error)
            return
        if found is not None:
            self._take(placement, found)

    def _take(self, placement: str, followed: Followed) -> None:
        self._models[placement] = followed
        self._refused.pop(placement, None)

    def _refuse(self, placement: str, version: bytes | None, error: BaseException) -> None:
        if placement not in self._refused or self._refused[placement] != version:
            reason = str(error) if isinstance(error, Refused) else repr(error)
            logger.error("model_refused", extra={"placement": placement, "reason": reason})
        self._refused[placement] = version

"""The audit in Redis: trails that only grow at their end, by one script, so that no two processes fork them.

Keys (one hash slot): ``{namespace}:{audit}:TRAIL`` a stream whose ids are the records' numbers, ``…:head`` the last
record's number and hash, ``…:anchor`` where the trail begins once its oldest records were let go of.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import AsyncIterator, Callable, Iterable, Sequence
from typing import Any, cast

from redis.asyncio import Redis
from redis.exceptions import RedisError, ResponseError

from eventlog.redis_errors import refusal
from personalization.audit.chain import Anchor, AuditKeys, Fault, Head, SignedRecord, Verifier
from personalization.audit.record import KEY_PURPOSE, TRAILS, Act, Trail
from personalization.errors import Refused, Unavailable
from personalization.key_derivation import Secrets

logger = logging.getLogger(__name__)

AT_ONCE = 256
"""Records in one call of the script: a millisecond of Redis."""

_TRIES = 32
"""Each time another process was quicker, and so something was written: as many processes all get through."""

_PAGE = 1_000

# Appends if the head is what was meant. KEYS: records, head; ARGV: number and hash meant, number, hash, key and
# signature of the new head, then number, body and signature of each record. Gives the length, or the head there is.
_APPEND = """
local head = redis.call('HMGET', KEYS[2], 'n', 'hash', 'key', 'mac')
local n, hash = head[1] or '0', head[2] or ''
if n ~= ARGV[1] or hash ~= ARGV[2] then return {0, n, hash, head[3] or '', head[4] or ''} end
for i = 7, #ARGV, 3 do
  redis.call('XADD', KEYS[1], ARGV[i] .. '-0', 'body', ARGV[i + 1], 'mac', ARGV[i + 2])
end
redis.call('HSET', KEYS[2], 'n', ARGV[3], 'hash', ARGV[4], 'key', ARGV[5], 'mac', ARGV[6])
return {1, redis.call('XLEN', KEYS[1])}
"""

# Lets go of the oldest. KEYS: records, anchor; ARGV: the first number kept, before, key, signature.
_TRIM = """
if tonumber(redis.call('HGET', KEYS[2], 'n') or '0') >= tonumber(ARGV[1]) then return 0 end
redis.call('HSET', KEYS[2], 'n', ARGV[1], 'before', ARGV[2], 'key', ARGV[3], 'mac', ARGV[4])
return redis.call('XTRIM', KEYS[1], 'MINID', ARGV[1] .. '-0')
"""


class AuditStore:
    """The trails of an installation.

    Parameters
    ----------
    redis
        Answers in bytes (``decode_responses`` off).
    max_records
        Of each trail; a tenth more is kept for a while, so that letting go is rare.
    clock_ms
        Milliseconds since 1970.
    earlier
        Secrets that the installation had before those of ``secrets``, for a verification.
    """

    def __init__(
        self,
        redis: Redis,
        namespace: str,
        secrets: Secrets,
        max_records: int,
        clock_ms: Callable[[], int] = lambda: time.time_ns() // 1_000_000,
        earlier: Iterable[Secrets] = (),
    ) -> None:
        keys = AuditKeys(secrets.key(KEY_PURPOSE), [each.key(KEY_PURPOSE) for each in earlier])
        self._trails = {
            trail: _TrailStore(redis, f"{namespace}:{{audit}}:{trail}", trail, keys, max_records, clock_ms)
            for trail in TRAILS
        }

    async def append(self, act: Act) -> int:
        """Record an act; gives its number once Redis has it.

        Raises
        ------
        Unavailable
            If Redis does not take it.
        Refused
            If the trail was tampered with so that nothing fits behind it.
        """
        return await self._trails[act.trail].append(act)

    async def head(self, trail: Trail) -> Head:
        """The last record, number 0 where there is none; raises ``Unavailable``."""
        try:
            return await self._trails[trail].head()
        except (RedisError, OSError) as error:
            raise Unavailable(f"the audit cannot be read: {error}") from error

    async def read(self, trail: Trail, from_n: int, limit: int) -> list[SignedRecord]:
        """Records from a number on, in order; raises ``Unavailable``."""
        if limit < 1:
            return []
        try:
            return await self._trails[trail].read(from_n, limit)
        except (RedisError, OSError) as error:
            raise Unavailable(f"the audit cannot be read: {error}") from error

    def all(self, trail: Trail, from_n: int = 0) -> AsyncIterator[SignedRecord]:
        """Every record from a number on, the oldest first."""
        return self._trails[trail].all(from_n)

    async def verify(self, trail: Trail) -> tuple[Fault | None, Verifier, Head]:
        """The first thing that is wrong with a trail, as far as it had come when this began; None: nothing is."""
        return await self._trails[trail].verify()


class _TrailStore:
    """One trail. What comes while a call is under way goes with the next, together."""

    def __init__(
        self, redis: Redis, name: str, trail: Trail, keys: AuditKeys, max_records: int, clock_ms: Callable[[], int]
    ) -> None:
        self._redis = redis
        self._records, self._head_name, self._anchor_name = name, f"{name}:head", f"{name}:anchor"
        self._trail = trail
        self._keys = keys
        self._max_records = max_records
        self._clock_ms = clock_ms
        self._append = redis.register_script(_APPEND)
        self._trim = redis.register_script(_TRIM)
        self._last = Head()
        self._waiting: list[tuple[Act, asyncio.Future[int]]] = []
        self._writing: asyncio.Task[None] | None = None

    async def append(self, act: Act) -> int:
        number: asyncio.Future[int] = asyncio.get_running_loop().create_future()
        self._waiting.append((act, number))
        if self._writing is None or self._writing.done():
            self._writing = asyncio.create_task(self._write_all())
        return await number

    async def _write_all(self) -> None:
        while self._waiting:
            batch, self._waiting = self._waiting[:AT_ONCE], self._waiting[AT_ONCE:]
            try:
                first = await self._write([act for act, _ in batch])
            except BaseException as error:
                for _, number in batch:
                    if not number.done():
                        number.set_exception(error if isinstance(error, Exception) else Unavailable("stopped"))
                if not isinstance(error, Exception):
                    raise
            else:
                for offset, (_, number) in enumerate(batch):
                    if not number.done():  # whoever asked may have gone
                        number.set_result(first + offset)

    async def _write(self, acts: Sequence[Act]) -> int:
        try:
            for _ in range(_TRIES):
                entries = self._sealed(acts)
                head = self._keys.head(self._trail, entries[-1])
                reply: list[Any] = await cast("Any", self._append)(
                    keys=[self._records, self._head_name],
                    args=[
                        *(self._last.n, self._last.hash, *head),
                        *(part for entry in entries for part in entry),
                    ],
                )
                if reply[0] or (int(reply[1]), reply[2].decode()) == (head.n, head.hash):
                    self._last = head  # also if the answer was lost, and the client had asked again
                    if reply[0] and int(reply[1]) > self._max_records * 1.1:
                        await self._let_go(head.n - self._max_records + 1)
                    return entries[0].n
                found = Head(int(reply[1]), reply[2].decode(), reply[3].decode(errors="replace"), reply[4])
                if found.n < self._last.n:
                    logger.error(
                        "audit_lost", extra={"trail": self._trail, "known": self._last.n, "found": found.n}
                    )
                self._last = found
        except ResponseError as error:
            if refusal(error) is None:
                raise Refused(
                    f"the audit's {self._trail} cannot be continued ({error}): `nextbest audit verify` says what "
                    f"was changed; rename {self._records} and what begins so in Redis, and it begins anew"
                ) from error
            raise Unavailable(f"the audit cannot be written: {error}") from error
        except (RedisError, OSError) as error:
            raise Unavailable(f"the audit cannot be written: {error}") from error
        raise Unavailable("the audit cannot be written: other processes write to it all the time")

    def _sealed(self, acts: Sequence[Act]) -> list[SignedRecord]:
        entries: list[SignedRecord] = []
        after, at_ms, vouches = self._last, self._clock_ms(), self._keys.knows(self._trail, self._last)
        for act in acts:
            entries.append(self._keys.sealed(after, act, at_ms, vouches=vouches or bool(entries)))
            after = Head(entries[-1].n, entries[-1].hash)
        return entries

    async def _let_go(self, first_n: int) -> None:
        try:
            first = await self.read(first_n, 1)
            if first and first[0].n == first_n:
                anchor = self._keys.anchor(self._trail, first[0])
                await cast("Any", self._trim)(keys=[self._records, self._anchor_name], args=list(anchor))
        except (RedisError, OSError) as error:  # the next record tries again
            logger.warning("audit_not_trimmed", extra={"trail": self._trail, "reason": str(error)})

    async def head(self) -> Head:
        found = await self._noted(self._head_name)
        return Head(_number(found), _text(found, b"hash"), _text(found, b"key"), found.get(b"mac", b""))

    async def _anchor(self) -> Anchor | None:
        found = await self._noted(self._anchor_name)
        if not found:
            return None
        return Anchor(_number(found), _text(found, b"before"), _text(found, b"key"), found.get(b"mac", b""))

    async def _noted(self, name: str) -> dict[bytes, bytes]:
        found: dict[bytes, bytes] = await cast("Any", self._redis.hgetall(name))
        return found

    async def read(self, from_n: int, limit: int) -> list[SignedRecord]:
        found: Any = await self._redis.xrange(self._records, min=f"{from_n}-0", count=limit)
        return [_entry(*each) for each in found]

    async def all(self, next_n: int = 0) -> AsyncIterator[SignedRecord]:
        while page := await self.read(next_n, _PAGE):
            for entry in page:
                yield entry
            next_n = page[-1].n + 1

    async def verify(self) -> tuple[Fault | None, Verifier, Head]:
        while True:
            anchor, head = await self._anchor(), await self.head()
            verifier = Verifier(self._keys, self._trail, anchor)
            fault = verifier.begin()
            if fault is None:
                async for entry in self.all():
                    if entry.n > head.n > 0 or fault is not None:
                        break  # written meanwhile
                    fault = verifier.take(entry)
            if fault is None:
                fault = verifier.end(head)
            if fault is None or await self._anchor() == anchor:
                return fault, verifier, head


def _number(noted: dict[bytes, bytes]) -> int:
    text = noted.get(b"n", b"")
    return int(text) if text.isdigit() else 0


def _text(noted: dict[bytes, bytes], name: bytes) -> str:
    return noted.get(name, b"").decode(errors="replace")


def _entry(entry_id: bytes, fields: dict[bytes, bytes]) -> SignedRecord:
    """As it was written; what was put in otherwise has a number, and fits nothing."""
    return SignedRecord(int(entry_id.partition(b"-")[0]), fields.get(b"body", b""), fields.get(b"mac", b""))

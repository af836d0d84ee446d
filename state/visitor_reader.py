"""The decider's read of visitors: a request that is alone is read at once, those in flight share one MGET, and a
Redis that is away costs microseconds.

One command costs the same whatever it fetches, so what arrives while a read is under way goes with the next; and
after a read that several shared, those of one turn of the loop are gathered: the busier, the cheaper. Nobody waits
for a slow read for longer than ``HOLD_S``.
No retries: a decision has a deadline, and a rung below it on the ladder.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Callable, Sequence
from functools import partial
from typing import Any, Protocol, TypeAlias

from redis.exceptions import RedisError

from eventlog.deadlines import Deadlines
from personalization.data_cipher import CLEAR, DataCipher
from personalization.errors import Unavailable
from personalization.visitor.identity import may_follow
from personalization.visitor.visitor_key import is_registered
from personalization.visitor.visitor_state import VisitorState
from state.circuit_breaker import CircuitBreaker
from state.keys import Keys
from state.visitor_store import UnreadableState, opened_visitor, unpack_visitor

logger = logging.getLogger(__name__)


class Asked(Protocol):
    """A question that is under way."""

    def leave(self) -> None:
        """Nobody waits for its answer any more."""


Fetch: TypeAlias = Callable[[list[str], Callable[[Any], None]], Asked]
"""Asks for values by name. What it is given besides is told them, in order, or the error that came instead: a
``RedisError`` or an ``OSError``."""

MAX_REDIRECTS = 4
"""Chains are rewritten to their end when folded; a longer one is still on its way."""

HOLD_S = 0.002
"""A read takes half a millisecond; one that has not come back after some times that does not hold up others."""

LATELY_S = 2.0
"""What failed longer ago, while nobody asked, says nothing of now."""


class VisitorReader:
    """Reads visitor states for deciders.

    Parameters
    ----------
    fetch
        One round trip to Redis.
    timeout_s
        For one round trip, connecting included.
    observe
        Told the seconds of every round trip, and whether it worked.
    cipher
        Opens what is read.
    """

    def __init__(
        self,
        fetch: Fetch,
        keys: Keys,
        timeout_s: float,
        observe: Callable[[float, bool], None] = lambda seconds, worked: None,
        breaker: CircuitBreaker | None = None,
        cipher: DataCipher = CLEAR,
    ) -> None:
        self._cipher = cipher
        self._fetch = fetch
        self._keys = keys
        self._timeout_s = timeout_s
        self._observe = observe
        self._breaker = breaker or CircuitBreaker(time.monotonic)
        self._waiting: list[tuple[list[str], asyncio.Future[list[bytes | None]]]] = []
        self._next: asyncio.Handle | None = None
        self._gathers = False
        self._under_way: set[_RoundTrip] = set()
        self._deadlines = Deadlines(timeout_s, self._expire)
        self._error: BaseException | None = None
        self._failed_s = 0.0

    @property
    def error(self) -> BaseException | None:
        """Why reads failed several times in a row, the last time just now; None: they work, or nobody reads."""
        lately = time.monotonic() - self._failed_s < LATELY_S
        return self._error if self._breaker.is_open and lately else None

    async def read(self, keys: Sequence[str], registered: str | None) -> list[VisitorState]:
        """The states known under ``keys``, redirects followed, the winner of a merge first; each fresh.

        A redirect to a registered visitor holds the state of whoever has used the device since.

        Parameters
        ----------
        registered
            The request's own registered key: the only registered visitor a redirect may lead to.

        Raises
        ------
        Unavailable
            Where Redis does not answer in time, or holds what is no visitor.
        """
        if len(keys) == 1:  # of most, one value is all there is
            value = (await self._ask([self._keys.visitor(keys[0])]))[0]
            state = None if value is None else _unpacked(self._cipher, keys[0], value)
            if state is None or state.redirect is None:
                return [] if state is None else [state]
        reading = _Reading(self._cipher, keys, registered)
        for _ in range(MAX_REDIRECTS):
            reading.take(await self._ask([self._keys.visitor(key) for key in reading.wanted]))
            if not reading.wanted:
                break
        return reading.states()

    async def read_each(
        self, visitors: Sequence[tuple[Sequence[str], str | None]]
    ) -> list[list[VisitorState] | Unavailable]:
        """What ``read`` gives of each of several visitors, or raises of it, by one question for all of them."""
        readings = [_Reading(self._cipher, *visitor) for visitor in visitors]
        unfinished = readings
        for _ in range(MAX_REDIRECTS):
            names = [self._keys.visitor(key) for reading in unfinished for key in reading.wanted]
            try:
                values = iter(await self._ask(names))
            except Unavailable as error:
                for reading in unfinished:
                    reading.error = error
                break
            for reading in unfinished:
                own = [next(values) for _ in reading.wanted]
                try:
                    reading.take(own)
                except Unavailable as error:
                    reading.error = error
            unfinished = [reading for reading in unfinished if reading.wanted and reading.error is None]
            if not unfinished:
                break
        return [reading.states() if reading.error is None else reading.error for reading in readings]

    async def read_canonical(self, key: str) -> tuple[str, list[VisitorState]]:
        """The end of a key's redirects, whomever it names, and the state there (none: empty list).

        For operators; deciders never look where a request did not point.
        """
        for _ in range(MAX_REDIRECTS):
            value = (await self._ask([self._keys.visitor(key)]))[0]
            if value is None:
                return key, []
            state = _unpacked(self._cipher, key, value)
            if state.redirect is None:
                return key, [state]
            key = state.redirect
        return key, []

    def _ask(self, names: list[str]) -> asyncio.Future[list[bytes | None]]:
        loop = asyncio.get_running_loop()
        answer: asyncio.Future[list[bytes | None]] = loop.create_future()
        if not self._breaker.allows():
            answer.set_exception(Unavailable("Redis failed several times in a row; it is asked again shortly"))
            return answer
        self._waiting.append((names, answer))
        if self._next is None:
            if self._under_way:
                self._next = loop.call_later(HOLD_S, self._send)
            elif self._gathers:
                self._next = loop.call_soon(self._send)
            else:
                self._send()
        return answer

    def _send(self) -> None:
        self._next = None
        trip = _RoundTrip(self._waiting, asyncio.get_running_loop().create_future())
        self._waiting = []
        self._gathers = len(trip.waiting) > 1
        self._under_way.add(trip)
        self._deadlines.add(trip)
        trip.asked = self._fetch(list(trip.places), partial(self._returned, trip))

    def _expire(self, trip: _RoundTrip) -> None:
        if trip.asked is not None:
            trip.asked.leave()
        self._returned(trip, TimeoutError(f"no answer within {self._timeout_s:g} s"))

    def _returned(self, trip: _RoundTrip, outcome: Sequence[bytes | None] | Exception) -> None:
        if trip.done.done():
            return
        trip.done.set_result(None)
        self._under_way.discard(trip)
        worked = not isinstance(outcome, Exception)
        self._observe(time.perf_counter() - trip.began, worked)
        if isinstance(outcome, Exception):  # a decision has a rung below it, whatever went wrong here
            if not isinstance(outcome, RedisError | OSError):
                logger.error("visitor_read_failed", exc_info=outcome)
            self._breaker.failed()
            self._error, self._failed_s = outcome, time.monotonic()
            trip.fail(outcome)
        else:
            self._breaker.succeeded()
            trip.settle(outcome)
        if self._next is not None and not self._under_way:
            self._next.cancel()
            self._send()


class _RoundTrip:
    """One question to Redis, and who waits for it."""

    __slots__ = ("asked", "began", "done", "places", "waiting")

    def __init__(
        self, waiting: list[tuple[list[str], asyncio.Future[list[bytes | None]]]], done: asyncio.Future[None]
    ) -> None:
        self.waiting = waiting
        self.done = done
        self.began = time.perf_counter()
        self.asked: Asked | None = None
        self.places: dict[str, int] = {}
        for names, _ in waiting:
            for name in names:
                self.places.setdefault(name, len(self.places))

    def settle(self, values: Sequence[bytes | None]) -> None:
        for names, answer in self.waiting:
            if not answer.done():
                answer.set_result([values[self.places[name]] for name in names])

    def fail(self, error: Exception) -> None:
        for _, answer in self.waiting:
            if not answer.done():
                answer.set_exception(_unavailable(error))


class _Reading:
    """One visitor while it is read: the states found so far, and the keys to be asked for next."""

    __slots__ = ("_cipher", "_found", "_registered", "_seen", "error", "wanted")

    def __init__(self, cipher: DataCipher, keys: Sequence[str], registered: str | None) -> None:
        self._cipher = cipher
        self._registered = registered
        self._found: dict[str, VisitorState] = {}
        self._seen = set(keys)
        self.wanted: Sequence[str] = keys
        self.error: Unavailable | None = None

    def take(self, values: Sequence[bytes | None]) -> None:
        """Take the values of the keys wanted; those their redirects lead to are wanted next."""
        redirects = []
        for key, value in zip(self.wanted, values, strict=True):
            if value is None:
                continue
            state = _unpacked(self._cipher, key, value)
            if state.redirect is None:
                self._found[key] = state
                continue
            follows = may_follow(state.redirect, self._registered)
            if is_registered(state.redirect) and (not follows or state.revision or state.exposures):
                self._found[key] = state  # whoever uses the device after a log-out, beside the redirect
            if follows and state.redirect not in self._seen:
                self._seen.add(state.redirect)
                redirects.append(state.redirect)
        self.wanted = redirects

    def states(self) -> list[VisitorState]:
        """Those found, the winner of a merge first."""
        found = self._found
        if len(found) < 2:
            return list(found.values())
        return [found[key] for key in sorted(found, key=lambda key: (not is_registered(key), key))]


def _unavailable(error: BaseException) -> Unavailable:
    failure = Unavailable(f"Redis does not answer: {type(error).__name__}: {error}")
    failure.__cause__ = error
    return failure


def _unpacked(cipher: DataCipher, key: str, value: bytes) -> VisitorState:
    try:
        return unpack_visitor(opened_visitor(cipher, key, value))
    except UnreadableState as error:
        raise Unavailable(str(error)) from error

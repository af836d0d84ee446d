"""A collector's clock never runs ahead of the log's by more than two seconds."""

from __future__ import annotations

from collections.abc import Callable
from typing import cast

import pytest
import redis.asyncio as redis_asyncio
from redis.exceptions import NoPermissionError, OutOfMemoryError

from api.process.clock import CollectorClock
from state.redis_watch import RedisWatch
from tests.unit.api.site import NOW

DAY = 86_400_000


class Machine:
    """A machine whose wall clock is set at will; its steady one began at some other time."""

    def __init__(self) -> None:
        self.true_ms = NOW
        self.wrong_by_ms = 0

    def clock(self) -> CollectorClock:
        def wall_ns() -> int:
            return (self.true_ms + self.wrong_by_ms) * 1_000_000

        return CollectorClock(wall_ns, lambda: (self.true_ms - NOW + 77) * 1_000_000)


@pytest.mark.parametrize(
    ("wrong_by_ms", "told_ms"),
    [(0, 0), (-DAY, -DAY), (1_500, 1_500), (2_000, 2_000), (2_001, 0), (DAY, 0), (60_000, 0)],
)
def test_a_clock_ahead_of_the_logs_is_corrected(wrong_by_ms: int, told_ms: int) -> None:
    machine = Machine()
    machine.wrong_by_ms = wrong_by_ms
    clock = machine.clock()
    clock.heard(machine.true_ms)
    machine.true_ms += 300
    assert clock.now_ms() - machine.true_ms == told_ms
    assert clock.ahead_ms == wrong_by_ms
    assert (clock.problem() is None) == (wrong_by_ms <= 2_000)


def test_a_clock_that_jumps_between_two_looks_takes_nobody_along() -> None:
    machine = Machine()
    clock = machine.clock()
    clock.heard(machine.true_ms)
    machine.wrong_by_ms = DAY
    machine.true_ms += 10
    assert clock.now_ms() == machine.true_ms
    assert "86400 s ahead" in (clock.problem() or "")
    machine.wrong_by_ms = 0
    assert clock.now_ms() == machine.true_ms
    assert clock.problem() is None


def test_until_redis_has_told_the_machines_clock_is_believed() -> None:
    machine = Machine()
    machine.wrong_by_ms = DAY
    clock = machine.clock()
    assert clock.now_ms() == NOW + DAY
    assert (clock.ahead_ms, clock.problem()) == (0, None)


def test_the_real_clocks_agree() -> None:
    clock = CollectorClock()
    before = clock.now_ms()
    clock.heard(before)
    assert 0 <= clock.now_ms() - before < 60_000
    clock.heard(before - DAY)
    assert clock.now_ms() - before < -DAY + 60_000


class Redis:
    """Of Redis what the watch asks."""

    def __init__(self) -> None:
        self.refuses: dict[str, Exception] = {}
        self.asked: list[str] = []

    def _answer(self, command: str) -> None:
        self.asked.append(command)
        if command in self.refuses:
            raise self.refuses[command]

    async def time(self) -> tuple[int, int]:
        self._answer("time")
        return NOW // 1000, 250_999

    async def setrange(self, *_: object) -> int:
        self._answer("setrange")
        return 0


def watch_of(redis: Redis, heard: Callable[[int], None]) -> RedisWatch:
    return RedisWatch(cast(redis_asyncio.Redis, redis), "probe", heard=heard)


async def test_the_watch_hands_on_what_redis_says_the_time_is() -> None:
    heard: list[int] = []
    await watch_of(Redis(), heard.append).look()
    assert heard == [NOW + 250]


async def test_a_redis_that_takes_no_writes_still_tells_the_time() -> None:
    redis, heard = Redis(), list[int]()
    redis.refuses["setrange"] = OutOfMemoryError("OOM command not allowed")
    watch = watch_of(redis, heard.append)
    await watch.look()
    assert heard == [NOW + 250]
    assert watch.error is redis.refuses["setrange"]


async def test_a_redis_user_without_time_is_asked_once_and_is_well() -> None:
    redis = Redis()
    redis.refuses["time"] = NoPermissionError("NOPERM this user has no permissions to run the 'time' command")
    watch = watch_of(redis, lambda _: None)
    for _ in range(3):
        await watch.look()
    assert redis.asked.count("time") == 1
    assert watch.error is None

"""Calls that wait too long are given up, each in its own time, by one timer."""

from __future__ import annotations

import asyncio
from types import SimpleNamespace
from typing import Any

from eventlog.deadlines import Deadlines
from tests.running import eventually


def call(number: int) -> Any:
    return SimpleNamespace(number=number, done=asyncio.get_running_loop().create_future())


async def test_each_call_has_its_own_time() -> None:
    loop = asyncio.get_running_loop()
    expired: list[tuple[int, float]] = []

    def expire(late: Any) -> None:
        expired.append((late.number, loop.time()))
        late.done.set_result(None)

    deadlines = Deadlines(0.1, expire)
    added = []
    for number in range(5):
        deadlines.add(call(number))
        added.append(loop.time())
        await asyncio.sleep(0.03)
    await eventually(lambda: len(expired) == 5)
    assert [number for number, _ in expired] == list(range(5))
    for (_, at_s), added_s in zip(expired, added, strict=True):
        assert 0.099 <= at_s - added_s < 1.0


async def test_who_is_done_is_left_alone_and_not_kept() -> None:
    expired: list[int] = []
    deadlines = Deadlines(0.05, lambda late: expired.append(late.number))
    for number in range(1000):
        done = call(number)
        deadlines.add(done)
        done.done.set_result(None)
    assert len(deadlines._waiting) == 1
    last = call(1000)
    deadlines.add(last)
    await eventually(lambda: expired == [1000])
    assert deadlines._timer is None


async def test_stopped_it_gives_up_nobody() -> None:
    expired: list[int] = []
    deadlines = Deadlines(0.01, lambda late: expired.append(late.number))
    deadlines.add(call(1))
    deadlines.stop()
    other = Deadlines(0.02, lambda late: late.done.set_result(None))
    waiting = call(2)
    other.add(waiting)
    await waiting.done
    assert expired == []

"""The coalesced read: one round trip per loop tick, redirects within bounds, microseconds when Redis is away."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from typing import Any

import pytest
from redis.exceptions import ConnectionError as RedisConnectionError

from personalization.errors import Unavailable
from personalization.visitor.visitor_state import VisitorState
from state.circuit_breaker import CircuitBreaker
from state.keys import Keys
from state.visitor_reader import VisitorReader
from state.visitor_store import pack_visitor

KEYS = Keys("t")


class FakeRedis:
    def __init__(self, **states: VisitorState) -> None:
        self.values = {KEYS.visitor(key.replace("_", ":", 1)): pack_visitor(state) for key, state in states.items()}
        self.calls: list[list[str]] = []
        self.error: Exception | None = None
        self.hangs = False

    async def mget(self, names: list[str]) -> list[bytes | None]:
        self.calls.append(names)
        if self.hangs:
            await asyncio.get_running_loop().create_future()
        if self.error is not None:
            raise self.error
        return [self.values.get(name) for name in names]


def reader_of(redis: FakeRedis | SlowRedis, **terms: Any) -> VisitorReader:
    def fetch(names: list[str], then: Callable[[Any], None]) -> Under:
        task = asyncio.ensure_future(redis.mget(names))
        under = Under(task)
        task.add_done_callback(lambda done: None if done.cancelled() else then(done.exception() or done.result()))
        return under

    return VisitorReader(fetch, KEYS, terms.pop("timeout_s", 5.0), **terms)


class Under:
    """A question that is under way."""

    def __init__(self, task: asyncio.Future[Any]) -> None:
        self._task = task

    def leave(self) -> None:
        self._task.cancel()


async def test_a_request_that_is_alone_is_read_at_once() -> None:
    """Within the turn of the loop in which it was asked for."""
    asked = []

    def fetch(names: list[str], then: Callable[[Any], None]) -> Under:
        asked.append(names)
        return Under(asyncio.get_running_loop().create_future())

    reading = VisitorReader(fetch, KEYS, 5.0).read(["a:1"], None)
    reading.send(None)
    assert asked == [[KEYS.visitor("a:1")]]
    reading.close()


async def test_those_of_one_tick_share_a_read_behind_the_first_and_then_one_read() -> None:
    redis = FakeRedis(a_1=VisitorState(revision=1), a_2=VisitorState(revision=2))
    reader = reader_of(redis)
    for _ in range(2):
        found = await asyncio.gather(*(reader.read([f"a:{n % 3}"], None) for n in range(30)))
        assert [[state.revision for state in states] for states in found] == [[], [1], [2]] * 10
    first, *shared = redis.calls
    assert first == [KEYS.visitor("a:0")]
    assert [sorted(names) for names in shared] == [[KEYS.visitor(f"a:{n}") for n in range(3)]] * 2


async def test_every_request_gets_a_state_of_its_own() -> None:
    reader = reader_of(FakeRedis(a_1=VisitorState()))
    (one,), (other,) = await asyncio.gather(reader.read(["a:1"], None), reader.read(["a:1"], None))
    one.revision = 99
    assert other.revision == 0


async def test_the_winner_of_a_merge_comes_first() -> None:
    reader = reader_of(FakeRedis(a_1=VisitorState(revision=1), u_2=VisitorState(revision=2)))
    assert [state.revision for state in await reader.read(["a:1", "u:2"], "u:2")] == [2, 1]


@pytest.mark.parametrize(("registered", "revisions"), [(None, [0]), ("u:8", [0]), ("u:7", [7])])
async def test_a_redirect_to_a_registered_id_is_followed_only_for_the_request_that_names_it(
    registered: str | None, revisions: list[int]
) -> None:
    reader = reader_of(FakeRedis(a_1=VisitorState(redirect="u:7"), u_7=VisitorState(revision=7)))
    assert [state.revision for state in await reader.read(["a:1"], registered)] == revisions


async def test_whoever_uses_the_device_after_a_log_out_is_known_beside_the_redirect() -> None:
    beside = VisitorState(redirect="u:7", revision=2, unit=b"12345678")
    reader = reader_of(FakeRedis(a_1=beside, u_7=VisitorState(revision=7), u_8=VisitorState(revision=8)))
    assert [state.unit for state in await reader.read(["a:1"], None)] == [b"12345678"]
    assert [state.revision for state in await reader.read(["u:8", "a:1"], "u:8")] == [8, 2], "and joins who logs in"


async def test_a_redirect_to_an_anonymous_id_is_followed_and_nothing_read_twice() -> None:
    redis = FakeRedis(
        a_3=VisitorState(redirect="a:2"), a_2=VisitorState(redirect="a:1"), a_1=VisitorState(revision=1)
    )
    reader = reader_of(redis)
    assert [state.revision for state in await reader.read(["a:3", "a:1"], None)] == [1]
    assert len(redis.calls) == 2


async def test_a_ring_of_redirects_ends() -> None:
    reader = reader_of(FakeRedis(a_1=VisitorState(redirect="a:2"), a_2=VisitorState(redirect="a:1")))
    assert await reader.read(["a:1"], None) == []


async def test_what_is_no_visitor_is_unavailable_to_its_own_request_alone() -> None:
    redis = FakeRedis(a_1=VisitorState(revision=1))
    redis.values[KEYS.visitor("a:2")] = b"nonsense beyond the fence"
    reader = reader_of(redis)
    good, bad = await asyncio.gather(reader.read(["a:1"], None), reader.read(["a:2"], None), return_exceptions=True)
    assert isinstance(good, list)
    assert good[0].revision == 1
    assert isinstance(bad, Unavailable)


async def test_several_visitors_are_read_by_one_question_each_as_alone() -> None:
    redis = FakeRedis(
        a_1=VisitorState(redirect="u:7"),
        a_2=VisitorState(redirect="a:1b"),
        a_1b=VisitorState(revision=1),
        u_7=VisitorState(revision=7),
    )
    redis.values[KEYS.visitor("a:4")] = b"nonsense beyond the fence"
    reader = reader_of(redis)
    visitors = [(("u:7", "a:1"), "u:7"), (("a:1",), None), (("a:2",), None), (("a:3",), None)]
    alone = [await reader.read(*visitor) for visitor in visitors]
    redis.calls.clear()
    *found, broken = await reader.read_each([*visitors, (("a:4",), None)])
    assert found == alone
    assert isinstance(broken, Unavailable)
    assert len(redis.calls) == 2, "one for all of them, and one for where their redirects lead"
    redis.error = RedisConnectionError("refused")
    assert all(isinstance(each, Unavailable) for each in await reader.read_each(visitors))


async def test_a_redis_that_hangs_is_given_up_in_time() -> None:
    redis = FakeRedis()
    redis.hangs = True
    reader = reader_of(redis, timeout_s=0.02)
    began = time.monotonic()
    with pytest.raises(Unavailable):
        await reader.read(["a:1"], None)
    assert time.monotonic() - began < 1.0


async def test_a_redis_that_is_away_costs_microseconds_and_comes_back() -> None:
    redis, now = FakeRedis(a_1=VisitorState(revision=1)), [0.0]
    redis.error = RedisConnectionError("refused")
    reader = reader_of(redis, breaker=CircuitBreaker(lambda: now[0], threshold=3, pause_s=0.5))
    for _ in range(50):
        with pytest.raises(Unavailable):
            await reader.read(["a:1"], None)
    assert len(redis.calls) == 3
    now[0] = 0.6
    for _ in range(5):
        with pytest.raises(Unavailable):
            await reader.read(["a:1"], None)
    assert len(redis.calls) == 4, "one probe per pause"
    redis.error, now[0] = None, 1.2
    assert (await reader.read(["a:1"], None))[0].revision == 1
    assert (await reader.read(["a:1"], None))[0].revision == 1


async def test_reads_are_observed() -> None:
    seen = []
    redis = FakeRedis()
    reader = reader_of(redis, observe=lambda seconds, worked: seen.append(worked))
    await reader.read(["a:1"], None)
    redis.error = OSError("gone")
    with pytest.raises(Unavailable):
        await reader.read(["a:1"], None)
    assert seen == [True, False]


async def test_what_arrives_while_a_read_is_under_way_goes_with_the_next() -> None:
    redis = SlowRedis()
    reader = reader_of(redis)
    first = asyncio.create_task(reader.read(["a:1"], None))
    await redis.asked()
    rest = []
    for key in ("a:2", "a:3"):
        rest.append(asyncio.create_task(reader.read([key], None)))
        await asyncio.sleep(0)
    redis.answer()
    await first
    await redis.asked()
    redis.answer()
    await asyncio.gather(*rest)
    assert redis.calls == [[KEYS.visitor("a:1")], [KEYS.visitor("a:2"), KEYS.visitor("a:3")]]


async def test_a_read_that_does_not_come_back_holds_nobody_up_for_long() -> None:
    redis = SlowRedis()
    reader = reader_of(redis)
    stuck = asyncio.create_task(reader.read(["a:1"], None))
    await redis.asked()
    other = asyncio.create_task(reader.read(["a:2"], None))
    await redis.asked()  # while the first is still out
    assert not stuck.done()
    redis.answer()
    assert [*await asyncio.gather(stuck, other)] == [[], []]


class SlowRedis:
    """Answers when told to."""

    def __init__(self) -> None:
        self.calls: list[list[str]] = []
        self.gate = asyncio.Event()
        self.arrivals = asyncio.Semaphore(0)

    async def mget(self, names: list[str]) -> list[bytes | None]:
        self.calls.append(names)
        self.arrivals.release()
        gate = self.gate
        await gate.wait()
        return [None] * len(names)

    def answer(self) -> None:
        self.gate.set()
        self.gate = asyncio.Event()

    async def asked(self) -> None:
        """Once for each call."""
        async with asyncio.timeout(5):
            await self.arrivals.acquire()

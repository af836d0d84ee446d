"""How far the projector is behind, told by what the log held at the last looks."""

from __future__ import annotations

import pytest
from prometheus_client import CollectorRegistry, Gauge

from eventlog.port import LogIdentity
from eventlog.topics import DECISIONS, OUTCOMES
from personalization.errors import EpochClosed
from state.projection_store import Place
from stream.projecting.lag import ProjectorLag
from tests.of_type import of_type

AT, OTHER = Place(DECISIONS, 0), Place(OUTCOMES, 0)


class Log:
    def __init__(self) -> None:
        self.epoch = 1
        self.ends = {DECISIONS: [0], OUTCOMES: [0]}

    async def identity(self, anew: bool = False) -> LogIdentity:
        return LogIdentity(self.epoch, "log", 1)

    async def end_offsets(self, topic: str) -> list[int]:
        return self.ends[topic]

    async def earliest_offsets(self, topic: str) -> list[int]:
        return [0]


class Watched:
    def __init__(self) -> None:
        self.log = Log()
        self.now_s = 100.0
        self.held = {AT, OTHER}
        self.reached: dict[Place, int] = {}
        self.gauge = Gauge("lag", "", ["partition"], registry=CollectorRegistry())

        async def tidy(_: object) -> None:
            """Nothing to tidy."""

        log: object = self.log
        self.lag = ProjectorLag(
            log,  # type: ignore[arg-type]
            LogIdentity(1, "log", 1),
            lambda: self.held,
            lambda: self.reached,
            self.gauge,
            tidy,
            1e9,
            lambda: self.now_s,
        )

    async def look(self, after_s: float = 1.0) -> None:
        self.now_s += after_s
        await self.lag.look()

    def n_entries(self) -> float:
        return of_type(float, self.gauge.labels("0")._value.get())


@pytest.fixture
def watched() -> Watched:
    return Watched()


async def test_it_is_as_old_as_the_last_look_whose_end_was_reached(watched: Watched) -> None:
    await watched.look()
    watched.log.ends = {DECISIONS: [10], OUTCOMES: [3]}
    await watched.look()
    watched.reached = {AT: 10}
    watched.now_s += 5
    assert watched.lag.behind_s() == 6, "outcomes are behind since the look before"
    watched.reached = {AT: 10, OTHER: 3}
    assert watched.lag.behind_s() == 5


async def test_one_that_cannot_go_on_grows_old(watched: Watched) -> None:
    await watched.look()
    watched.log.ends[DECISIONS] = [10]
    for _ in range(60):
        await watched.look()
    assert watched.lag.behind_s() == 60
    assert watched.n_entries() == 10


async def test_who_holds_nothing_is_behind_nothing_and_not_ready(watched: Watched) -> None:
    watched.held = set()
    await watched.look()
    assert watched.lag.behind_s() == 0
    assert "no partitions" in str(watched.lag.not_ready())


async def test_a_log_that_does_not_answer_makes_it_not_ready(watched: Watched) -> None:
    assert "where it ends" in str(watched.lag.not_ready())
    await watched.look()
    assert watched.lag.not_ready() is None
    watched.now_s += 11
    assert "where it ends" in str(watched.lag.not_ready())


async def test_another_epoch_ends_it(watched: Watched) -> None:
    watched.log.epoch = 2
    with pytest.raises(EpochClosed):
        await watched.look()

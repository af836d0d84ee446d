"""What is watched is what was counted in between, over all processes, whoever began anew or went away."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

import aiohttp
import pytest
from prometheus_client import CollectorRegistry

from api.process.metrics import ApiMetrics
from background.metrics import Counter, Histogram, exposition, names
from operations.watching.arms_board import ArmsBoard
from operations.watching.frame import LEARNING_S, WANTED, WINDOW_S, Frame, History, ProcessLook
from operations.watching.inner_port import Address, InnerPorts, Readiness
from operations.watching.intervals import Interval, Quantile, buckets, per_second, quantile
from operations.watching.scrape import Scrape, read_metrics
from personalization.catalog.duration import MINUTE_MS
from personalization.projecting.arms import SPANS, bucket_name
from personalization.projecting.sums import ReadSums
from stream.metrics import FolderMetrics, LearnerMetrics, ProjectorMetrics

READY = Readiness("ready")
NOW_MS = 1_000_000 * MINUTE_MS + 1


class Process:
    """An API process that counts."""

    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        self.decisions = Counter("nextbest_decisions", "_", ["tier", "placement"], registry=self.registry)
        self.seconds = Histogram(
            "nextbest_decision_seconds", "_", ["tier"], buckets=(0.01, 0.05, 0.1), registry=self.registry
        )

    def decide(self, n: int, tier: str = "personalised", seconds: float = 0.005) -> None:
        self.decisions.labels(tier, "hero").inc(n)
        self.seconds.labels(tier).observe_all([seconds] * n)

    def look(self, at_s: float) -> ProcessLook:
        return ProcessLook(READY, read_metrics(exposition(self.registry, "")[0].decode(), at_s, WANTED))


AWAY = ProcessLook(None, None)


def frame_of(*looks: tuple[float, dict[str, ProcessLook]]) -> Frame:
    history = History()
    for at_s, look in looks:
        history.add(at_s, look)
    return history.frame()


def test_whatever_is_read_is_shown_by_a_process() -> None:
    workers = (FolderMetrics(), LearnerMetrics(), ProjectorMetrics(lambda: 0.0))
    assert names([ApiMetrics().registry, *(each.registry for each in workers)]) >= WANTED


def test_rates_and_tiers_are_those_of_the_window_over_all_processes() -> None:
    a, b = Process(), Process()
    a.decide(1_000, seconds=0.09)  # before anybody looked
    first = {"a": a.look(0.0), "b": b.look(0.0)}
    a.decide(60)
    b.decide(20)
    b.decide(20, "rules", 0.02)
    frame = frame_of((0.0, first), (5.0, {"a": a.look(5.0), "b": b.look(5.0)}))
    assert frame.decisions_per_s == pytest.approx(20)
    assert [(row.tier, row.per_s) for row in frame.tiers] == [("personalised", 16.0), ("rules", 4.0)]
    assert frame.below_share == pytest.approx(0.2)
    assert frame.tiers[0].p99_s is not None
    assert frame.tiers[0].p99_s.value < 0.01  # nothing of what was slow before
    assert frame.tiers[1].p50_s is not None
    assert 0.01 < frame.tiers[1].p50_s.value < 0.05


def test_a_process_that_began_anew_counts_from_nothing() -> None:
    old, new = Process(), Process()
    old.decide(1_000)
    new.decide(10)
    frame = frame_of((0.0, {"a": old.look(0.0)}), (2.0, {"a": new.look(2.0)}))
    assert frame.decisions_per_s == pytest.approx(5)


def test_a_process_that_is_away_is_told_of_and_comes_back_with_its_own_interval() -> None:
    process = Process()
    process.decide(100)
    first = process.look(0.0)
    away = frame_of((0.0, {"a": first}), (1.0, {"a": AWAY}))
    assert away.states == {"a": "away"}
    assert away.notes == ["a: does not answer"]
    assert away.decisions_per_s == 0
    process.decide(40)
    back = frame_of((0.0, {"a": first}), (1.0, {"a": AWAY}), (4.0, {"a": process.look(4.0)}))
    assert back.decisions_per_s == pytest.approx(10)


def test_what_several_say_is_said_once() -> None:
    warning = Readiness("ready", warnings=["Redis fills up"])
    api = Readiness("waiting", missing=["log"], warnings=["spool"], reasons={"log": "gone", "spool": "it fills"})
    look = {"a": ProcessLook(warning, None), "b": ProcessLook(warning, None), "api": ProcessLook(api, None)}
    frame = frame_of((0.0, look))
    assert frame.notes == ["a, b: Redis fills up", "api: log: gone", "api: spool: it fills"]
    assert frame.states == {"a": "ready", "b": "ready", "api": "waiting"}


def test_looks_older_than_any_window_go() -> None:
    history, process = History(), Process()
    for at_s in range(500):
        process.decide(1)
        history.add(float(at_s), {"a": process.look(float(at_s))})
    assert [interval.seconds for interval in history.intervals(WINDOW_S)] == [WINDOW_S]
    assert [interval.seconds for interval in history.intervals(LEARNING_S)] == [LEARNING_S]
    assert history.frame().decisions_per_s == pytest.approx(1)
    assert len(history._looks) < LEARNING_S + 3


def test_quantiles_are_prometheuss() -> None:
    counted = {0.01: 10.0, 0.05: 10.0, 0.1: 20.0, float("inf"): 20.0}
    assert quantile(counted, 0.25) == Quantile(0.005)
    high = quantile(counted, 0.75)
    assert high is not None
    assert high.value == pytest.approx(0.075)
    assert quantile({0.01: 0.0, float("inf"): 0.0}, 0.5) is None
    assert quantile({}, 0.5) is None


def test_what_is_no_exposition_gives_nothing_and_other_lines_are_not_parsed() -> None:
    assert read_metrics("<html>", 0.0, WANTED).values == {}
    text = 'nextbest_spool_records 3.0\nother{broken 1\nnextbest_log_lag_entries{partition="0"} 7.0\n'
    scrape = read_metrics(text, 0.0, WANTED)
    assert (scrape.total("nextbest_spool_records"), scrape.total("nextbest_log_lag_entries")) == (3.0, 7.0)
    assert read_metrics('nextbest_spool_records{a="b 1\n', 0.0, WANTED).values == {}


def test_intervals_of_series_that_are_new_count_whole() -> None:
    before = Scrape(0.0, {})
    after = Scrape(2.0, {"n_total": {(("tier", "rules"),): 8.0}, "s_bucket": {(("le", "+Inf"),): 8.0}})
    assert per_second([Interval(before, after)], "n_total", "tier") == {"rules": 4.0}
    assert buckets([Interval(before, after)], "s") == {"": {float("inf"): 8.0}}


class Sums:
    """What the projector has added up, by bucket, and which buckets were asked for."""

    def __init__(self) -> None:
        self.by_bucket: dict[str, ReadSums] = {}
        self.asked: list[str] = []

    def add(self, minutes_ago: int, side: str, arm: str, *numbers: float) -> None:
        name = bucket_name("hero", SPANS[0], NOW_MS // MINUTE_MS - minutes_ago)
        self.by_bucket[name] = {**self.by_bucket.get(name, {}), "\x1f".join((side, arm, "")): numbers}

    async def placements(self) -> list[str]:
        await asyncio.sleep(0)
        return ["hero"]

    async def read(self, names: Sequence[str]) -> list[ReadSums]:
        await asyncio.sleep(0)
        self.asked += names
        return [self.by_bucket.get(name, {}) for name in names]


async def test_arms_have_share_reward_and_trend_of_the_last_hour() -> None:
    sums = Sums()
    sums.add(40, "", "old", 900.0, 900.0, 100.0, 100.0, 50.0, 25.0)
    sums.add(40, "", "new", 100.0)
    sums.add(5, "wide", "new", 300.0, 300.0, 50.0, 50.0, 0.0, 0.0)
    sums.add(5, "", "old", 100.0)
    sums.add(5, "control", "old", 5_000.0)  # who is held out is shown the default: no choice of a model
    sums.add(90, "", "gone", 5_000.0)
    (board,) = await ArmsBoard(sums.read, sums.placements).boards(NOW_MS)
    assert (board.placement, board.n_decisions) == ("hero", 1_400.0)
    assert [(row.arm, row.n_decisions, row.trend) for row in board.arms] == [
        ("old", 1_000.0, -1),
        ("new", 400.0, 1),
    ]
    old = board.arms[0]
    assert old.share == pytest.approx(5 / 7)
    assert old.reward == 0.5
    assert old.error == 0.0  # each of them was .5


async def test_the_error_of_a_mean_is_told_from_two_outcomes_on() -> None:
    sums = Sums()
    sums.add(40, "", "one", 9.0, 1.0, 1.0, 1.0, 1.0, 1.0)
    sums.add(40, "", "two", 8.0, 2.0, 2.0, 2.0, 1.0, 1.0)
    (board,) = await ArmsBoard(sums.read, sums.placements).boards(NOW_MS)
    one, two = board.arms
    assert (one.reward, one.error) == (1.0, None)
    assert (two.reward, two.error) == (0.5, 0.5), "of 0 and 1: their deviation is .71, over the root of 2"


async def test_few_decisions_tell_no_trend() -> None:
    sums = Sums()
    sums.add(40, "", "a", 900.0)
    sums.add(5, "", "b", 10.0)
    (board,) = await ArmsBoard(sums.read, sums.placements).boards(NOW_MS)
    assert [(row.arm, row.trend, row.reward) for row in board.arms] == [("a", None, None), ("b", None, None)]


async def test_minutes_that_are_settled_are_read_once() -> None:
    sums = Sums()
    sums.add(40, "", "a", 900.0)
    board = ArmsBoard(sums.read, sums.placements)
    await board.boards(NOW_MS)
    assert len(sums.asked) == 61
    sums.asked.clear()
    sums.add(1, "", "a", 100.0)
    (again,) = await board.boards(NOW_MS + 5_000)
    assert len(sums.asked) == 4
    assert again.n_decisions == 1_000.0
    (later,) = await board.boards(NOW_MS + 45 * MINUTE_MS)
    assert later.n_decisions == 100.0  # the minute of 900 is past the hour


async def test_an_answer_in_parts_is_read_whole_and_one_without_end_is_given_up() -> None:
    async def parts(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        asked = await reader.readuntil(b"\r\n\r\n")
        writer.write(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n")
        n = 0
        while asked.startswith(b"GET /metrics") or n < 3:
            part = b'{"status": "ready", "warnings": ["' if n == 0 else b"x" * 1_000 if n == 1 else b'"]}'
            part = part if asked.startswith(b"GET /readyz") else b"y" * 1_000_000
            writer.write(b"%x\r\n%s\r\n" % (len(part), part))
            try:
                await writer.drain()
            except ConnectionError:
                return
            n += 1
        writer.write(b"0\r\n\r\n")
        writer.close()

    server = await asyncio.start_server(parts, "127.0.0.1", 0)
    address = Address("127.0.0.1", server.sockets[0].getsockname()[1])
    async with server, aiohttp.ClientSession() as session:
        ports = InnerPorts(session, 10.0)
        readiness = await ports.readiness(address)
        assert readiness is not None
        assert readiness.warnings == ["x" * 1_000]
        assert await ports.metrics(address) is None

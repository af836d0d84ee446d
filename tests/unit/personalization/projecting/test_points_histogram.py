"""Thresholds of counts are those of the visitors themselves, as closely as there is room, whoever counted whom."""

from __future__ import annotations

import random
from collections.abc import Sequence

import msgspec
import pytest

from personalization.projecting.points_histogram import PointsHistogram

SHARES = (0.01, 0.1, 0.4)


def counted(points: Sequence[float], room: int = 4_096) -> PointsHistogram:
    found = PointsHistogram(room)
    for each in points:
        found.add(each)
    return found


def drawn(kind: str, n_visitors: int = 20_000) -> list[float]:
    rng = random.Random(f"{kind} 7")
    return {
        "whole": lambda: [float(rng.randint(0, 3_000)) for _ in range(n_visitors)],
        "faded": lambda: [50 * 2 ** -rng.expovariate(1) for _ in range(n_visitors)],
        "heavy": lambda: [rng.paretovariate(1.1) for _ in range(n_visitors)],
        "both signs": lambda: [rng.gauss(0, 100) for _ in range(n_visitors)],
    }[kind]()


def share_above(points: Sequence[float], threshold: float | None) -> float:
    return 0.0 if threshold is None else sum(each >= threshold for each in points) / len(points)


@pytest.mark.parametrize("kind", ["whole", "faded", "heavy", "both signs"])
def test_so_large_a_share_at_most_and_hardly_less_is_above(kind: str) -> None:
    points = drawn(kind)
    for share, threshold in counted(points).thresholds(SHARES):
        assert threshold in points
        assert 0.93 * share <= share_above(points, threshold) <= share


def test_as_many_points_as_there_is_room_for_are_told_apart_exactly() -> None:
    points = [2_560.0 + number for number in range(100)] + [float(number) for number in range(900)]
    found = dict(counted(points).thresholds(SHARES))
    assert found == {0.01: 2_650, 0.1: 2_560, 0.4: 600}


@pytest.mark.parametrize("kind", ["whole", "faded", "heavy", "both signs"])
def test_whoever_counted_whom_nobody_counts_twice_or_not(kind: str) -> None:
    points = drawn(kind)
    merged = PointsHistogram(1 << 16)
    for room, part in ((4_096, points[:4_000]), (1_024, points[4_000:9_000]), (2_000, points[9_000:])):
        merged.merge(counted(part, room))
    assert merged.n_visitors == len(points)
    for share, threshold in merged.thresholds((0.05, 0.1, 0.4)):
        assert 0.85 * share <= share_above(points, threshold) <= share, "as coarse as the coarsest of them"


def test_it_is_bounded_whatever_comes() -> None:
    rng = random.Random(3)
    wild = [rng.choice((-1, 1)) * 10 ** rng.uniform(-300, 300) for _ in range(20_000)]
    found = counted([*wild, 0.0, -0.0, 1e308, -1e308, 5e-324], room=128)
    assert len(found.buckets) <= 128
    assert found.n_visitors == 20_005
    again = msgspec.msgpack.decode(msgspec.msgpack.encode(found), type=PointsHistogram)
    assert again == found


def test_of_nobody_there_is_no_threshold() -> None:
    assert counted([]).thresholds([0.1]) == ((0.1, None),)

"""A bucket lets through what it holds and what came back, and no more; a full table forgets what matters least."""

from __future__ import annotations

import random

import pytest

from api.limits.buckets import LONGEST_DEBT_S, Buckets, Pace
from personalization.catalog.rate import Rate

NAME = ("shop", "192.0.2.7")
PACE = Pace(token_s=0.5, bucket_s=5.0)


@pytest.mark.parametrize("seed", range(5))
def test_in_no_length_of_time_more_is_let_through_than_the_bucket_and_what_came_back(seed: int) -> None:
    rng = random.Random(seed)
    buckets, now, admitted = Buckets(), 0.0, []
    for _ in range(3_000):
        now += rng.expovariate(rng.choice((1, 10, 100)))
        if not buckets.wait_s(NAME, PACE, now):
            admitted.append(now)
    for first, began in enumerate(admitted):
        for n, until in enumerate(admitted[first : first + 40], start=1):
            assert n <= 10 + (until - began) / PACE.token_s + 1e-6
    assert len(admitted) > 100


def test_who_comes_back_when_told_is_let_in_and_not_before() -> None:
    buckets = Buckets()
    while not (wait_s := buckets.wait_s(NAME, PACE, 1.0)):
        pass
    assert buckets.wait_s(NAME, PACE, 1.0 + wait_s - 0.01)
    assert not buckets.wait_s(NAME, PACE, 1.0 + wait_s)


def test_what_is_charged_is_owed_but_never_for_long() -> None:
    buckets = Buckets()
    buckets.charge(NAME, PACE, 20, 0.0)
    assert buckets.wait_s(NAME, PACE, 0.0) == pytest.approx(5.5)
    buckets.charge(NAME, PACE, 1_000_000, 0.0)
    assert buckets.wait_s(NAME, PACE, 0.0) <= LONGEST_DEBT_S + PACE.token_s


def test_however_many_come_a_bucket_that_was_used_up_is_remembered_and_the_table_stays_small() -> None:
    buckets = Buckets(most=100)
    while not buckets.wait_s(NAME, PACE, 0.0):
        pass
    for n in range(10_000):
        assert not buckets.wait_s(("shop", f"address {n}"), PACE, 0.0)
    assert len(buckets) == 100
    assert buckets.wait_s(NAME, PACE, 0.0)


@pytest.mark.parametrize(
    ("text", "rate"),
    [
        ("2000 per 10s", Rate(limit=2000, within_ms=10_000)),
        ("600 per minute", Rate(limit=600, within_ms=60_000)),
        ("50/s", Rate(limit=50, within_ms=1_000)),
        ("unlimited", Rate(limit=0)),
        ("50", None),
        ("50 per 10", None),
        ("-1 per 10s", None),
        ("ten per second", None),
    ],
)
def test_rates_are_read_as_people_write_them(text: str, rate: Rate | None) -> None:
    assert Rate.from_short(text) == rate

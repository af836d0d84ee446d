"""Intervals beside figures: they cover what they should, and are by visitor where one has many rows."""

from __future__ import annotations

import math

import numpy as np
import pytest

from operations.simulation.baselines import BEST_FIXED, LOGGED, UNIFORM, baselines
from operations.simulation.play import PlaySettings, Run, order_of, play
from operations.simulation.report import curve, summary
from operations.simulation.table import Table
from operations.simulation.uncertainty import of_orders, weighted
from personalization.catalog.policy_spec import PolicySpec
from personalization.evaluation.intervals import clustered


def test_a_mean_by_cluster_is_that_of_clustered() -> None:
    rng = np.random.default_rng(1)
    values, clusters = rng.random(50), rng.integers(0, 9, 50)
    found = weighted(values, np.ones(50), clusters)
    pairs = [(int((clusters == each).sum()), float(values[clusters == each].sum())) for each in range(9)]
    expected = clustered(float(values.mean()), pairs)
    assert (found.low, found.high) == pytest.approx((expected.low, expected.high))


def test_rows_of_one_visitor_are_no_news() -> None:
    rng = np.random.default_rng(2)
    once = rng.random(200)
    single = weighted(once, np.ones(200), np.arange(200))
    again = weighted(np.repeat(once, 10), np.ones(2_000), np.repeat(np.arange(200), 10))
    assert (again.low, again.high) == pytest.approx((single.low, single.high))


def test_orders_of_the_same_rows_are_no_news_either() -> None:
    rng = np.random.default_rng(3)
    rows = (rng.random(300) < 0.3).astype(np.float64)
    one = of_orders([rows], [np.arange(300)])
    five = of_orders([rows] * 5, [np.arange(300)] * 5)
    assert five.high - five.low >= 0.99 * (one.high - one.low)


def test_intervals_over_orders_cover_what_other_visitors_would_bring() -> None:
    rng = np.random.default_rng(4)
    n_covered = 0
    for _ in range(300):
        eager = rng.choice([0.1, 0.7], 120)
        # What is learned early in an order shifts all that comes later in it.
        orders = [(rng.random(120) < eager + rng.normal(0, 0.05)).astype(np.float64) for _ in range(10)]
        found = of_orders(orders, [np.arange(120)] * 10)
        n_covered += found.low <= 0.4 <= found.high
    # 300 times 95 %: within three standard errors, 3 · √(300 · .05 · .95) = 11.3.
    assert abs(n_covered - 285) <= 11


def test_nothing_is_concluded_of_one_row() -> None:
    assert of_orders([np.ones(1)], [np.zeros(1, np.intp)]).high == math.inf
    assert math.isnan(of_orders([np.zeros(0)], [np.zeros(0, np.intp)]).mean)


def table_of(seed: int, n_visitors: int = 150, n_each: int = 4) -> Table:
    """Logged clicks of visitors who click often or seldom; of two arms one is clicked twice as often."""
    rng = np.random.default_rng(seed)
    visitors = np.repeat(np.arange(n_visitors), n_each)
    eager = np.repeat(rng.choice([0.2, 1.0], n_visitors), n_each)
    shown = rng.integers(0, 2, len(visitors))
    rewards = np.full((len(visitors), 2), np.nan)
    rewards[np.arange(len(visitors)), shown] = rng.random(len(visitors)) < eager * np.where(shown == 1, 0.6, 0.3)
    return Table(
        [{"age": 1.0}] * len(visitors), ("a", "b"), rewards, shown, np.full(len(visitors), 0.5), visitors=visitors
    )


def test_intervals_of_baselines_cover_the_truth() -> None:
    truth = {UNIFORM: 0.6 * 0.45, BEST_FIXED: 0.6 * 0.6, LOGGED: 0.6 * 0.45}
    n_covered = dict.fromkeys(truth, 0)
    for seed in range(200):
        for each in baselines(table_of(seed)):
            n_covered[each.name] += each.value.low <= truth[each.name] <= each.value.high
    # 200 tables, 95 %: within three standard errors of a count, 3 · √(200 · .05 · .95) = 9.2.
    assert all(abs(n - 190) <= 9 for n in n_covered.values()), n_covered


def test_the_best_fixed_arm_is_named() -> None:
    assert [each.arm for each in baselines(table_of(0)) if each.name == BEST_FIXED] == ["b"]


def runs_of(table: Table, orders: int) -> list[Run]:
    settings = PlaySettings(PolicySpec(name="uniform"))
    return [play(table, settings, order_of(len(table), at, orders, False), at) for at in range(orders)]


def test_every_figure_has_its_interval() -> None:
    table = table_of(5)
    figures = summary(table, runs_of(table, 3))
    for name, ends in (("mean_reward", "interval"), ("first_half", "first_half_interval")):
        low, high = figures[ends]
        assert low < figures[name] < high
    by_row = Table(table.contexts, table.arms, table.rewards, table.shown, table.propensity)
    wider, narrower = figures["off_policy"]["ips"], summary(by_row, runs_of(by_row, 3))["off_policy"]["ips"]
    assert wider["value"] == narrower["value"]
    assert wider["high"] - wider["low"] > narrower["high"] - narrower["low"]


def test_the_band_lies_around_the_curve_and_among_rewards() -> None:
    found = curve(runs_of(table_of(6), 2))
    assert (found.low <= found.mean).all()
    assert (found.mean <= found.high).all()
    assert found.low.min() >= 0.0
    assert found.high.max() <= 1.0

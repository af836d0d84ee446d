"""What the runs of one policy add up to: means with intervals, off-policy estimates, a learning curve."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from online_models.reward_model import FloatArray
from operations.simulation.baselines import baselines, clusters_of
from operations.simulation.play import Run
from operations.simulation.table import Table
from operations.simulation.uncertainty import of_orders, weighted
from personalization.evaluation.intervals import Z_95, Interval, normal
from personalization.evaluation.off_policy import Estimate, doubly_robust, ips, snips


@dataclass(frozen=True, slots=True)
class Curve:
    """Mean reward so far.

    Attributes
    ----------
    rows
        Seen so far, shape (m,).
    mean, low, high
        Averaged over orders, and within what one order differs by from another of other rows, 95 %; shape (m,).
    """

    rows: FloatArray
    mean: FloatArray
    low: FloatArray
    high: FloatArray


def summary(table: Table, runs: Sequence[Run]) -> dict[str, Any]:
    """One policy's figures, as printed by ``--json``; an interval without an end has null there."""
    per_order = [_mean(run.accepted) for run in runs]
    halves = np.array([[_mean(half) for half in _halves(run)] for run in runs])
    n = sum(len(run.rewards) for run in runs)
    updates = max(1, sum(run.n_updates for run in runs))
    middle = len(table) // 2
    figures: dict[str, Any] = {
        "mean_reward": float(np.mean(per_order)),
        "interval": interval_ends(_interval(table, runs, slice(None))),
        "sd": float(np.std(per_order, ddof=1)) if len(runs) > 1 else 0.0,
        "per_order": per_order,
        "first_half": float(halves[:, 0].mean()),
        "first_half_interval": interval_ends(_interval(table, runs, slice(middle))),
        "second_half": float(halves[:, 1].mean()),
        "second_half_interval": interval_ends(_interval(table, runs, slice(middle, None))),
        "accepted": int(np.mean([len(run.accepted) for run in runs])),
        "us_per_decision": round(sum(run.decide_s for run in runs) / n * 1e6, 1),
        "us_per_update": round(sum(run.update_s for run in runs) / updates * 1e6, 1),
    }
    if table.logged:
        figures["off_policy"] = off_policy(table, runs)
    return figures


def baseline_figures(table: Table) -> dict[str, dict[str, Any]]:
    """What would have come without learning, by name, as printed by ``--json``."""
    return {
        each.name: {"mean_reward": each.value.mean, "interval": interval_ends(each.value), "rows": each.n_rows}
        | ({"arm": each.arm} if each.arm else {})
        for each in baselines(table)
    }


def interval_ends(interval: Interval) -> list[float | None]:
    """Both ends of an interval; None where it has none."""
    return [each if math.isfinite(each) else None for each in (interval.low, interval.high)]


def off_policy(table: Table, runs: Sequence[Run]) -> dict[str, dict[str, float]]:
    """IPS, SNIPS and doubly robust estimates of the policy's value over all rows, with 95 % intervals."""
    found: dict[str, list[Estimate]] = {"ips": [], "snips": [], "dr": []}
    for run in runs:
        at = run.order
        reward = table.rewards[at, table.shown[at]]
        weight = run.probability_of_shown / table.propensity[at]
        corrected = run.estimate_of_policy + weight * (reward - run.estimate_of_shown)
        ones = np.ones(len(at))
        for name, estimate, values, weights in (
            ("ips", ips(reward, weight), weight * reward, ones),
            ("snips", snips(reward, weight), reward, weight),
            ("dr", doubly_robust(reward, weight, run.estimate_of_policy, run.estimate_of_shown), corrected, ones),
        ):
            if len(table.visitors):  # rows of one visitor are alike
                by_visitor = weighted(values, weights, table.visitors[at])
                estimate = Estimate(estimate.value, (by_visitor.high - by_visitor.mean) / Z_95)
            found[name].append(estimate)
    estimates = {}
    for name, of_runs in found.items():
        value, error = np.mean(of_runs, axis=0)  # the orders share the rows: their errors do not average out
        interval = normal(float(value), float(error))
        estimates[name] = {"value": interval.mean, "low": interval.low, "high": interval.high}
    return estimates


def curve(runs: Sequence[Run], n_points: int = 100) -> Curve:
    """The learning curve, averaged over orders, at up to ``n_points`` points."""
    n = len(runs[0].rewards)
    at = np.unique(np.linspace(max(1, n // n_points), n, n_points).astype(int))
    means, errors = [], []
    known_rewards = np.concatenate([run.accepted for run in runs])
    least, most = (known_rewards.min(), known_rewards.max()) if len(known_rewards) else (0.0, 0.0)
    for run in runs:
        known = ~np.isnan(run.rewards)
        rewards = np.where(known, run.rewards, 0.0)
        count = np.maximum(np.cumsum(known)[at - 1], 1)
        mean = np.cumsum(rewards)[at - 1] / count
        variance = np.maximum(np.cumsum(rewards**2)[at - 1] / count - mean**2, 0.0)
        means.append(mean)
        errors.append(variance / count)
    mean, half = np.mean(means, axis=0), Z_95 * np.sqrt(np.mean(errors, axis=0))
    low, high = np.clip(mean - half, least, mean), np.clip(mean + half, mean, most)  # a mean lies among its values
    return Curve(at.astype(np.float64), mean, low, high)


def _interval(table: Table, runs: Sequence[Run], part: slice) -> Interval:
    """Of the mean reward in one part of every order."""
    visitor = clusters_of(table)
    rewards, clusters = [], []
    for run in runs:
        of_part = run.rewards[part]
        known = ~np.isnan(of_part)
        rewards.append(of_part[known])
        clusters.append(visitor[run.order[part][known]])
    return of_orders(rewards, clusters)


def _halves(run: Run) -> tuple[FloatArray, FloatArray]:
    middle = len(run.rewards) // 2
    first, second = run.rewards[:middle], run.rewards[middle:]
    return first[~np.isnan(first)], second[~np.isnan(second)]


def _mean(values: FloatArray) -> float:
    return float(values.mean()) if len(values) else 0.0

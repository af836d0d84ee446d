"""What the runs of one policy add up to: means over orders, off-policy estimates, a learning curve."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from online_models.reward_model import FloatArray
from operations.simulation.play import Run
from operations.simulation.table import Table
from personalization.evaluation.intervals import normal
from personalization.evaluation.off_policy import Estimate, doubly_robust, ips, snips


def summary(table: Table, runs: Sequence[Run]) -> dict[str, Any]:
    """One policy's figures, as printed by ``--json``."""
    per_order = [_mean(run.accepted) for run in runs]
    halves = np.array([[_mean(half) for half in _halves(run)] for run in runs])
    n = sum(len(run.rewards) for run in runs)
    updates = max(1, sum(run.n_updates for run in runs))
    figures: dict[str, Any] = {
        "mean_reward": float(np.mean(per_order)),
        "sd": float(np.std(per_order, ddof=1)) if len(runs) > 1 else 0.0,
        "per_order": per_order,
        "first_half": float(halves[:, 0].mean()),
        "second_half": float(halves[:, 1].mean()),
        "accepted": int(np.mean([len(run.accepted) for run in runs])),
        "us_per_decision": round(sum(run.decide_s for run in runs) / n * 1e6, 1),
        "us_per_update": round(sum(run.update_s for run in runs) / updates * 1e6, 1),
    }
    if table.logged:
        figures["off_policy"] = off_policy(table, runs)
    return figures


def off_policy(table: Table, runs: Sequence[Run]) -> dict[str, dict[str, float]]:
    """IPS, SNIPS and doubly robust estimates of the policy's value over all rows, with 95 % intervals."""
    found: dict[str, list[Estimate]] = {"ips": [], "snips": [], "dr": []}
    for run in runs:
        at = run.order
        reward = table.rewards[at, table.shown[at]]
        weight = run.probability_of_shown / table.propensity[at]
        found["ips"].append(ips(reward, weight))
        found["snips"].append(snips(reward, weight))
        found["dr"].append(doubly_robust(reward, weight, run.estimate_of_policy, run.estimate_of_shown))
    estimates = {}
    for name, values in found.items():
        value, error = np.mean(values, axis=0)  # the orders share the rows: their errors do not average out
        interval = normal(float(value), float(error))
        estimates[name] = {"value": interval.mean, "low": interval.low, "high": interval.high}
    return estimates


def curve(runs: Sequence[Run], n_points: int = 100) -> tuple[FloatArray, FloatArray]:
    """Rows seen and mean reward so far, averaged over orders, at up to ``n_points`` points."""
    n = len(runs[0].rewards)
    at = np.unique(np.linspace(max(1, n // n_points), n, n_points).astype(int))
    means = []
    for run in runs:
        known = ~np.isnan(run.rewards)
        total, count = np.cumsum(np.where(known, run.rewards, 0.0)), np.cumsum(known)
        means.append(total[at - 1] / np.maximum(count[at - 1], 1))
    return at.astype(np.float64), np.mean(means, axis=0)


def _halves(run: Run) -> tuple[FloatArray, FloatArray]:
    middle = len(run.rewards) // 2
    first, second = run.rewards[:middle], run.rewards[middle:]
    return first[~np.isnan(first)], second[~np.isnan(second)]


def _mean(values: FloatArray) -> float:
    return float(values.mean()) if len(values) else 0.0

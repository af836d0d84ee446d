"""What the default model costs per decision and per update: process CPU, 10 arms × 20 features, rebuilds included.

Each outcome is learned and snapshotted before the next decision, as ``nextbest simulate`` does. Two made sets:
clicks that are linear in the context, and one right arm for each of 30 clusters, which takes landmarks.

    OPENBLAS_NUM_THREADS=1 python -m benchmarks.bandit_cost [--rows 6000] [--rounds 5]
"""

from __future__ import annotations

import argparse
import json
import statistics

import numpy as np

from benchmarks.ending import end_by_sigterm
from operations.simulation.play import PlaySettings, play
from operations.simulation.table import Table
from personalization.catalog.policy_spec import PolicySpec

N_ARMS, N_FEATURES, N_CLUSTERS = 10, 20, 30


def linear(n: int) -> Table:
    """Every arm's click rate is a logistic function of the context."""
    rng = np.random.default_rng(1)
    x = rng.normal(size=(n, N_FEATURES))
    log_odds = 1.5 * x @ rng.normal(size=(N_FEATURES, N_ARMS)) / N_FEATURES**0.5 - 2.0
    return _table(x, (rng.random((n, N_ARMS)) < 1.0 / (1.0 + np.exp(-log_odds))).astype(float))


def clusters(n: int) -> Table:
    """One arm is right in each cluster."""
    rng = np.random.default_rng(2)
    centres, right = rng.normal(size=(N_CLUSTERS, N_FEATURES)), rng.integers(N_ARMS, size=N_CLUSTERS)
    at = rng.integers(N_CLUSTERS, size=n)
    return _table(centres[at] + 0.35 * rng.normal(size=(n, N_FEATURES)), np.eye(N_ARMS)[right[at]])


def _table(x: np.ndarray, rewards: np.ndarray) -> Table:
    contexts = [{f"f{i}": value for i, value in enumerate(row)} for row in x.tolist()]
    return Table(contexts, tuple(f"arm{i}" for i in range(N_ARMS)), rewards)


def main() -> None:
    """Play both sets and print medians over the rounds."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--rows", type=int, default=6_000)
    parser.add_argument("--rounds", type=int, default=5)
    arguments = parser.parse_args()
    for name, table in (("linear", linear(arguments.rows)), ("clusters", clusters(arguments.rows))):
        runs = [
            play(table, PlaySettings(PolicySpec()), np.arange(len(table)), seed) for seed in range(arguments.rounds)
        ]
        report = {
            "set": name,
            "us_per_decision": round(statistics.median(run.decide_s for run in runs) / len(table) * 1e6, 1),
            "us_per_update": round(statistics.median(run.update_s / run.n_updates for run in runs) * 1e6, 1),
            "mean_reward": round(statistics.mean(float(run.accepted.mean()) for run in runs), 4),
        }
        print(json.dumps(report))


if __name__ == "__main__":
    end_by_sigterm()
    main()

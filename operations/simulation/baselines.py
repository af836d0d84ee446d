"""What would have come without any learning: even chances, the one best arm, and what was done."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from operations.simulation.table import Table
from operations.simulation.uncertainty import weighted
from personalization.evaluation.intervals import Interval

UNIFORM, BEST_FIXED, LOGGED = "uniform", "best fixed", "as logged"


@dataclass(frozen=True, slots=True)
class Baseline:
    """What a rule that learns nothing brings a row.

    Attributes
    ----------
    arm
        The arm that it always shows; empty if it has none.
    n_rows
        Rows that it was seen on.
    """

    name: str
    value: Interval
    n_rows: int
    arm: str = ""


def baselines(table: Table) -> list[Baseline]:
    """Even chances, the arm that turned out best of all, and of logged data what was done.

    Which arm is best is known only afterwards, so it is a bar that is hard to reach, not one that could have been
    had. Of logged data each is estimated from the rows it would have agreed with, weighted by their propensities.
    """
    clusters = clusters_of(table)
    n = len(table)
    if not table.logged:
        ones = np.ones(n)
        best = int(table.rewards.mean(axis=0).argmax())
        return [
            Baseline(UNIFORM, weighted(table.rewards.mean(axis=1), ones, clusters), n),
            Baseline(BEST_FIXED, weighted(table.rewards[:, best], ones, clusters), n, table.arms[best]),
        ]
    reward = table.rewards[np.arange(n), table.shown]
    by_arm = [weighted(reward, (table.shown == arm) / table.propensity, clusters) for arm in range(len(table.arms))]
    best = int(np.argmax([each.mean for each in by_arm]))
    n_best = int((table.shown == best).sum())
    return [
        Baseline(UNIFORM, weighted(reward, 1.0 / table.propensity, clusters), n),
        Baseline(BEST_FIXED, by_arm[best], n_best, table.arms[best]),
        Baseline(LOGGED, weighted(reward, np.ones(n), clusters), n),
    ]


def clusters_of(table: Table) -> np.ndarray:
    """The visitor of each row: its own where nobody says whose it is."""
    return table.visitors if len(table.visitors) else np.arange(len(table))

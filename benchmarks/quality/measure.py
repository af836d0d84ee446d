"""One run, measured."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from benchmarks.quality.cells import FILE_ORDER, Cell
from benchmarks.quality.contenders import Contender
from benchmarks.quality.data_sets import DataSet
from online_models.conversion.backtest import progressive
from operations.history import History, read_history
from operations.simulation.play import Run, order_of
from operations.simulation.table import Table


def load(data_set: DataSet, folder: Path, limit: int | None) -> Table | History:
    """The rows of a data set."""
    if data_set.kind == "conversion":
        return read_history(folder / data_set.file, data_set.option("--label"), limit)
    return data_set.table(folder, limit)


def measure(
    data_set: DataSet, contender: Contender, rows: Table | History, index: int, orders: int, limit: int | None
) -> Cell:
    """Play the ``index``-th of ``orders`` orders; conversions are played in file order, once."""
    if isinstance(rows, History):
        assert contender.classifier is not None
        scored = progressive(contender.classifier(), rows.rows, rows.labels, lambda n: None)
        figures = {"auc": float(scored.scores.auc.value)}
        cost = round(scored.cpu_us_per_event, 1)
        return _cell(data_set, contender, FILE_ORDER, limit, len(rows.rows), figures, 0.0, cost)
    assert contender.play is not None
    order = order_of(len(rows), index, orders, data_set.keep_halves)
    run = contender.play(rows, data_set, order, index)
    return _cell(
        data_set,
        contender,
        FILE_ORDER if orders == 1 else index,
        limit,
        len(rows),
        figures_of(run),
        round(run.decide_s / len(order) * 1e6, 1),
        round(run.update_s / max(1, run.n_updates) * 1e6, 1),
    )


def figures_of(run: Run) -> dict[str, float]:
    """Mean reward of a run and of its halves; of logged data the accepted rows' alone."""
    half = len(run.rewards) // 2
    parts = {"mean_reward": run.rewards, "first_half": run.rewards[:half], "second_half": run.rewards[half:]}
    return {name: float(np.nanmean(part)) for name, part in parts.items()}


def _cell(
    data_set: DataSet,
    contender: Contender,
    order: int,
    limit: int | None,
    n_rows: int,
    figures: dict[str, float],
    decide_us: float,
    update_us: float,
) -> Cell:
    return Cell(
        data_set.name,
        contender.name,
        contender.stamp,
        order,
        limit or 0,
        n_rows,
        figures,
        decide_us,
        update_us,
    )


def baselines(data_set: DataSet, rows: Table | History) -> dict[str, dict[str, float]]:
    """What choosing by chance, and the best single arm for all (known afterwards), bring; exact, without a run.

    Of the rows in file order: halves are halves of the visitors only where rows stay in their half.
    """
    if isinstance(rows, History):
        return {}
    rewards = rows.rewards
    n = len(rewards)
    parts = {"mean_reward": slice(None), "first_half": slice(None), "second_half": slice(None)}
    if data_set.keep_halves:
        parts |= {"first_half": slice(0, n // 2), "second_half": slice(n // 2, n)}
    return {
        "uniform": {name: float(np.nanmean(np.nanmean(rewards[part], axis=0))) for name, part in parts.items()},
        "best fixed arm": {name: float(np.nanmean(rewards[part], axis=0).max()) for name, part in parts.items()},
    }

"""``nextbest backtest``: how well would the conversion model have done on this history?"""

from __future__ import annotations

import json
import math
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any

import click
import numpy as np
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn
from rich.table import Column, Table

from cli.reading_options import ColumnsType, reading_of, reading_options, say
from cli.terminal import cell
from online_models.conversion.backtest import (
    IMPORTANCE_REPEATS,
    Importance,
    Run,
    permutation_importance,
    progressive,
    rolling_origin,
    shuffles,
)
from online_models.conversion.backtest import Progress as Tick
from online_models.conversion.metrics import Scorecard
from online_models.conversion.registry import make_conversion_model
from online_models.reward_model import FloatArray
from operations.history import History, read_history
from personalization.evaluation.intervals import Interval, normal


@click.command()
@click.argument("file", metavar="FILE", type=click.Path(exists=True, dir_okay=False, path_type=Path))
@click.option("--label", required=True, metavar="COLUMN", help="Column that says who converted: 1 or 0, yes or no.")
@click.option("--model", default="default", metavar="NAME", help="default, or a River classifier's dotted path.")
@click.option("--shuffle", type=click.IntRange(0), default=0, metavar="N", help="Means over N shuffled orders.")
@click.option("--folds", type=click.IntRange(1, 100), metavar="K", help="Rolling-origin validation besides.")
@click.option("--importance", is_flag=True, help="Permutation importance of every column, with intervals.")
@click.option("--ignore", type=ColumnsType(), default=(), metavar="COLUMN,…", help="Columns not to predict from.")
@click.option("--limit", type=click.IntRange(2), metavar="N", help="Only the first N rows.")
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
@reading_options
def backtest(
    file: Path,
    label: str,
    model: str,
    shuffle: int,
    folds: int | None,
    importance: bool,
    ignore: tuple[str, ...],
    limit: int | None,
    as_json: bool,
    **reading: Any,
) -> None:
    """Predict each row of a history, then learn it: what a conversion model would have been worth live.

    Rows are visitors in time order, in a table as people have them: separated by commas, semicolons, tabs or bars,
    with points or decimal commas, in any common encoding, gzipped or not, with or without names of columns. What
    was found is said. Numbers are numeric columns, dates are time of year, weekday and hour, anything else is a
    category, an empty cell is missing. Ids, free text and what gives the label away are left out.
    """
    make = partial(make_conversion_model, model, "--model")
    make()
    history = read_history(file, label, limit, ignore, reading_of(reading))
    say(history.notes)
    report: dict[str, Any] = {}
    with _progress("rows", len(history.rows) * max(1, shuffle)) as tick:
        if shuffle:
            orders = [*shuffles(len(history.rows), shuffle)]
            runs = [
                progressive(make(), [history.rows[i] for i in order], history.labels[order], tick)
                for order in orders
            ]
            report = _mean_report(
                [_run_report(run, history.labels[order]) for run, order in zip(runs, orders, strict=True)]
            )
        else:
            report = _run_report(progressive(make(), history.rows, history.labels, tick), history.labels)
    if folds is not None:
        if len(history.rows) < 2 * (folds + 1):
            raise click.BadParameter(
                f"{len(history.rows)} rows are too few for {folds} folds", param_hint="--folds"
            )
        with _progress("folds", len(history.rows)) as tick:
            cards = rolling_origin(make, history.rows, history.labels, folds, tick)
        report["folds"] = [_card_report(card) for card in cards]
    if importance:
        report["importance"] = [_importance_report(item) for item in _importances(make, history)]
    report["notes"] = list(history.notes)
    if as_json:
        click.echo(json.dumps(report, allow_nan=False))
    else:
        _show(report, model)


def _importances(make: Any, history: History) -> list[Importance]:
    features = {name for row in history.rows for name in row}
    n = len(history.rows)
    held = min(n - n * 2 // 3, 4_000)
    with _progress("importance", n * 2 // 3 + held * len(features)) as tick:
        return permutation_importance(make, history.rows, history.labels, tick)


@contextmanager
def _progress(what: str, total: int) -> Iterator[Tick]:
    """A bar on stderr where somebody looks; nothing in a pipe."""
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    with Progress(*columns, console=Console(stderr=True), transient=True) as progress:
        task = progress.add_task(what, total=total)
        yield lambda n: progress.advance(task, n)


def _number(value: float, digits: int = 6) -> float | None:
    """A finite number for JSON; None where there is none, e.g. the AUC of a stretch with one outcome."""
    return round(float(value), digits) if math.isfinite(value) else None


def _card_report(card: Scorecard) -> dict[str, Any]:
    return {
        "auc": _number(card.auc.value),
        "auc_low": _number(card.auc.low),
        "auc_high": _number(card.auc.high),
        "log_loss": _number(card.log_loss),
        "calibration_error": _number(card.calibration.error),
        "calibration_floor": _number(card.calibration.floor),
        "rows": card.rows,
    }


def _run_report(run: Run, labels: FloatArray) -> dict[str, Any]:
    loss = _mean_loss(labels, run.probabilities)
    beside = _mean_loss(labels, shares_so_far(labels))
    return {
        **_card_report(run.scores),
        "log_loss_low": _number(loss.low),
        "log_loss_high": _number(loss.high),
        "share": _number(float(labels.mean())),
        "baseline_log_loss": _number(beside.mean),
        "baseline_log_loss_low": _number(beside.low),
        "baseline_log_loss_high": _number(beside.high),
        "us_per_event": _number(run.cpu_us_per_event, 1),
    }


def shares_so_far(labels: FloatArray) -> FloatArray:
    """What somebody predicts who knows of nothing but how many have converted before, shape (n,).

    >>> shares_so_far(np.array([1.0, 0.0, 0.0])).round(3).tolist()
    [0.5, 0.75, 0.5]
    """
    before = np.cumsum(labels) - labels
    shares: FloatArray = (before + 0.5) / (np.arange(len(labels)) + 1.0)
    return shares


def _mean_loss(labels: FloatArray, probabilities: FloatArray) -> Interval:
    """The log loss and its interval over rows."""
    p = np.clip(probabilities, 1e-9, 1.0 - 1e-9)
    losses = -np.where(labels > 0.5, np.log(p), np.log1p(-p))
    return normal(float(losses.mean()), float(losses.std() / len(losses) ** 0.5))


def _mean_report(reports: list[dict[str, Any]]) -> dict[str, Any]:
    means: dict[str, Any] = {}
    for name in reports[0]:
        values = [report[name] for report in reports]
        means[name] = None if None in values else _number(float(np.mean(values)))
    aucs = [report["auc"] for report in reports]
    means["rows"] = reports[0]["rows"]
    means["per_order"] = aucs
    known = [value for value in aucs if value is not None]
    means["auc_sd"] = _number(float(np.std(known, ddof=1))) if len(known) > 1 else None
    return means


def _importance_report(item: Importance) -> dict[str, Any]:
    return {
        "feature": item.feature,
        "auc_loss": _number(item.auc_loss),
        "low": _number(item.low),
        "high": _number(item.high),
    }


def _show(report: dict[str, Any], model: str) -> None:
    """For people."""
    console = Console(highlight=False)
    console.print(
        f"{report['rows']:,} rows, {report['share']:.1%} converted; model {cell(model)}, "
        f"{report['us_per_event']:.0f} µs CPU a row",
        soft_wrap=True,
    )
    table = Table("", box=None, pad_edge=False)
    for heading in ("model", "95 %", "share so far", "95 %"):
        table.add_column(heading, justify="right", no_wrap=True)
    table.add_row("AUC", f"[bold]{_text(report['auc'])}[/]", _between(report, "auc"), "0.5000", "")
    table.add_row(
        "log loss",
        _text(report["log_loss"]),
        _between(report, "log_loss"),
        _text(report["baseline_log_loss"]),
        _between(report, "baseline_log_loss"),
    )
    table.add_row("calibration error", _text(report["calibration_error"]), "", "", "")
    table.add_row("  by sampling alone", _text(report["calibration_floor"]), "", "", "")
    console.print(table)
    if "folds" in report:
        table = Table(box=None, pad_edge=False)
        for heading in ("fold", "rows", "AUC", "95 %", "log loss", "calibration", "by sampling"):
            table.add_column(heading, justify="right", no_wrap=True)
        for i, fold in enumerate(report["folds"], 1):
            table.add_row(
                str(i),
                f"{fold['rows']:,}",
                _text(fold["auc"]),
                _between(fold, "auc"),
                _text(fold["log_loss"]),
                _text(fold["calibration_error"]),
                _text(fold["calibration_floor"]),
            )
        console.print(table)
    if "importance" in report:
        table = Table(
            "feature",
            Column("AUC lost", justify="right"),
            Column("95 %", justify="right", no_wrap=True),
            box=None,
            pad_edge=False,
            title_justify="left",
            title=f"shuffled {IMPORTANCE_REPEATS} times, last third of the rows",
        )
        for item in report["importance"]:
            table.add_row(
                cell(item["feature"]), _text(item["auc_loss"]), f"{_text(item['low'])} to {_text(item['high'])}"
            )
        console.print(table)


def _text(value: float | None) -> str:
    return "-" if value is None else f"{value:.4f}"


def _between(report: dict[str, Any], name: str) -> str:
    return f"{_text(report[f'{name}_low'])} to {_text(report[f'{name}_high'])}"

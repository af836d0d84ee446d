"""``nextbest evaluate``: what another policy would have brought on the decisions that were logged."""

from __future__ import annotations

import asyncio
import time
from datetime import UTC, datetime
from pathlib import Path

import click
from rich.console import Console
from rich.table import Table

from cli.replay_target import target
from cli.terminal import cell, json_line
from config.settings import Settings
from installation.opened import open_installation
from operations.evaluating.asked import evaluated
from operations.evaluating.evaluation import Evaluation, Value, Weights
from operations.moments import moment_ms

NOTHING_TO_SAY = 3
"""Exit code where data are missing or thin: no number, one sentence."""

_WIDE = 200
_NAMES = {
    "ips": "IPS: weighted by 1 / probability",
    "snips": "SNIPS: the same, divided by the weights",
    "dr": "DR: a model, corrected by what came",
    "switch": "switch-DR: uncorrected where one weight is large",
}


@click.command(short_help="What another policy would have brought on the decisions that were logged.")
@click.argument("placement")
@click.option(
    "--policy",
    required=True,
    metavar="POLICY",
    help="As the catalog names it (thompson, 'thompson:{\"scale\": 0.5}', uniform, fixed:CONTENT, …), a variant of "
    "the placement, or `logged`: what was in force.",
)
@click.option("--since", default="", metavar="WHEN", help="Only decisions since then: 7d, or 2026-05-01 (UTC).")
@click.option("--segment", default="", metavar="NAME", help="Only visitors who were in this segment.")
@click.option(
    "--weights",
    type=click.Choice(["even", "stretches", "whole"]),
    default="stretches",
    show_default=True,
    help="How decisions count: all alike, or less where the log says little of the policy, compared within "
    "stretches of the log, or over the whole of it (narrower; right only if rewards do not change in time).",
)
@click.option(
    "--data-dir",
    type=click.Path(path_type=Path, file_okay=False),
    help="Data folder of a `nextbest up`, running or stopped: its Redis is started meanwhile.",
)
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object instead.")
def evaluate(
    placement: str, policy: str, since: str, segment: str, weights: Weights, data_dir: Path | None, as_json: bool
) -> None:
    """Estimate what a policy would have brought in PLACEMENT, from decisions that were logged with probabilities.

    Intervals are clustered by visitor. Where data are missing or thin, one sentence says what is missing and what
    to do; the exit code is 3 then, and no number is printed. How to read it: docs/evaluating.md.
    """
    since_ms = moment_ms("--since", since, time.time_ns() // 1_000_000) if since else 0
    with target(Settings.from_environment(), data_dir) as settings:
        told = asyncio.run(_evaluated(settings, placement, policy, since_ms, segment, weights))
    if as_json:
        click.echo(json_line(told))
    elif not told.missing:
        _show(told)
    if told.missing:
        click.echo(f"nextbest: {told.missing}", err=True)
        raise SystemExit(NOTHING_TO_SAY)


async def _evaluated(
    settings: Settings, placement: str, policy: str, since_ms: int, segment: str, weights: Weights
) -> Evaluation:
    async with open_installation(settings) as opened:
        return await evaluated(opened, placement, policy, since_ms=since_ms, segment=segment, weights=weights)


def _show(told: Evaluation) -> None:
    console = Console(highlight=False)
    if not console.is_terminal:
        console.width = _WIDE  # in a file or a pipe nothing is cut off, nor broken over lines
    console.print(cell(told.words))
    of_whom = f" in {told.segment}" if told.segment else ""
    console.print(
        cell(
            f"{told.n_decisions:,} decisions for {told.n_units:,} visitors{of_whom}, "
            f"{_day(told.since_ms)} to {_day(told.until_ms)}."
        )
    )
    table = Table("", "a decision", "95 % interval", box=None, pad_edge=False)
    rows = {"in force": told.logged, **{_NAMES[name]: value for name, value in told.estimates.items()}}
    if told.estimator == "dr":
        rows["difference, by DR"] = told.difference
    for name, value in rows.items():
        if value is not None:
            table.add_row(name, f"{value.value:.4g}", _interval(value))
    console.print(table)
    console.print(
        f"Tells as much as {told.effective_size:,.0f} decisions of its own; the largest weight has "
        f"{told.largest_weight_share:.1%} of all; {told.unsupported_share:.1%} of decisions have no support; "
        f"both policies agree in {told.overlap:.0%}."
    )
    if told.left_out:
        left_out = ", ".join(f"{n:,} {why}" for why, n in sorted(told.left_out.items()))
        console.print(f"Left out: {left_out}.")


def _interval(value: Value) -> str:
    return f"{value.low:.4g} to {value.high:.4g}"


def _day(at_ms: int) -> str:
    return datetime.fromtimestamp(at_ms / 1000, UTC).strftime("%Y-%m-%d %H:%M")

"""``nextbest simulate``: what would it have learned on this history? The same code as live, on a file."""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from pathlib import Path
from typing import Any

import click
import orjson
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn
from rich.table import Column
from rich.table import Table as RichTable

from cli.reading_options import ColumnsType, reading_of, reading_options, say
from cli.terminal import cell
from online_models.registry import check_model
from operations.simulation.baselines import baselines
from operations.simulation.play import PlaySettings, Run, order_of, play
from operations.simulation.plot import check_kind, plot
from operations.simulation.policy_text import policy_of
from operations.simulation.report import baseline_figures, curve, summary
from operations.simulation.table import Columns, Table, by_label, by_log, by_rewards
from personalization.catalog.policy_spec import ModelSpec

_WIDE = 200


class RewardRange(click.ParamType):
    """``LO:HI``."""

    name = "lo:hi"

    def convert(
        self, value: object, param: click.Parameter | None, ctx: click.Context | None
    ) -> tuple[float, float]:
        """Both ends, as numbers."""
        if isinstance(value, tuple):
            return value
        low, _, high = str(value).partition(":")
        try:
            ends = float(low), float(high)
        except ValueError:
            self.fail(f"{value!r} is not LO:HI, e.g. 0:1 or -10:10", param, ctx)
        if not ends[0] < ends[1] < float("inf") or ends[0] == float("-inf"):
            self.fail(f"{value!r} is no interval", param, ctx)
        return ends


@click.command()
@click.argument("file", type=click.Path(exists=True, dir_okay=False, path_type=Path))
@click.option("--label", help="Column naming the right arm: choosing it brings 1, another 0.")
@click.option(
    "--rewards", type=ColumnsType(), help="Columns, by commas: each is an arm and holds what it would bring."
)
@click.option("--reward-range", type=RewardRange(), default="0:1", show_default=True, help="Least and most reward.")
@click.option("--shown", help="Logged data: column naming the arm that was shown.")
@click.option("--reward", help="Logged data: column with what it brought.")
@click.option("--propensity", help="Logged data: column with its probability; without it all were equally likely.")
@click.option("--visitor", help="Column that says whose a row is: intervals are by visitor, not by row.")
@click.option(
    "--ignore",
    type=ColumnsType(),
    default=(),
    help="Columns, by commas, that are no context, e.g. what is only known afterwards.",
)
@click.option(
    "--policy",
    "policies",
    multiple=True,
    help="Policy to play, with parameters as in 'thompson:{scale: 2}'; repeatable. The shipped default if none.",
)
@click.option("--model", default="default", show_default=True, help="Reward model; any River class by dotted name.")
@click.option(
    "--orders", type=click.IntRange(1), default=5, show_default=True, help="Shuffled orders; 1: file order."
)
@click.option("--keep-halves", is_flag=True, help="Shuffle within each half of the file.")
@click.option("--delay", type=click.IntRange(0), default=0, help="A reward arrives so many decisions later.")
@click.option(
    "--update-every", type=click.IntRange(1), default=1, help="A snapshot is published every so many updates."
)
@click.option("--limit", type=click.IntRange(1), help="Only the first so many rows.")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object.")
@click.option("--plot", "plot_file", type=click.Path(path_type=Path), help="Learning curves, .html, .png or .svg.")
@reading_options
def simulate(
    file: Path,
    label: str | None,
    rewards: tuple[str, ...] | None,
    reward_range: tuple[float, float],
    shown: str | None,
    reward: str | None,
    propensity: str | None,
    visitor: str | None,
    ignore: tuple[str, ...],
    policies: tuple[str, ...],
    model: str,
    orders: int,
    keep_halves: bool,
    delay: int,
    update_every: int,
    limit: int | None,
    as_json: bool,
    plot_file: Path | None,
    **reading: Any,
) -> None:
    """Play policies over the rows of a CSV file, learning as they go.

    Beside them stands what would have come without learning.

    The file is a table as people have them: separated by commas, semicolons, tabs or bars, with points or decimal
    commas, in any common encoding, gzipped or not, with or without names of columns. What was found is said.
    Columns that are not named by an option are the visitor's context: numbers are numeric, dates are time of year,
    weekday and hour, everything else is a category, an empty cell is missing. Ids, free text and what gives the
    answer away are left out. Nothing is known before it is seen.
    """
    if plot_file is not None:
        check_kind(plot_file)
    names = tuple(dict.fromkeys(policies)) or ("default",)
    for name in names:
        policy_of(name)
    check_model(model, "--model")
    table = _load(
        file,
        label,
        rewards,
        shown,
        reward,
        propensity,
        Columns(ignore, visitor, reading_of(reading), limit, reward_range),
    )
    say(table.notes)
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    runs: dict[str, list[Run]] = {}
    with Progress(*columns, console=Console(stderr=True), transient=True) as progress:
        for name in names:
            spec = policy_of(name, table.arms)
            settings = PlaySettings(spec, ModelSpec(model), reward_range, delay, update_every)
            task = progress.add_task(cell(name), total=orders * len(table))
            runs[name] = []
            for index in range(orders):
                order = order_of(len(table), index, orders, keep_halves)
                runs[name].append(play(table, settings, order, index, partial(progress.advance, task)))
    result = {
        "rows": len(table),
        "arms": list(table.arms),
        "policies": {name: summary(table, played) for name, played in runs.items()},
        "baselines": baseline_figures(table),
        "notes": list(table.notes),
    }
    if plot_file is not None:
        plot(plot_file, file.name, {name: curve(played) for name, played in runs.items()}, baselines(table))
    if as_json:
        click.echo(orjson.dumps(result).decode())
    else:
        _show(result)


def _show(result: Mapping[str, Any]) -> None:
    """For people: a line for each figure, with its interval beside it."""
    shown = RichTable(Column("policy", overflow="fold"), box=None, pad_edge=False)
    for heading in ("reward", "95 %", "rows", "µs decide", "µs update"):
        shown.add_column(heading, justify="right", no_wrap=True)
    n = result["rows"]
    for name, figures in result["policies"].items():
        costs = (f"{figures['us_per_decision']:.0f}", f"{figures['us_per_update']:.0f}")
        shown.add_row(
            f"[bold]{cell(name)}[/]",
            f"[bold]{figures['mean_reward']:.4f}[/]",
            _between(figures["interval"]),
            f"{figures['accepted']:,}",
            *costs,
        )
        for half in ("first", "second"):
            ends = _between(figures[f"{half}_half_interval"])
            shown.add_row(f"  {half} half", f"{figures[f'{half}_half']:.4f}", ends, "", "", "")
        for estimator, value in figures.get("off_policy", {}).items():
            ends = _between([value["low"], value["high"]])
            shown.add_row(f"  {estimator}", f"{value['value']:.4f}", ends, f"{n:,}", "", "")
    shown.add_row("[dim]without learning[/]")
    for name, figures in result["baselines"].items():
        called = f"{name}: {figures['arm']}" if "arm" in figures else name
        ends = _between(figures["interval"])
        shown.add_row(f"  {cell(called)}", f"{figures['mean_reward']:.4f}", ends, f"{figures['rows']:,}", "", "")
    console = Console(highlight=False)
    if not console.is_terminal:
        console.width = _WIDE  # in a file or a pipe nothing is cut off, nor broken over lines
    console.print(shown)


def _between(ends: list[float | None]) -> str:
    low, high = ends
    return "-" if low is None or high is None else f"{low:.4f} to {high:.4f}"


def _load(
    file: Path,
    label: str | None,
    rewards: tuple[str, ...] | None,
    shown: str | None,
    reward: str | None,
    propensity: str | None,
    columns: Columns,
) -> Table:
    if sum(each is not None for each in (label, rewards, shown)) != 1:
        raise click.UsageError("say what the rows hold: one of --label, --rewards, or --shown with --reward")
    if shown is not None:
        if reward is None:
            raise click.UsageError("--shown needs --reward")
        return by_log(file, shown, reward, propensity, columns)
    if reward is not None or propensity is not None:
        raise click.UsageError("--reward and --propensity belong to --shown")
    if label is not None:
        return by_label(file, label, columns)
    if not rewards:
        raise click.UsageError("--rewards names no column")
    return by_rewards(file, rewards, columns)

"""``nextbest simulate``: what would it have learned on this history? The same code as live, on a file."""

from __future__ import annotations

from functools import partial
from pathlib import Path

import click
import orjson
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn
from rich.table import Column
from rich.table import Table as RichTable

from online_models.registry import check_model, check_policy
from operations.simulation.play import PlaySettings, Run, order_of, play
from operations.simulation.plot import check_kind, plot
from operations.simulation.report import curve, summary
from operations.simulation.table import Table, by_label, by_log, by_rewards
from personalization.catalog.policy_spec import ModelSpec, PolicySpec


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
@click.option("--rewards", help="Columns, by commas: each is an arm and holds what it would bring.")
@click.option("--reward-range", type=RewardRange(), default="0:1", show_default=True, help="Least and most reward.")
@click.option("--shown", help="Logged data: column naming the arm that was shown.")
@click.option("--reward", help="Logged data: column with what it brought.")
@click.option("--propensity", help="Logged data: column with its probability; without it all were equally likely.")
@click.option("--ignore", help="Columns, by commas, that are no context, e.g. what is only known afterwards.")
@click.option(
    "--policy", "policies", multiple=True, help="Policy to play; repeatable. The shipped default if none."
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
@click.option("--plot", "plot_file", type=click.Path(path_type=Path), help="Learning curve, .html or .png.")
def simulate(
    file: Path,
    label: str | None,
    rewards: str | None,
    reward_range: tuple[float, float],
    shown: str | None,
    reward: str | None,
    propensity: str | None,
    ignore: str | None,
    policies: tuple[str, ...],
    model: str,
    orders: int,
    keep_halves: bool,
    delay: int,
    update_every: int,
    limit: int | None,
    as_json: bool,
    plot_file: Path | None,
) -> None:
    """Play policies over the rows of a CSV file, learning as they go.

    The file may be gzipped. Columns that are not named by an option are the visitor's context: numbers are
    numeric, everything else is a category, an empty cell is missing. Nothing is known before it is seen.
    """
    if plot_file is not None:
        check_kind(plot_file)
    table = _load(file, label, rewards, shown, reward, propensity, limit, _columns(ignore))
    names = policies or ("default",)
    specs = [PolicySpec(name=name) for name in names]
    for spec in specs:
        check_policy(spec, "--policy")
    check_model(model, "--model")
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    runs: dict[str, list[Run]] = {}
    with Progress(*columns, console=Console(stderr=True), transient=True) as progress:
        for name, spec in zip(names, specs, strict=True):
            settings = PlaySettings(spec, ModelSpec(model), reward_range, delay, update_every)
            task = progress.add_task(name, total=orders * len(table))
            runs[name] = []
            for index in range(orders):
                order = order_of(len(table), index, orders, keep_halves)
                runs[name].append(play(table, settings, order, index, partial(progress.advance, task)))
    summaries = {name: summary(table, played) for name, played in runs.items()}
    result = {"rows": len(table), "arms": list(table.arms), "policies": summaries}
    if plot_file is not None:
        plot(plot_file, file.name, {name: curve(played) for name, played in runs.items()})
    if as_json:
        click.echo(orjson.dumps(result).decode())
        return
    shown_table = RichTable(Column("policy", no_wrap=True))
    for heading in ("reward", "± sd", "1st half", "2nd half", "rows", "µs decide", "µs update"):
        shown_table.add_column(heading, justify="right")
    for name, figures in summaries.items():
        shown_table.add_row(
            name,
            f"{figures['mean_reward']:.4f}",
            f"{figures['sd']:.4f}",
            f"{figures['first_half']:.4f}",
            f"{figures['second_half']:.4f}",
            f"{figures['accepted']:,}",
            f"{figures['us_per_decision']:.0f}",
            f"{figures['us_per_update']:.0f}",
        )
        for estimator, value in figures.get("off_policy", {}).items():
            interval = f"{value['low']:.4f} to {value['high']:.4f}"
            shown_table.add_row(f"  {estimator}", f"{value['value']:.4f}", "", interval, "", "", "", "")
    Console().print(shown_table)


def _load(
    file: Path,
    label: str | None,
    rewards: str | None,
    shown: str | None,
    reward: str | None,
    propensity: str | None,
    limit: int | None,
    ignored: list[str],
) -> Table:
    if sum(each is not None for each in (label, rewards, shown)) != 1:
        raise click.UsageError("say what the rows hold: one of --label, --rewards, or --shown with --reward")
    if shown is not None:
        if reward is None:
            raise click.UsageError("--shown needs --reward")
        return by_log(file, shown, reward, propensity, limit, ignored)
    if reward is not None or propensity is not None:
        raise click.UsageError("--reward and --propensity belong to --shown")
    if label is not None:
        return by_label(file, label, limit, ignored)
    assert rewards is not None
    return by_rewards(file, _columns(rewards), limit, ignored)


def _columns(names: str | None) -> list[str]:
    return [column.strip() for column in names.split(",")] if names else []

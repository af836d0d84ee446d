"""``nextbest challengers``, ``promote`` and ``demote``: policies on trial beside those in force."""

from __future__ import annotations

import asyncio
from typing import Literal

import click
import msgspec
from rich.console import Console
from rich.table import Table

from cli.terminal import cell, json_line
from config.settings import Settings
from installation.audit import recorded
from installation.opened import open_catalogs, open_installation
from operations.standings import change_standing, contests
from personalization.evaluation.contest import Contest
from state.read_models import ReadModels


@click.command("challengers", short_help="Policies on trial, and what they would have brought.")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object per line instead.")
def challengers(as_json: bool) -> None:
    """Show, of each placement with a challenger, what the policy on trial would have brought."""
    found = asyncio.run(_contests(Settings.from_environment()))
    if as_json:
        for each in found:
            click.echo(json_line(msgspec.to_builtins(each)))
        return
    if not found:
        click.echo("No placement has a challenger. Write `challenger: thompson` beside a placement's policy.")
        return
    console = Console(highlight=False)
    table = Table("placement", "in force", "on trial", "alike", "brought", "would have", box=None, pad_edge=False)
    for each in found:
        compared = each.found
        match = "–" if compared.match_rate is None else f"{compared.match_rate:.0%}"
        table.add_row(*map(cell, (each.placement, each.in_force, each.on_trial)), match, *map(_mean, _means(each)))
    console.print(table)
    for each in found:
        console.print(cell(f"{each.placement}: {each.words}"))


@click.command("promote", short_help="Put a placement's challenger in force.")
@click.argument("placement")
def promote(placement: str) -> None:
    """Put the challenger of PLACEMENT in force now; the policy before it is on trial from then on.

    It stays so, whatever is published later, until the catalog names other policies there.
    """
    _change(placement, "promoted")


@click.command("demote", short_help="Take a placement's challenger back.")
@click.argument("placement")
def demote(placement: str) -> None:
    """Take the challenger of PLACEMENT back: the policy that the catalog names decides again."""
    _change(placement, "demoted")


def _change(placement: str, becomes: Literal["promoted", "demoted"]) -> None:
    version = asyncio.run(_changed(Settings.from_environment(), placement, becomes))
    click.echo(f"Version {version} is in force: the challenger of {placement} is {becomes}.")


async def _changed(settings: Settings, placement: str, becomes: Literal["promoted", "demoted"]) -> int:
    async with (
        open_catalogs(settings.redis, settings.namespace) as store,
        recorded(settings, store.redis, f"policy_{becomes}", f"placement:{placement}"),
    ):
        return await change_standing(store, placement, becomes)


async def _contests(settings: Settings) -> list[Contest]:
    async with open_installation(settings, reads_data=False) as opened:
        return await contests(opened.catalogs, ReadModels(opened.redis, opened.keys))


def _means(contest: Contest) -> tuple[float | None, float | None]:
    return contest.found.in_force, contest.found.on_trial


def _mean(value: float | None) -> str:
    return "–" if value is None else f"{value:.4g}"

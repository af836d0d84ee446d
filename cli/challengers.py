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
from operations.standings import Contest, change_standing, contests
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
        console.print(cell(f"{each.placement}: {_said(each)}"))


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


def _said(contest: Contest) -> str:
    """How it stands, as a sentence.

    >>> from personalization.evaluation.policy_trial import PolicyTrial
    >>> numbers = {"n_decisions": 9, "match_rate": 0.5, "n_outcomes": 9, "effective": 5}
    >>> found = PolicyTrial(difference=0.1, low=0.05, high=0.15, **numbers)
    >>> said = {"placement": "hero", "in_force": "default", "on_trial": "thompson", "since_ms": 0, "why": ""}
    >>> _said(Contest(standing="on trial", found=found, **said))
    'thompson would have brought 0.1 more a decision, between 0.05 and 0.15 (9 outcomes).'
    """
    found, rest = contest.found, f" It is {contest.standing} {contest.why}." if contest.why else ""
    if found.difference is None or found.low is None or found.high is None:
        return f"{contest.on_trial} cannot be compared yet: {found.missing}.{rest}"
    if found.match_rate == 1.0:
        return (
            f"{contest.on_trial} would have chosen just as {contest.in_force} did, in every decision so far.{rest}"
        )
    if found.low <= 0.0 <= found.high:
        between = f"the difference lies between {found.low:.4g} and {found.high:.4g}"
        return f"{contest.on_trial} would have brought neither clearly more nor less: {between}.{rest}"
    more, ends = ("more", (found.low, found.high)) if found.low > 0.0 else ("less", (-found.high, -found.low))
    return (
        f"{contest.on_trial} would have brought {abs(found.difference):.4g} {more} a decision, "
        f"between {ends[0]:.4g} and {ends[1]:.4g} ({found.n_outcomes:,} outcomes).{rest}"
    )

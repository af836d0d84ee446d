"""``nextbest why``: why a visitor was shown what they were shown, or would be now."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable
from typing import Any

import click
import msgspec
from rich.console import Console
from rich.table import Table

from cli.terminal import GivenId, cell, json_line
from config.settings import Settings
from installation.audit import recorded
from installation.opened import open_installation
from installation.secrets_of import installed_secrets
from operations.explaining import Kind, open_explaining
from personalization.audit.record import VISITOR_PURPOSE, visitor_mark
from personalization.errors import InvalidInput
from personalization.explaining.explanation import Effects, ExplainedArm, Explanation, RefusedArm
from personalization.explaining.number_words import moment, percent, reward, signed

_WIDE = 400
_MOST_EFFECTS = 10


@click.command("why", short_help="Why a visitor was shown what they were shown, or would be now.")
@click.argument("visitor", metavar="VISITOR", type=GivenId())
@click.argument("placement", metavar="PLACEMENT")
@click.option("--kind", type=click.Choice(["user", "anonymous"]), default=None, help="Whose the id is.")
@click.option(
    "--now", is_flag=True, help="What would be decided now, and why; nothing is shown, or recorded of it."
)
@click.option("--context", default="{}", metavar="JSON", help="With --now: the request's context.")
@click.option("--source", default=None, metavar="NAME", help="With --now: the source whose consent_default holds.")
@click.option(
    "--json", "as_json", is_flag=True, help="Print one JSON object per decision instead, as the API does."
)
def why(
    visitor: str, placement: str, kind: Kind | None, now: bool, context: str, source: str | None, as_json: bool
) -> None:
    """Tell why VISITOR's latest decision for PLACEMENT was made: in words, and all its figures.

    It is looked up in what was recorded. What a rule read is told as of now, unless the visitor has done nothing
    since. That you looked is recorded in the audit.
    """
    told = asyncio.run(_told(Settings.from_environment(), visitor, placement, kind, now, context, source))
    if as_json:
        for each in told:
            click.echo(json_line(each))
        return
    console = Console(highlight=False)
    if not console.is_terminal:
        console.width = _WIDE  # in a file or a pipe nothing is cut off, nor broken over lines
    for each in told:
        _show(console, each)


async def _told(
    settings: Settings,
    visitor: str,
    placement: str,
    kind: Kind | None,
    now: bool,
    context: str,
    source: str | None,
) -> list[Explanation]:
    read = _read_context(context)
    mark = visitor_mark(installed_secrets(settings).key(VISITOR_PURPOSE), visitor)
    async with (
        open_installation(settings) as opened,
        recorded(settings, opened.redis, "why", mark, trail="reads"),
        open_explaining(opened) as explaining,
    ):
        person = await explaining.person(visitor, kind)
        if now:
            return await explaining.now(person, placement, source, read)
        return [await explaining.past(person, placement)]


def _read_context(text: str) -> dict[str, Any]:
    try:
        return msgspec.json.decode(text, type=dict[str, Any])
    except msgspec.DecodeError as error:
        raise InvalidInput("context", f'must be a JSON object such as \'{{"locale": "en"}}\' ({error})') from error


def _show(console: Console, told: Explanation) -> None:
    console.print(_safe(told.words), soft_wrap=not console.is_terminal)
    console.print()
    console.print(_arms(told.arms, told))
    if told.refused:
        console.print()
        console.print(_refused(told.refused))
    for effects in told.effects:
        console.print()
        console.print(_effects(effects))
    console.print()
    for line in _facts(told):
        console.print(_safe(line), soft_wrap=not console.is_terminal)


def _arms(arms: Iterable[ExplainedArm], told: Explanation) -> Table:
    table = _table("could be shown", "probability", "estimate", "±", "tickets")
    for arm in arms:
        mark = " (shown)" if arm.arm == told.shown else ""
        table.add_row(
            _safe(arm.arm + mark),
            "" if arm.probability is None else percent(arm.probability),
            "" if arm.estimate is None else reward(arm.estimate),
            "" if arm.uncertainty is None else reward(arm.uncertainty),
            "" if arm.from_ticket is None else f"{arm.from_ticket:,} – {arm.to_ticket:,}",
        )
    return table


def _refused(arms: Iterable[RefusedArm]) -> Table:
    table = _table("could not", "reason", "why")
    for arm in arms:
        table.add_row(_safe(arm.arm), arm.reason, _safe(arm.words))
    return table


def _effects(effects: Effects) -> Table:
    table = _table(f"what spoke for {_safe(effects.arm)}", "reward")
    table.add_row("in the mean context", reward(effects.mean_context_estimate))
    parts = list(effects.by_feature.items())
    for name, value in parts[:_MOST_EFFECTS]:
        table.add_row(_safe(name), signed(value))
    if len(parts) > _MOST_EFFECTS:
        table.add_row(
            f"{len(parts) - _MOST_EFFECTS} more", signed(sum(value for _, value in parts[_MOST_EFFECTS:]))
        )
    if not parts:
        table.add_row("no feature spoke for or against it", "")
    table.add_row("here", reward(effects.estimate))
    return table


def _facts(told: Explanation) -> list[str]:
    versions = told.versions
    made = f"decision {told.decision_id}" if told.decision_id else "no decision was made"
    facts = [f"{made}, {moment(told.decided_at_ms)}, tier {told.tier}, policy {told.policy}"]
    if told.drawn is not None:
        facts.append(f"ticket {told.drawn.ticket:,} of {told.drawn.out_of:,} fell on {told.drawn.arm}")
    state = "no state" if versions.state_revision is None else f"state revision {versions.state_revision}"
    age = "" if versions.state_age_ms is None else f", {versions.state_age_ms} ms old"
    facts.append(f"catalog {versions.catalog}, model {versions.model}, {state}{age}")
    return facts


def _table(*columns: str) -> Table:
    return Table(*columns, box=None, pad_edge=False)


def _safe(text: str) -> str:
    """What a page may have sent, such as a trait: without what a terminal obeys."""
    return cell(text)

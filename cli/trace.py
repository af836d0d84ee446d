"""``nextbest trace``: what one request decided, and what became of it."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime

import click
import msgspec

from cli.refused import printable
from config.settings import Settings
from installation.audit import recorded
from installation.opened import open_installation
from installation.records import records_of
from operations.request_story import DecisionStory, decisions_of, story
from operations.whereabouts import Whereabouts


@click.command("trace", short_help="What one request decided, and what became of it.")
@click.argument("request")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object per line instead.")
def trace(request: str, as_json: bool) -> None:
    """Show what REQUEST decided: its id (``x-request-id``, ``requestId``), or the id of its trace.

    For each decision: what was chosen and why, where it stands in the log, whether it is folded, what it earned,
    and whether the model has learned from it. That you looked is recorded in the audit.
    """
    stories = asyncio.run(_stories(Settings.from_environment(), request))
    if not stories:
        shown = printable(request)
        click.echo(f"nextbest: nothing is found of {shown}: it decided nothing, or the log is past it", err=True)
        raise SystemExit(1)
    for each in stories:
        click.echo(msgspec.json.encode(each).decode() if as_json else "\n".join(lines_of(each)))


async def _stories(settings: Settings, request: str) -> list[DecisionStory]:
    async with (
        open_installation(settings) as opened,
        recorded(settings, opened.redis, "trace", f"request:{request}", trail="reads"),
    ):
        records, whereabouts = records_of(opened), Whereabouts(opened)
        return [
            await story(records, record, whereabouts.is_folded, whereabouts.is_learned)
            for record in await decisions_of(records, request)
        ]


def lines_of(told: DecisionStory) -> list[str]:
    """A decision's story for people."""
    lines = [
        f"{_when(told.at_ms)}  {told.arm} was chosen at {told.placement}, slot {told.slot}, with probability "
        f"{told.probability:.3g}",
        f"  tier      {told.tier}{f' ({told.reason})' if told.reason else ''}",
        f"  decision  {told.decision_id}",
    ]
    if told.trace_id:
        lines.append(f"  trace     {told.trace_id}: your collector has the times of its parts")
    if told.offset is None:
        lines.append("  log       its entry is not found, or not any more")
    else:
        folded = "folded into the visitor's state" if told.folded else "not folded yet"
        lines.append(f"  log       partition {told.partition}, offset {told.offset}: {folded}")
    if told.closed_at_ms is None:
        lines.append("  outcome   it is open")
    else:
        lines.append(f"  outcome   reward {told.reward:g}, closed {_when(told.closed_at_ms)} ({told.closed})")
        lines.append(f"  model     {_learned(told)}")
    return [printable(line) for line in lines]


def _learned(told: DecisionStory) -> str:
    if not told.trains:
        return "no model learns from it"
    if told.learned is None:
        return "the checkpoint is far behind the log, and it cannot be told whether it was learned"
    return "learned, and in the checkpoint" if told.learned else "not in a checkpoint yet"


def _when(at_ms: int) -> str:
    return f"{datetime.fromtimestamp(at_ms / 1000, UTC):%Y-%m-%d %H:%M:%S}.{at_ms % 1000:03d}"

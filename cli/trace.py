"""``nextbest trace``: what one request decided, and what became of it."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime
from typing import NamedTuple

import click

from cli.terminal import GivenId, json_line, printable
from config.settings import Settings
from installation.audit import recorded
from installation.opened import open_installation
from installation.records import records_of
from installation.secrets_of import installed_secrets
from operations.stories.request_story import DecisionStory, decisions_of, story
from operations.stories.whereabouts import Whereabouts
from personalization.audit.record import VISITOR_PURPOSE, visitor_mark
from personalization.visitor.visitor_key import raw_id


@click.command("trace", short_help="What one request decided, and what became of it.")
@click.argument("request", type=GivenId())
@click.option(
    "--limit",
    default=20,
    show_default=True,
    type=click.IntRange(1, 1_000),
    help="The latest so many decisions: whoever sends requests may give the same id to many.",
)
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object per line instead.")
def trace(request: str, limit: int, as_json: bool) -> None:
    """Show what REQUEST decided: its id (``x-request-id``, ``requestId``), the id of its trace, or of a decision.

    For each decision: what was chosen and why, where it stands in the log, whether it is folded, what it earned,
    and whether the model has learned from it. That you looked is recorded in the audit.
    """
    found = asyncio.run(_found(Settings.from_environment(), request, limit))
    if not found.stories:
        click.echo(f"nextbest: {printable(_nothing_of(request))}", err=True)
        raise SystemExit(1)
    if found.n_earlier:
        click.echo(f"nextbest: {found.n_earlier} earlier decisions have that id, too (--limit)", err=True)
    for each in found.stories:
        click.echo(json_line(each) if as_json else "\n".join(lines_of(each)))


class _Found(NamedTuple):
    stories: list[DecisionStory]
    n_earlier: int = 0


async def _found(settings: Settings, request: str, limit: int) -> _Found:
    async with open_installation(settings) as opened:
        records, whereabouts = records_of(opened), Whereabouts(opened)
        decided = await decisions_of(records, request)
        last = decided[-limit:]
        # What is found of nobody may be anything that somebody typed, an address for example: it has a mark, too.
        marks = [_mark(settings, raw_id(record.key)) for record in last]
        objects = [f"request:{request}", *dict.fromkeys(marks)] if decided else [_mark(settings, request)]
        async with recorded(settings, opened.redis, "trace", *objects, trail="reads"):
            stories = [await story(records, each, whereabouts.is_folded, whereabouts.is_learned) for each in last]
        return _Found(stories, len(decided) - len(last))


def _mark(settings: Settings, visitor_id: str) -> str:
    return visitor_mark(installed_secrets(settings).key(VISITOR_PURPOSE), visitor_id)


def _nothing_of(request: str) -> str:
    why = "it decided nothing, or the log is past it"
    kept = (
        "If it showed again what the visit keeps, ask for the `decisionId` of its answer: nextbest trace DECISION"
    )
    return f"nothing is found of {request}: {why}. {kept}"


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
        return f"none learns from it, because {told.why_untrained}"
    if told.learned is None:
        return "the checkpoint is far behind the log, and it cannot be told whether it was learned"
    return "learned, and in the checkpoint" if told.learned else "not in a checkpoint yet"


def _when(at_ms: int) -> str:
    return f"{datetime.fromtimestamp(at_ms / 1000, UTC):%Y-%m-%d %H:%M:%S}.{at_ms % 1000:03d}"

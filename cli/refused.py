"""``nextbest refused``: events that were refused though their sender was told 200, by what they looked like."""

from __future__ import annotations

import asyncio
import heapq
from datetime import UTC, datetime

import click
from rich.console import Console
from rich.table import Table

from cli.terminal import cell, json_line
from config.settings import Settings
from eventlog.refused_event import RefusedEvent, refused_event_of
from eventlog.topics import DEAD_LETTERS
from installation.opened import open_installation

_WIDE = 400


@click.command("refused", short_help="Events that were refused though their sender was told 200.")
@click.option("--limit", default=50, show_default=True, type=click.IntRange(1, 10_000), help="The newest so many.")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object per line instead.")
def refused(limit: int, as_json: bool) -> None:
    """List the newest events that were refused though their sender was told 200, as clients of Segment's wire are.

    A few an hour are kept, by what they looked like: what they said, and whose they were, is kept nowhere.
    nextbest_refused_events_total counts all.
    """
    found = asyncio.run(_newest(Settings.from_environment(), limit))
    if as_json:
        for each in found:
            click.echo(json_line(each))
        return
    table = Table("when", "source", "reason", "member", "event", "client", "why", box=None, pad_edge=False)
    for each in found:
        when = datetime.fromtimestamp(each.at_ms / 1000, UTC).strftime("%Y-%m-%d %H:%M:%S")
        event = f"{each.type} {each.event}".strip()
        row = (when, each.source, each.code, each.field, event, each.library, each.reason)
        table.add_row(*map(cell, row))
    console = Console(highlight=False)
    if not console.is_terminal:
        console.width = _WIDE  # in a file or a pipe nothing is cut off, nor broken over lines
    console.print(table)


async def _newest(settings: Settings, limit: int) -> list[RefusedEvent]:
    """The newest refused events that the log still has, the oldest of them first."""
    found: list[RefusedEvent] = []
    async with open_installation(settings) as opened:
        for partition, start in enumerate(await opened.log.earliest_offsets(DEAD_LETTERS)):
            async for entry in opened.log.read(DEAD_LETTERS, partition, start):
                refused_event = refused_event_of(entry.value)
                if refused_event is not None:
                    found.append(refused_event)
    return heapq.nlargest(limit, found, key=lambda each: each.at_ms)[::-1]

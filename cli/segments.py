"""``nextbest segments``: how many visitors are in each segment, as it was counted last."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from datetime import UTC, datetime

import click
from rich.console import Console
from rich.table import Table

from api.services.segments import SegmentSize, sizes_of
from cli.terminal import cell, json_line
from config.settings import Settings
from installation.opened import open_installation
from installation.visitors import visitors_of
from personalization.catalog.compiled_catalog import compile_catalog
from personalization.errors import Refused
from personalization.visitor.visitor_state import VisitorState
from state.segment_store import SegmentSizes, SegmentStore

_WIDE = 200


@click.command("segments", short_help="How many visitors are in each segment.")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object per line instead.")
def segments(as_json: bool) -> None:
    """Print how many visitors are in each segment of the catalog in force, as a slow walk counted them last."""
    found = asyncio.run(_sizes(Settings.from_environment()))
    if as_json:
        for each in found:
            click.echo(json_line(each._asdict()))
        return
    table = Table("segment", "visitors", "of", "counted", "rule", box=None, pad_edge=False)
    for each in found:
        size = "–" if each.size is None else str(each.size)
        of = "–" if each.of is None else str(each.of)
        table.add_row(cell(each.name), size, of, cell(_counted(each)), cell(each.rule))
    console = Console(highlight=False)
    if not console.is_terminal:
        console.width = _WIDE
    console.print(table)


def _counted(segment: SegmentSize) -> str:
    if segment.why_not is not None:
        return f"cannot be counted: {segment.why_not}"
    if segment.counted_ms is None:
        return "not yet"
    return datetime.fromtimestamp(segment.counted_ms / 1000, UTC).strftime("%Y-%m-%d %H:%M UTC")


class _Counted:
    """What was counted, read once; nobody is listed here."""

    def __init__(self, counted: list[SegmentSizes | None]) -> None:
        self._counted = counted

    async def sizes(self) -> list[SegmentSizes | None]:
        """What was counted."""
        return self._counted

    async def step(self, cursor: int) -> tuple[int, Mapping[str, VisitorState]]:
        """Nobody."""
        return 0, {}


async def _sizes(settings: Settings) -> list[SegmentSize]:
    async with open_installation(settings, reads_data=False) as opened:
        latest = await opened.catalogs.latest()
        if latest is None:
            raise Refused("no catalog is published here: `nextbest publish` puts one in force")
        version, catalog = latest
        store = SegmentStore(
            opened.redis, opened.keys, visitors_of(settings, opened.redis, opened.keys, opened.cipher)
        )
        counted = await store.read((await opened.log.identity()).n_partitions)
        return await sizes_of(compile_catalog(catalog, version), _Counted(counted))

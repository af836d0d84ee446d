"""``nextbest segments``: how many visitors are in each segment, as it was counted last."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from datetime import UTC, datetime
from functools import partial
from textwrap import wrap

import click

from api.services.segments import SegmentSize, sizes_of
from cli.terminal import json_line, printable
from config.settings import Settings
from installation.opened import open_installation
from installation.visitors import visitors_of
from personalization.catalog.compiled_catalog import compile_catalog
from personalization.errors import Refused
from personalization.visitor.visitor_state import VisitorState
from state.segment_store import SegmentSizes, SegmentStore

WIDE = 80
_wrap = partial(wrap, break_long_words=False, break_on_hyphens=False)


@click.command("segments", short_help="How many visitors are in each segment.")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object per line instead.")
def segments(as_json: bool) -> None:
    """Print how many visitors are in each segment of the catalog in force, as a slow walk counted them last."""
    found = asyncio.run(_sizes(Settings.from_environment()))
    if as_json:
        for each in found:
            click.echo(json_line(each._asdict()))
        return
    for each in found:
        click.echo("\n".join(lines_of(each)))


def lines_of(segment: SegmentSize) -> list[str]:
    """A segment for people, in lines that fit a terminal of 80 columns; a longer word has a line of its own.

    >>> lines_of(SegmentSize("buyers", "n_orders > 0", 12, 300, 0, None))
    ['buyers: 12 of 300 visitors, counted 1970-01-01 00:00 UTC', '  n_orders > 0']
    """
    return [
        *_wrap(printable(f"{segment.name}: {_told(segment)}"), WIDE, subsequent_indent="  "),
        *_wrap(printable(segment.rule), WIDE, initial_indent="  ", subsequent_indent="    "),
    ]


def _told(segment: SegmentSize) -> str:
    if segment.why_not is not None:
        return f"cannot be counted: {segment.why_not}"
    if segment.size is None or segment.counted_ms is None:
        return "not counted yet"
    counted = datetime.fromtimestamp(segment.counted_ms / 1000, UTC)
    return f"{segment.size} of {segment.of} visitors, counted {counted:%Y-%m-%d %H:%M} UTC"


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

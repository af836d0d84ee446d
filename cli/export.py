"""``nextbest export``: the data for whoever wants to look into them, in a file that any tool reads."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import click
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from cli.terminal import printable
from config.settings import Settings
from installation.opened import open_installation
from operations.exporting.columns import What
from operations.exporting.export import Exported, Tell
from operations.exporting.export import export as _export
from operations.exporting.progress import Asked
from personalization.errors import Refused, Unavailable

GOES_ON = "what was read is kept beside the file, and --resume goes on with it"


@click.command("export", short_help="Write decisions, outcomes, scores or segments to a file.")
@click.argument("what", type=click.Choice([each.value for each in What]))
@click.option(
    "--to",
    required=True,
    type=click.Path(path_type=Path),
    metavar="FILE",
    help="Ends in .csv, .jsonl or .parquet; what stands there is replaced once all is read.",
)
@click.option("--since", default="", metavar="WHEN", help="From then on: 2026-11-01, or 7d ago.")
@click.option("--until", default="", metavar="WHEN", help="Before then.")
@click.option("--placement", "placements", multiple=True, help="Only of this placement. May be given again.")
@click.option(
    "--all", "closed_by_all", is_flag=True, help="Outcomes: also those that were closed early, or never shown."
)
@click.option("--with-ids", is_flag=True, help="Name visitors by the ids you sent, in a column visitor_id.")
@click.option("--resume", is_flag=True, help="Go on with an export that was interrupted.")
def export(
    what: str,
    to: Path,
    since: str,
    until: str,
    placements: tuple[str, ...],
    closed_by_all: bool,
    with_ids: bool,
    resume: bool,
) -> None:
    """Write WHAT to a file: decisions, outcomes (closed decisions with rewards), or visitors' scores or segments.

    Decisions are taken by when they were made, outcomes by when they closed. Whoever was erased, or has refused
    since, is left out. That you exported is recorded in the audit.
    """
    asked = Asked(
        what=what,
        placements=tuple(sorted(set(placements))),
        since=since,
        until=until,
        with_ids=with_ids,
        closed_by_all=closed_by_all,
    )
    try:
        exported = asyncio.run(_run(Settings.from_environment(), asked, to, resume))
    except Unavailable as error:
        raise Unavailable(f"{error}; {GOES_ON}") from error
    except OSError as error:
        raise Refused(f"{error.filename or to}: {error.strerror or error}; {GOES_ON}") from error
    click.echo(printable(told(exported)))


async def _run(settings: Settings, asked: Asked, to: Path, resume: bool) -> Exported:
    with _shown(asked.what) as tell:
        async with open_installation(settings) as opened:
            return await _export(opened, asked, to, resume=resume, tell=tell)


@contextmanager
def _shown(what: str) -> Iterator[Tell]:
    """A bar on a terminal, nothing elsewhere."""
    console = Console(stderr=True)
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    with Progress(*columns, console=console, transient=True, disable=not console.is_terminal) as progress:
        task = progress.add_task(what, total=None)

        def tell(n_read: int, total: int | None) -> None:
            progress.update(task, completed=n_read, total=total)

        yield tell


def told(exported: Exported) -> str:
    """The export in one line.

    >>> told(Exported(Path("d.csv"), 1200, {"erased": 2}, []))
    '1,200 rows in d.csv; left out: 2 erased'
    """
    line = f"{exported.n_rows:,} rows in {exported.path}"
    if exported.left_out:
        line += "; left out: " + ", ".join(f"{n:,} {reason}" for reason, n in sorted(exported.left_out.items()))
    return "; ".join([line, *exported.notes])

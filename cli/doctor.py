"""``nextbest doctor``: what is wrong with an installation, and what to do."""

from __future__ import annotations

import asyncio
import logging
import os
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

import click
import msgspec
from rich.console import Console
from rich.table import Table
from rich.text import Text

from cli.beside import DATA_DIR, find_installation
from cli.running_file import read_running
from cli.terminal import printable
from config.settings import Settings
from operations.doctor.examination import examine, is_wrong
from operations.doctor.finding import Finding, Level
from operations.doctor.machine import Machine
from operations.doctor.surroundings import Surroundings, readable
from operations.doctor.threads import DaemonThreads
from operations.watching.inner_port import Address, address_of
from personalization.errors import InvalidInput, Refused

STYLES = {Level.OK: "green", Level.LOOK: "yellow", Level.WRONG: "bold red"}
WIDE = 160


@click.command("doctor", short_help="What is wrong with an installation, and what to do about it.")
@click.option(
    "--data-dir",
    type=click.Path(path_type=Path, file_okay=False),
    default=None,
    help="Data folder of the `nextbest up` to look at.  [default: NEXTBEST_REDIS, else .nextbest]",
)
@click.option("--inner", multiple=True, metavar="HOST:PORT", help="Where a process tells how it is; several times.")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object per line instead.")
def doctor(data_dir: Path | None, inner: tuple[str, ...], as_json: bool) -> None:
    """Look at settings, versions, clocks, Redis, Kafka, the log, the catalog, processes and disks.

    It takes ten seconds at most, changes nothing, and prints no secret. Exit code 1: something is wrong.
    """
    logging.getLogger("aiokafka").setLevel(logging.CRITICAL)  # a broker that is away is a finding, told once
    around, words = surroundings(os.environ, data_dir, inner)
    click.echo(f"nextbest: {words}", err=True)
    findings = asyncio.run(_examined(around))
    if as_json:
        for finding in findings:
            click.echo(msgspec.json.encode(finding).decode())
    else:
        show(findings)
    sys.exit(1 if is_wrong(findings) else 0)


async def _examined(around: Surroundings) -> list[Finding]:
    asyncio.get_running_loop().set_default_executor(DaemonThreads())
    return await examine(around)


def surroundings(
    environment: Mapping[str, str], data_dir: Path | None, inner: Sequence[str], machine: Machine | None = None
) -> tuple[Surroundings, str]:
    """What there is to look at, and in words what that is.

    Raises
    ------
    click.UsageError
        For an address that is none.
    """
    left, mistakes = readable(environment)
    try:
        addresses = {text: address_of(text) for text in inner}
    except InvalidInput as error:
        raise click.UsageError(str(error)) from error
    not_running = ""
    try:
        words = f"looking at {find_installation(left, data_dir)}"
    except Refused as error:  # nothing runs there; what lies there can be looked at
        words = not_running = str(error).partition(":")[0]
    folder = data_dir or Path(left.get(DATA_DIR) or Settings().data_dir)
    settings = Settings.from_environment(left)
    running = read_running(folder)
    is_it = running is not None and running.redis == settings.redis
    if running is not None and is_it:
        addresses = {name: Address(*at) for name, at in running.inner.items()} | addresses
    return Surroundings(
        environment=dict(environment),
        settings=settings,
        data_dir=folder,
        wrong_settings=mistakes,
        runs_here=is_it,
        inner=addresses,
        not_running=not_running,
        machine=machine or Machine(),
    ), words


def show(findings: Sequence[Finding]) -> None:
    """Print the findings for people."""
    console = Console(highlight=False)
    if not console.is_terminal:
        console.width = WIDE
    table = Table(box=None, pad_edge=False, show_header=False)
    table.add_column(no_wrap=True)
    table.add_column(no_wrap=True)
    table.add_column(overflow="fold")
    for finding in findings:
        told = Text(printable(finding.what))
        if finding.do:
            more = f" ({finding.runbook})" if finding.runbook else ""
            told.append(f"\n→ {printable(finding.do)}{more}", style="bold")
        table.add_row(Text(finding.level, style=STYLES[finding.level]), finding.check, told)
    console.print(table)
    counts = {level: sum(finding.level is level for finding in findings) for level in Level}
    console.print(f"\n{counts[Level.OK]} ok, {counts[Level.LOOK]} to look at, {counts[Level.WRONG]} wrong")

"""``nextbest audit``: who did what, and whether somebody has changed what is written of it."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterable, Mapping
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from pathlib import Path

import click
import msgspec
from rich.console import Console
from rich.table import Table

from cli.terminal import GivenId, cell, json_line
from config.settings import Settings
from installation.audit import audit_of
from installation.opened import open_catalogs
from installation.secrets_of import installed_secrets
from personalization.audit.chain import NOTE_CHARS, Fault, decode, note_of
from personalization.audit.record import TRAILS, VISITOR_PURPOSE, AuditRecord, Trail, visitor_marks
from personalization.errors import InvalidInput
from personalization.key_derivation import Secrets
from state.audit_store import AuditStore

_WIDE = 400

_TRAIL = click.option(
    "--trail", type=click.Choice(TRAILS), default="acts", show_default=True, help="Which one: acts or reads."
)


@click.group(short_help="Who did what; and see that nobody has changed it.")
def audit() -> None:
    """Show who did what in this installation, and see that nobody has changed what is written of it.

    Two trails are kept: acts (catalogs, items, keys; visitors unlinked, exported, erased), and reads of visitors,
    placements and items by keys that no page holds. What pages collect and decide stands in the log alone.
    """


@audit.command("verify")
@click.option(
    "--noted",
    multiple=True,
    metavar="NOTE",
    help="What an earlier verify printed as the last record: it still has to be there. May be given again.",
)
@click.option(
    "--earlier",
    multiple=True,
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    metavar="FILE",
    help="Holds a secret that the installation had earlier than the last two. May be given again.",
)
def verify(noted: tuple[str, ...], earlier: tuple[Path, ...]) -> None:
    """See that no record was changed, removed or inserted; else name the first that was, with exit code 1."""
    notes = [_note(text) for text in noted]
    secrets = [Secrets(path.read_bytes().rstrip(b"\r\n")) for path in earlier]
    faults = asyncio.run(_verify(Settings.from_environment(), notes, secrets))
    if faults:
        raise SystemExit(1)


@audit.command("show")
@_TRAIL
@click.option("--from", "from_n", default=None, type=click.IntRange(min=1), help="First record; else the newest.")
@click.option("--limit", default=50, show_default=True, type=click.IntRange(1, 100_000))
@click.option(
    "--visitor",
    default=None,
    type=GivenId(),
    metavar="ID",
    help="Only what concerns this visitor, by any of their ids.",
)
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object per line instead.")
def show(trail: Trail, from_n: int | None, limit: int, visitor: str | None, as_json: bool) -> None:
    """List records. A visitor stands there by a mark, which --visitor finds again."""
    records = asyncio.run(_read(Settings.from_environment(), trail, from_n, limit, visitor))
    if as_json:
        for record in records:
            click.echo(json_line(record))
        return
    table = Table("n", "when", "who", "from", "what", "to what", "outcome", box=None, pad_edge=False)
    for record in records:
        when = datetime.fromtimestamp(record.at_ms / 1000, UTC).strftime("%Y-%m-%d %H:%M:%S")
        table.add_row(
            *(str(record.n), when, cell(record.actor), record.network, cell(record.act)),
            *("\n".join(map(cell, record.objects)), _outcome(record)),
        )
    console = Console(highlight=False)
    if not console.is_terminal:
        console.width = _WIDE  # in a file or a pipe nothing is cut off, nor broken over lines
    console.print(table)


def _outcome(record: AuditRecord) -> str:
    times = f", {record.times} times" if record.times > 1 else ""
    of = f" (of {record.of})" if record.of else ""
    return f"{record.outcome}{f' {record.status}' if record.status else ''}{times}{of}"


async def _verify(settings: Settings, notes: list[tuple[Trail, int, str]], earlier: list[Secrets]) -> list[Fault]:
    faults = []
    async with _opened(settings, earlier) as opened:
        for trail in TRAILS:
            fault, seen, head = await opened.verify(trail)
            if fault is None:
                fault = await _missing(opened, trail, seen.first, notes)
            if fault is not None:
                faults.append(fault)
                click.echo(f"{trail}: record {fault.n} {fault.words}")
                continue
            if not head.n:
                click.echo(f"{trail}: no records yet")
                continue
            older = f"; {seen.n_foreign} signed under earlier secrets, held by those behind them"
            click.echo(
                f"{trail}: records {seen.first} to {head.n}, as they were written"
                f"{older if seen.n_foreign else ''}; last {note_of(trail, head)}"
            )
    return faults


async def _missing(
    opened: AuditStore, trail: Trail, first: int, notes: list[tuple[Trail, int, str]]
) -> Fault | None:
    """The first of the noted records that is not there any more, though none so new was let go of."""
    for noted_trail, n, begins in notes:
        if noted_trail == trail and n >= first:
            found = await opened.read(trail, n, 1)
            if not found or found[0].n != n or not found[0].hash.startswith(begins):
                return Fault(n, "is not the one that was noted: the trail was put back to an earlier state")
    return None


async def _read(
    settings: Settings, trail: Trail, from_n: int | None, limit: int, visitor: str | None
) -> list[AuditRecord]:
    marks = visitor_marks(installed_secrets(settings).key(VISITOR_PURPOSE), visitor) if visitor else frozenset()
    found: list[AuditRecord] = []
    async with _opened(settings) as opened:
        begin = from_n or 0
        if from_n is None and not marks:
            begin = max(0, (await opened.head(trail)).n - limit + 1)
        async for entry in opened.all(trail, begin):
            try:
                record = decode(entry.body)
            except msgspec.MsgspecError as error:
                raise InvalidInput(
                    f"record {entry.n}", "cannot be read; run `nextbest audit verify`", "invalid_field"
                ) from error
            if not marks or not marks.isdisjoint(record.objects):
                found.append(record)
            if len(found) == limit and (from_n is not None or not marks):
                break
    return found[-limit:] if from_n is None else found[:limit]


@asynccontextmanager
async def _opened(settings: Settings, earlier: Iterable[Secrets] = ()) -> AsyncIterator[AuditStore]:
    async with open_catalogs(settings.redis, settings.namespace) as store:
        yield await audit_of(store.redis, settings, earlier)


def _note(text: str) -> tuple[Trail, int, str]:
    trail, _, rest = text.partition(":")
    n, _, begins = rest.partition(":")
    known: Mapping[str, Trail] = {each: each for each in TRAILS}
    if trail not in known or not n.isdecimal() or len(begins) < NOTE_CHARS:
        raise InvalidInput("noted", f"must be as verify prints it, such as acts:17:0123456789abcdef, not {text!r}")
    return known[trail], int(n), begins

"""``nextbest check``, ``publish``, ``rollback``, ``history`` and ``schema``: the catalog from the command line."""

from __future__ import annotations

import asyncio
import getpass
import json
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import click
from rich.console import Console
from rich.table import Table

from cli.catalog_summary import counts, print_summary
from cli.terminal import cell, json_line
from config.catalog_errors import CatalogMistake, CatalogWarning
from config.loader import CheckedCatalog, check_catalog, shipped_catalog
from config.schema import catalog_schema_text
from config.settings import Settings
from personalization.catalog.source_keys import outdated_keys
from personalization.errors import Refused

if TYPE_CHECKING:
    from state.catalog_store import CatalogStore

T = TypeVar("T")

_FOLDER = click.argument("folder", required=False, type=click.Path(path_type=Path))
_JSON = click.option("--json", "as_json", is_flag=True, help="Print one JSON object instead.")


@click.command(short_help="Check a catalog; say what is in it or everything that is wrong.")
@_FOLDER
@click.option("--strict", is_flag=True, help="Let a warning fail the check too (exit code 1), for use in CI.")
@_JSON
def check(folder: Path | None, strict: bool, as_json: bool) -> None:
    """Check the catalog in FOLDER (else NEXTBEST_CATALOG, else the example shop).

    Prints what is in it, or every mistake with file, line and remedy; then the exit code is 1. Warnings name what
    works and is probably not meant; they stop nothing, unless --strict is given.
    """
    where = _folder(folder)
    checked = check_catalog(where)
    failed = checked.catalog is None or (strict and bool(checked.warnings))
    if as_json:
        found = {"folder": str(where), **counts(checked.catalog)} if checked.catalog is not None else {}
        click.echo(json.dumps({"ok": not failed, **found, **_findings(checked)}))
    else:
        for finding in (*checked.mistakes, *checked.warnings):
            click.echo(str(finding))
        if checked.catalog is not None:
            if checked.warnings:
                click.echo("")
            print_summary(where, checked.catalog, _in_words(checked) if checked.warnings else "")
        else:
            click.echo(f"{_in_words(checked)}; nothing is published.", err=True)
    if failed:
        raise SystemExit(1)


@click.command(short_help="Check a catalog and put it in force.")
@_FOLDER
@click.option("--by", default=None, help="Who publishes it, for the history; else the name of this login.")
@click.option(
    "--as-version",
    type=click.IntRange(min=1),
    default=None,
    metavar="N",
    help="Bring version N back, which was lost with its Redis and which the log still names.",
)
@_JSON
def publish(folder: Path | None, by: str | None, as_version: int | None, as_json: bool) -> None:
    """Publish the catalog in FOLDER; every process follows at once. An unchanged one keeps its version."""
    checked = check_catalog(_folder(folder))
    catalog = checked.catalog
    if catalog is None:
        if as_json:
            click.echo(json.dumps({"ok": False, **_findings(checked)}))
        else:
            for mistake in checked.mistakes:
                click.echo(str(mistake))
            click.echo(f"{_in_words(checked)}; nothing is published.", err=True)
        raise SystemExit(1)

    from state.catalog_store import encode_catalog

    async def run(store: Any) -> tuple[int, int]:
        before = await store.latest_version()
        if as_version is None:
            if outdated := outdated_keys(catalog.sources, await store.ended_keys()):
                raise Refused("\n".join([*outdated, "nothing is published"]))
            return before, await store.publish(catalog, _who(by))
        await store.restore(as_version, catalog, _who(by))
        return before, await store.latest_version()

    before, version = _with_store(run, "publish", f"catalog:{encode_catalog(catalog)[0]}")
    if as_json:
        warnings = _findings(checked)["warnings"]
        click.echo(json.dumps({"version": version, "changed": version != before, "warnings": warnings}))
        return
    for warning in checked.warnings:
        click.echo(str(warning), err=True)
    if as_version is not None:
        click.echo(f"Version {as_version} is back. Version {version} is in force.")
    elif version == before:
        click.echo(f"Nothing changed: version {version} is in force.")
    else:
        click.echo(f"Version {version} is in force.")


@click.command(short_help="Put an earlier version of the catalog in force again.")
@click.argument("version", type=click.IntRange(min=1))
@click.option("--by", default=None, help="Who does it, for the history; else the name of this login.")
def rollback(version: int, by: str | None) -> None:
    """Publish VERSION again, as a new version; `nextbest history` lists them."""

    async def run(store: Any) -> int:
        published: int = await store.rollback(version, _who(by))
        return published

    published = _with_store(run, "rollback", f"version:{version}")
    click.echo(f"Version {published} is in force, the same as version {version}.")
    click.echo(
        "A `nextbest up` that follows a folder leaves it so until something in that folder is changed.", err=True
    )


@click.command(short_help="List published versions of the catalog: who, when, what.")
@click.option("--limit", default=20, show_default=True, type=click.IntRange(1, 1000))
@click.option("--computed", is_flag=True, help="Those too that but moved computed thresholds of tiers.")
@_JSON
def history(limit: int, computed: bool, as_json: bool) -> None:
    """List the newest published versions, newest first."""

    async def run(store: Any) -> tuple[list[Any], Any]:
        n_read = limit
        while True:
            found = await store.history(n_read)
            shown = [entry for entry in found if computed or not entry.computed][:limit]
            if len(shown) == limit or len(found) < n_read:
                return shown, found[0] if found else None
            n_read *= 4

    versions, newest = _with_store(run)
    if as_json:
        click.echo(json_line({"versions": versions}))
        return
    if not versions:
        click.echo("No catalog is published yet: 'nextbest publish' publishes one.")
        return
    table = Table("version", "when", "who", "what changed", box=None, pad_edge=False)
    for entry in versions:
        when = datetime.fromtimestamp(entry.at_ms / 1000, UTC).strftime("%Y-%m-%d %H:%M:%S")
        changes = [f"version {entry.rollback_of} again"] if entry.rollback_of else []
        table.add_row(str(entry.version), when, cell(entry.who), "\n".join(map(cell, [*changes, *entry.changes])))
    Console(highlight=False).print(table)
    if newest.computed and not computed:
        click.echo(
            f"Version {newest.version} is in force: computed thresholds have moved since (--computed lists them)."
        )


@click.command(short_help="Print the JSON Schema of a catalog file, for editors.")
def schema() -> None:
    """Print the JSON Schema of a catalog file.

    Save it beside your files and begin each with '# yaml-language-server: $schema=catalog.schema.json'.
    """
    click.echo(catalog_schema_text(), nl=False)


COMMANDS = (check, publish, rollback, history, schema)


def _folder(folder: Path | None) -> Path:
    if folder is not None:
        return folder
    named = Settings.from_environment().catalog
    return Path(named) if named else shipped_catalog()


def _who(by: str | None) -> str:
    if by is not None:
        return by
    try:
        return getpass.getuser()
    except (KeyError, OSError):  # a container's user without a name
        return ""


def _with_store(run: Callable[[CatalogStore], Awaitable[T]], act: str = "", *objects: str) -> T:
    """Run against the Redis of the settings; ``act`` is what the audit calls it, empty: it only reads."""
    from installation.audit import recorded
    from installation.opened import open_catalogs

    settings = Settings.from_environment()

    async def connected() -> T:
        async with open_catalogs(settings.redis, settings.namespace, _REMEDY) as store:
            if not act:
                return await run(store)
            async with recorded(settings, store.redis, act, *objects):
                return await run(store)

    return asyncio.run(connected())


_REMEDY = (
    "start it with 'nextbest up', name the data folder of one that runs with --data-dir, or point NEXTBEST_REDIS "
    "at a Redis"
)


def _findings(checked: CheckedCatalog) -> dict[str, list[dict[str, Any]]]:
    """Mistakes and warnings for programs."""
    return {
        "errors": [_finding(one) for one in checked.mistakes],
        "warnings": [_finding(one) for one in checked.warnings],
    }


def _finding(finding: CatalogMistake | CatalogWarning) -> dict[str, Any]:
    place = finding.place
    return {
        "file": place.file,
        "line": place.line,
        "path": finding.path,
        "code": finding.code,
        "message": finding.message,
    }


def _in_words(checked: CheckedCatalog) -> str:
    """``2 mistakes, 1 warning``."""
    counts = (("mistake", len(checked.mistakes)), ("warning", len(checked.warnings)))
    return ", ".join(f"{n} {what}{'s' if n > 1 else ''}" for what, n in counts if n)

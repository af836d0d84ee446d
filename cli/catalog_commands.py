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
import msgspec
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from config.catalog_errors import CatalogMistake, CatalogWarning
from config.loader import CheckedCatalog, check_catalog, shipped_catalog
from config.scalars import write_duration
from config.schema import catalog_schema_text
from config.settings import Settings
from personalization.catalog.catalog import Cap, Catalog, Content
from personalization.catalog.sections.variants import as_varied

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
        counts = {"folder": str(where), **_counts(checked.catalog)} if checked.catalog is not None else {}
        click.echo(json.dumps({"ok": not failed, **counts, **_findings(checked)}))
    else:
        for finding in (*checked.mistakes, *checked.warnings):
            click.echo(str(finding))
        if checked.catalog is not None:
            if checked.warnings:
                click.echo("")
            _print_summary(where, checked)
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

    async def run(store: Any) -> tuple[int, int]:
        before = await store.latest_version()
        if as_version is None:
            return before, await store.publish(catalog, _who(by))
        await store.restore(as_version, catalog, _who(by))
        return before, await store.latest_version()

    before, version = _with_store(run)
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

    click.echo(f"Version {_with_store(run)} is in force, the same as version {version}.")
    click.echo(
        "A `nextbest up` that follows a folder leaves it so until something in that folder is changed.", err=True
    )


@click.command(short_help="List published versions of the catalog: who, when, what.")
@click.option("--limit", default=20, show_default=True, type=click.IntRange(1, 1000))
@_JSON
def history(limit: int, as_json: bool) -> None:
    """List the newest published versions, newest first."""

    async def run(store: Any) -> list[Any]:
        versions: list[Any] = await store.history(limit)
        return versions

    versions = _with_store(run)
    if as_json:
        click.echo(msgspec.json.encode({"versions": versions}).decode())
        return
    if not versions:
        click.echo("No catalog is published yet: 'nextbest publish' publishes one.")
        return
    table = Table("version", "when", "who", "what changed", box=None, pad_edge=False)
    for entry in versions:
        when = datetime.fromtimestamp(entry.at_ms / 1000, UTC).strftime("%Y-%m-%d %H:%M:%S")
        changes = [f"version {entry.rollback_of} again"] if entry.rollback_of else []
        table.add_row(str(entry.version), when, escape(entry.who), escape("\n".join([*changes, *entry.changes])))
    Console(highlight=False).print(table)


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


def _with_store(run: Callable[[CatalogStore], Awaitable[T]]) -> T:
    """Run against the Redis of the settings."""
    from installation.opened import open_catalogs

    settings = Settings.from_environment()

    async def connected() -> T:
        async with open_catalogs(settings.redis, settings.namespace, _REMEDY) as store:
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


def _counts(catalog: Catalog) -> dict[str, int]:
    return {
        name: len(getattr(catalog, name))
        for name in ("placements", "content", "segments", "affinities", "conversions", "sources")
    }


def _print_summary(where: Path, checked: CheckedCatalog) -> None:
    catalog = checked.catalog
    assert catalog is not None
    console = Console(highlight=False)
    if not console.is_terminal:
        console.width = 160
    judged = f"works, with {_in_words(checked)}" if checked.warnings else "is fine"
    console.print(f"The catalog in {where} {judged}.\n", markup=False)
    table = _table("placement", "slots", "contents", "policy", "rewarded by", "within", "held out")
    for name, placement in catalog.placements.items():
        table.add_row(
            name,
            str(placement.slots),
            str(len(placement.content)),
            placement.policy.name,
            ", ".join(dict.fromkeys(reward.event for reward in placement.rewards)) or "calls",
            write_duration(placement.window_ms),
            f"{placement.holdout:.0%}" if placement.holdout else "",
        )
    console.print(table, "")
    varied = [(name, placement) for name, placement in catalog.placements.items() if placement.variants]
    if varied:
        table = _table("variants", "share", "contents", "policy", "model", "learns")
        for name, placement in varied:
            for variant, spec in placement.variants.items():
                made = as_varied(placement, spec)
                table.add_row(
                    f"{name}, {variant}",
                    f"{spec.share:.4g}",
                    str(len(made.content)),
                    made.policy.name,
                    made.model,
                    "with the placement" if spec.is_shared else "alone",
                )
        console.print(table, "")
    table = _table("content", "type", "languages", "who may see it", "when", "cap")
    for name, content in catalog.content.items():
        cap = ", ".join(map(_cap_in_words, content.cap))
        languages = " ".join(content.locales)
        table.add_row(name, content.type, languages, escape(content.when or ""), _schedule(content), cap)
    console.print(table)
    if catalog.segments:
        table = _table("segment", "who")
        for name, rule in catalog.segments.items():
            table.add_row(name, escape(rule))
        console.print("", table)
    if catalog.conversions:
        table = _table("conversion", "event", "which of them", "within", "labels", "model")
        for name, one in catalog.conversions.items():
            rule = escape(one.when or "")
            table.add_row(name, escape(one.event), rule, write_duration(one.horizon_ms), one.labels, one.model)
        console.print("", table)


def _table(name: str, *columns: str) -> Table:
    table = Table(box=None, pad_edge=False)
    table.add_column(name, no_wrap=True)
    for column in columns:
        table.add_column(column, overflow="fold")
    return table


def _schedule(content: Content) -> str:
    dates = [
        f"{word} {datetime.fromtimestamp(ms / 1000, UTC):%Y-%m-%d %H:%M}".removesuffix(" 00:00")
        for word, ms in (("from", content.starts_ms), ("until", content.ends_ms))
        if ms is not None
    ]
    return " ".join(dates)


def _cap_in_words(cap: Cap) -> str:
    over = cap.per or "session" if cap.within_ms is None else write_duration(cap.within_ms)
    return f"{cap.limit} per {over}" if cap.of == "content" else f"{cap.limit} per {over} per {cap.of}"

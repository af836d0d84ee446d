"""``nextbest report``: what experiments brought, in a terminal, as JSON or as a page."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Iterable, Sequence
from pathlib import Path

import click
from rich.console import Console
from rich.table import Table

from cli.terminal import cell, json_line, printable
from config.settings import Settings
from installation.opened import open_installation
from operations.reporting import rows
from operations.reporting.experiments import experiments_of
from operations.reporting.numbers import level
from operations.reporting.order import by_metric, by_sides, finding, of_everybody, of_segments
from operations.reporting.page import page
from operations.reporting.sides import compared, side_name
from personalization.errors import InvalidInput
from personalization.evaluation.experiment_report import Difference, ExperimentReport

NOTHING_SAID = 3
"""The exit code where data are missing, thin or wrong: a sentence says which, and no number is printed."""

NO_EXPERIMENT = (
    "no placement has a holdout or variants, so there is nothing to compare: give one a holdout, such as "
    "`holdout: 5%`, and publish the catalog"
)
_WIDE = 400
_NARROW, _ROOMY = 100, 120


@click.command("report", short_help="What experiments brought: treated against held out, variant against variant.")
@click.argument("placement", required=False)
@click.option("--segments", is_flag=True, help="By segment besides: each is looked at with a wider interval.")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object per line instead, as the API does.")
@click.option(
    "--html",
    "file",
    type=click.Path(path_type=Path, dir_okay=False),
    default=None,
    metavar="FILE",
    help="Write a page that can be sent: it needs nothing else.",
)
def report(placement: str | None, segments: bool, as_json: bool, file: Path | None) -> None:
    """Tell what PLACEMENT brought, else a line for every placement that has something to compare.

    Intervals are valid at every look. Who reads them, and what breaks them: docs/measuring.md. If nothing can be
    said yet, a sentence says what is missing and what to do, and the exit code is 3.
    """
    now_ms = time.time_ns() // 1_000_000
    found = asyncio.run(_found(Settings.from_environment(), placement, now_ms, segments))
    if file is not None and found:
        _write(file, page(found, now_ms))
    if as_json:
        for each in found:
            click.echo(json_line(each))
    elif placement is None:
        _show_all(found)
    else:
        show(found[0], segments)
    end(found)


def end(found: Sequence[ExperimentReport]) -> None:
    """Leave with ``NOTHING_SAID`` if none of the reports says anything."""
    if not any(finding(each).words for each in found):
        if not found:
            click.echo(f"nextbest: {NO_EXPERIMENT}", err=True)
        raise SystemExit(NOTHING_SAID)


async def _found(
    settings: Settings, placement: str | None, now_ms: int, by_segment: bool
) -> list[ExperimentReport]:
    async with open_installation(settings, reads_data=False) as opened:
        return await experiments_of(opened, placement, now_ms, by_segment=by_segment)


def _write(file: Path, text: str) -> None:
    try:
        file.write_text(text, encoding="utf-8")
    except OSError as error:
        raise InvalidInput("--html", f"{file} cannot be written: {error.strerror}") from error


def _show_all(reports: Iterable[ExperimentReport]) -> None:
    console = _console()
    for each in reports:
        found = finding(each)
        _say(console, f"{each.placement}: {found.words or found.why_not}")


def show(report: ExperimentReport, with_segments: bool) -> None:
    """Print a report; what it cannot say goes to the error output."""
    found = finding(report)
    if found.why_not:
        click.echo(f"nextbest: {printable(found.why_not)}", err=True)
        return
    console = _console()
    _say(console, rows.facts(report))
    lead, differences = found.words, by_metric(report)
    console.print()
    _say(console, lead)
    for _, group in differences:
        for each in of_everybody(group):
            if (words := each.words or each.missing) != lead:
                _say(console, words)
    for judged in by_sides(each for each in of_everybody(report.differences) if not each.missing):
        _heading(console, judged[0])
        _print(console, *_of_metrics(judged, console.width))
    if with_segments:
        _show_segments(console, report)
    if report.money:
        console.print()
        _print(
            console, rows.MONEY, _in_lines(rows.of_money(each) for each in report.money if each.value is not None)
        )
        for without in report.money:
            if without.value is None:
                _say(console, f"{rows.of_money(without)[0].figure}: {without.missing}")
    console.print()
    _print(console, rows.SIDES, _in_lines(rows.of_sides(report)))
    console.print()
    for words in (rows.split_words(report), rows.earlier_words(report)):
        if words:
            _say(console, words)


def _show_segments(console: Console, report: ExperimentReport) -> None:
    judged = of_segments(each for each in report.differences if not each.missing)
    for group in judged:
        _heading(console, group[0])
        _print(console, *_of_segments(group, console.width), n_names=2)
    if not judged:
        words = next((each.missing for each in report.differences if each.segment), "")
        console.print()
        _say(console, words or "Nobody took part who is in a segment of the catalog.")


def _heading(console: Console, difference: Difference) -> None:
    n = "" if difference.segment else f" ({difference.n_side:,} and {difference.n_against:,} visitors)"
    where = ", by segment" if difference.segment else ""
    told = f"{compared(difference)}{where}{n}, intervals of {level(difference.level)}"
    console.print()
    console.print(cell(told), style="bold", soft_wrap=True)


def _of_metrics(differences: Sequence[Difference], width: int) -> tuple[Sequence[str], list[list[str]]]:
    """The table of one pair of sides: in a narrow terminal less of it, in a wide one relative intervals as well."""
    table = []
    for each in differences:
        _, side, against, change, interval, relative, p, seen = rows.of_difference(each)
        figures = [cell.figure for cell in (side, against, change, interval)]
        how_much = relative.in_line if width >= _ROOMY else relative.figure
        more = [p.figure, seen.figure] if width >= _NARROW else []
        table.append([each.metric, *figures, how_much, *more])
    heads = ["metric", side_name(differences[0].side), side_name(differences[0].against), *rows.DIFFERENCES[3:]]
    return heads[: len(heads) if width >= _NARROW else -2], table


def _of_segments(differences: Sequence[Difference], width: int) -> tuple[Sequence[str], list[list[str]]]:
    table = []
    for each in differences:
        _, side, against, change, interval, _, p, _ = rows.of_difference(each)
        figures = [cell.figure for cell in (side, against, change, interval)]
        more = [p.figure, f"{each.n_side:,} and {each.n_against:,}"] if width >= _NARROW else []
        table.append([each.segment, each.metric, *figures, *more])
    sides = (side_name(differences[0].side), side_name(differences[0].against))
    more = ["p", "visitors"] if width >= _NARROW else []
    return ["segment", "metric", *sides, "difference", "interval", *more], table


def _in_lines(table: Iterable[Sequence[rows.Cell]]) -> list[list[str]]:
    return [_in_line(each) for each in table]


def _in_line(cells: Sequence[rows.Cell]) -> list[str]:
    return [each.in_line for each in cells]


def _print(console: Console, heads: Sequence[str], of: Sequence[Sequence[str]], n_names: int = 1) -> None:
    if not of:
        return
    table = Table(box=None, pad_edge=False)
    for at, head in enumerate(heads):
        table.add_column(head, justify="left" if at < n_names else "right")
    for each in of:
        table.add_row(*map(cell, each))
    console.print(table)


def _say(console: Console, words: str) -> None:
    console.print(cell(words), soft_wrap=not console.is_terminal)


def _console() -> Console:
    console = Console(highlight=False)
    if not console.is_terminal:
        console.width = _WIDE  # in a file or a pipe nothing is cut off, nor broken over lines
    return console

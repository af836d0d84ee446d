"""Options of every command that reads a file as people have it: what is found by itself can be said instead."""

from __future__ import annotations

import csv
from collections.abc import Callable, Sequence
from typing import Any, TypeVar

import click
from rich.console import Console

from cli.terminal import cell
from operations.tables.reading import DAY_FIRST, DELIMITERS, MONTH_FIRST, Reading

_Command = TypeVar("_Command", bound=Callable[..., Any])

_SAID = {"tab": "\t", "\\t": "\t", "comma": ",", "semicolon": ";", "pipe": "|"}


class DelimiterType(click.ParamType):
    """One of the delimiters, as itself or by name."""

    name = "delimiter"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> str:
        """The delimiter's character."""
        found = _SAID.get(str(value).lower(), str(value))
        if found not in DELIMITERS:
            self.fail(f"{value!r} is none of , ; | tab", param, ctx)
        return found


class ColumnsType(click.ParamType):
    """Names of columns, by commas; one that has a comma in it stands in double quotes."""

    name = "columns"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> tuple[str, ...]:
        """The names."""
        if isinstance(value, tuple):
            return value
        try:
            names = next(csv.reader([str(value)], skipinitialspace=True, strict=True), [])
        except csv.Error:
            self.fail(f"{value!r}: a quote has no end", param, ctx)
        return tuple(name.strip() for name in names if name.strip())


_OPTIONS = (
    click.option(
        "--keep", type=ColumnsType(), default=(), metavar="COLUMN,…", help="Learn from these in any case."
    ),
    click.option("--header/--no-header", default=None, help="The first row names the columns. Found if not said."),
    click.option("--delimiter", type=DelimiterType(), help="Between cells: , ; | or tab. Found if not said."),
    click.option("--decimal", type=click.Choice([".", ","]), help="The decimal mark. Found if not said."),
    click.option(
        "--dates",
        type=click.Choice([DAY_FIRST, MONTH_FIRST]),
        help="What comes first in 3/4/2024. Found if not said.",
    ),
    click.option("--encoding", help="E.g. utf-8, cp1252, utf-16. Found if not said."),
)


def reading_options(command: _Command) -> _Command:
    """Give a command the options; it takes them as ``**reading``, which ``reading_of`` understands."""
    for option in reversed(_OPTIONS):
        command = option(command)
    return command


def reading_of(given: dict[str, Any]) -> Reading:
    """How the file is to be read."""
    return Reading(**given)


def say(notes: Sequence[str]) -> None:
    """Tell of what was found in a file, where figures are not in the way."""
    console = Console(stderr=True, highlight=False)
    for note in notes:
        console.print(f"[dim]·[/] {cell(note)}", soft_wrap=True)

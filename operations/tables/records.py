"""The records of a delimited file, one after the other: what is broken is named with its line."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple, TextIO

from operations.tables.opened import opened
from personalization.errors import InvalidInput

MAX_LINE_CHARS = 1 << 20
"""A longer line is no row of a table; no more than this is held to find out."""


class Record(NamedTuple):
    """One record.

    Attributes
    ----------
    line
        Where it begins, from 1.
    cells
        As written; a blank line has none.
    """

    line: int
    cells: list[str]


@contextmanager
def text_of(path: Path, encoding: str) -> Iterator[Iterator[str]]:
    """The file's lines, each with its end."""
    with opened(path) as raw, io.TextIOWrapper(raw, encoding=encoding, newline="") as file:
        yield _lines(path, file, encoding)


def records(path: Path, lines: Iterator[str], delimiter: str) -> Iterator[Record]:
    """The records in ``lines``.

    Raises
    ------
    InvalidInput
        Where quotes do not match or a line has no end.
    """
    reader = csv.reader(lines, delimiter=delimiter, skipinitialspace=True, strict=True)
    while True:
        line = reader.line_num + 1
        try:
            cells = next(reader, None)
        except csv.Error as error:
            raise InvalidInput(f"{path.name}:{line}", _remedy(str(error), reader.line_num - line)) from error
        if cells is None:
            return
        yield Record(line, cells)


def _lines(path: Path, file: TextIO, encoding: str) -> Iterator[str]:
    n = 0
    while True:
        try:
            line = file.readline(MAX_LINE_CHARS)
        except UnicodeError as error:
            raise InvalidInput(
                f"{path.name}:{n + 1}",
                f"there or soon after, text is not {encoding}: save the file anew, or say its --encoding",
            ) from error
        if not line:
            return
        n += 1
        if len(line) >= MAX_LINE_CHARS:
            raise InvalidInput(
                f"{path.name}:{n}", f"is longer than {MAX_LINE_CHARS:,} characters: rows of a table end their lines"
            )
        yield line


def _remedy(error: str, n_more_lines: int) -> str:
    if "expected after" in error:
        return "a quoted cell goes on after its closing quote: write a quote within quotes twice"
    if "limit" in error or "end of data" in error:
        more = f", and {n_more_lines:,} lines on it is still open" if n_more_lines > 0 else ""
        return f"a quote begins there that does not end{more}: close it, or write a quote within quotes twice"
    return f"cannot be read as a row: {error}"

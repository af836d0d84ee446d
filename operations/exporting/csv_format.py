"""Rows as CSV: UTF-8, a header, cells apart by commas."""

from __future__ import annotations

import csv
import io
from collections.abc import Callable, Iterable, Sequence
from typing import IO, Any

import orjson

from operations.exporting.columns import Column, Kind, Row

FORMULA = ("=", "+", "-", "@", "\t", "\r", "'")
"""Text that begins so is calculated by spreadsheets, or, in the last case, would be read as if we had marked it."""


def write_csv(rows: Iterable[Row], file: IO[bytes], columns: Sequence[Column]) -> None:
    """Write all rows.

    Text that others wrote, and a spreadsheet would calculate, gets an apostrophe before it: whoever holds a page's
    key may write ``=HYPERLINK(…)``, for somebody else to open. Taking away one apostrophe gives what was written.
    """
    text = io.TextIOWrapper(file, encoding="utf-8", newline="", write_through=False)
    # Of another end of lines a carriage return within a cell would not be quoted, and readers would break there.
    writer = csv.writer(text, lineterminator="\r\n")
    writer.writerow([column.name for column in columns])
    cells = [(column.name, _CELL[column.kind]) for column in columns]
    writer.writerows([cell(row.get(name)) for name, cell in cells] for row in rows)
    text.flush()
    text.detach()


def guarded(text: str) -> str:
    """Text that no spreadsheet calculates.

    >>> guarded("=1+1"), guarded("plain"), guarded("'tis")
    ("'=1+1", 'plain', "''tis")
    """
    return f"'{text}" if text.startswith(FORMULA) else text


def _number(value: float | None) -> str:
    return "" if value is None else repr(value)


def _text(value: Any) -> str:
    if value is None:
        return ""
    return guarded(value) if isinstance(value, str) else repr(value)


def _json(value: Any) -> str:
    return "" if value is None else orjson.dumps(value).decode()


_CELL: dict[Kind, Callable[[Any], str]] = {
    Kind.ID: lambda value: value or "",
    Kind.TEXT: _text,
    Kind.WHOLE: _number,
    Kind.NUMBER: _number,
    Kind.YES_NO: _json,
    Kind.TEXTS: _json,
    Kind.NUMBERS: _json,
    Kind.JSON: _json,
}

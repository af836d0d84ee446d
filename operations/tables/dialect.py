"""How a file writes its table: the delimiter, what stands above it, and whether its first row names the columns."""

from __future__ import annotations

import csv
from collections import Counter
from collections.abc import Collection, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from itertools import islice, pairwise
from pathlib import Path

from config.catalog_errors import did_you_mean
from operations.tables.dates import styles_of
from operations.tables.numbers import COMMA, POINT, number
from operations.tables.reading import DELIMITERS, Reading
from operations.tables.records import text_of
from personalization.errors import InvalidInput

_SAMPLE_LINES = 1_000
_SAMPLE_CHARS = 1 << 18
_MOSTLY = 0.8
_TITLE = "sep="
"""Excel reads, and some programs write, the delimiter in a line of its own at the top."""

_MAX_SHOWN = 12
_CALLED = {"\t": "TAB"}


@dataclass(frozen=True, slots=True)
class Dialect:
    """How a file is written.

    Attributes
    ----------
    n_above
        Records above the table: a title, remarks, blank lines.
    header
        Whether the table's first row names its columns.
    names
        Of the columns; an empty one has none and is left out.
    notes
        What was found and may surprise.
    """

    encoding: str
    delimiter: str
    n_above: int
    header: bool
    names: tuple[str, ...]
    notes: tuple[str, ...] = ()


def find_dialect(path: Path, encoding: str, said: Reading, wanted: Mapping[str, str]) -> Dialect:
    """Look at the beginning of a file.

    Parameters
    ----------
    wanted
        Columns there must be → the option that named them.

    Raises
    ------
    InvalidInput
        Where there is no table, or none with these columns.
    """
    with text_of(path, encoding) as lines:
        sample = list(_first(lines))
    if not any(line.strip() for line in sample):
        raise InvalidInput(str(path), "is empty: a row a line is needed, and a first line that names the columns")
    if sample[0].lstrip("\ufeff").startswith(("{", "[")) and '":' in sample[0]:
        raise InvalidInput(str(path), "looks like JSON: write it as CSV, one row a line")
    title = sample[0].strip().strip('"').lower()
    of_title = title[len(_TITLE) :] if title.startswith(_TITLE) and len(title) == len(_TITLE) + 1 else None
    delimiter = said.delimiter or of_title or _delimiter(sample, wanted)
    rows = _rows(sample, delimiter)
    n_above = _n_above(rows)
    while n_above < len(rows) and not rows[n_above]:
        n_above += 1
    table = [[cell.strip() for cell in row] for row in rows[n_above:] if row]
    header = said.header if said.header is not None else _has_header(table, wanted)
    names = table[0] if header else [f"column {at}" for at in range(1, len(table[0]) + 1)]
    _check_names(path, names, wanted, delimiter, header)
    return Dialect(
        encoding, delimiter, n_above, header, tuple(names), tuple(_notes(rows[:n_above], names, header, said))
    )


def shown_delimiter(delimiter: str) -> str:
    """A delimiter as people call it.

    >>> shown_delimiter(";"), shown_delimiter(chr(9))
    ("';'", 'TAB')
    """
    return _CALLED.get(delimiter, repr(delimiter))


def _first(lines: Iterator[str]) -> Iterator[str]:
    n_chars = 0
    for line in islice(lines, _SAMPLE_LINES):
        yield line
        n_chars += len(line)
        if n_chars > _SAMPLE_CHARS:
            return


def _rows(sample: Sequence[str], delimiter: str) -> list[list[str]]:
    rows: list[list[str]] = []
    with suppress(csv.Error):  # the reading proper says where
        rows.extend(csv.reader(sample, delimiter=delimiter, skipinitialspace=True))
    if len(rows) > 1 and (len(sample) == _SAMPLE_LINES or sum(map(len, sample)) > _SAMPLE_CHARS):
        rows.pop()  # it may go on behind the sample
    return rows


def _delimiter(sample: Sequence[str], wanted: Collection[str]) -> str:
    best, found = (0, 0.0), ","
    for delimiter in DELIMITERS:
        rows = [row for row in _rows(sample, delimiter) if row]
        if not rows:
            continue
        width, n_alike = _width(rows)
        if width < 2:
            continue
        names = {cell.strip() for row in rows[:_MAX_SHOWN] for cell in row}
        score = (len(names.intersection(wanted)), n_alike / len(rows))
        if score > best:
            best, found = score, delimiter
    return found


def _width(rows: Sequence[Sequence[str]]) -> tuple[int, int]:
    """How many cells most rows have, and how many rows these are."""
    ((width, n_alike),) = Counter(map(len, rows)).most_common(1)
    return width, n_alike


def _n_above(rows: Sequence[Sequence[str]]) -> int:
    """How many records at the top are no rows of the table: they fill one cell where the others have many."""
    width, _ = _width([row for row in rows if row] or [[""]])
    n_above = 0
    for row in rows:
        n_filled = sum(1 for cell in row if cell.strip())
        is_remark = n_filled <= 1 or (row[0].lstrip().startswith("#") and len(row) != width)
        if width < 2 or not is_remark:
            break
        n_above += 1
    return n_above if n_above < len(rows) else 0


def _has_header(table: Sequence[Sequence[str]], wanted: Collection[str]) -> bool:
    first = table[0]
    rest = [row for row in table[1:] if row != first]  # files put together repeat their header
    if any(name in first for name in wanted):
        return True
    if any(name.startswith("column ") for name in wanted):
        return False
    if _counts_up(first):
        return True  # a data frame's columns that nobody named
    is_data = False
    for at, cell in enumerate(first):
        column = [row[at] for row in rest if at < len(row) and row[at]]
        if not cell or not column:
            continue
        n_measured = sum(map(_is_measured, column))
        if _is_measured(cell):
            is_data = is_data or n_measured >= _MOSTLY * len(column)
        elif n_measured >= _MOSTLY * len(column):
            return True
        elif cell in column:
            is_data = True
    return not is_data


def _counts_up(cells: Sequence[str]) -> bool:
    numbers = [cell for cell in cells if cell.isdecimal()]
    return len(numbers) >= 3 and all(int(later) == int(earlier) + 1 for earlier, later in pairwise(numbers))


def _is_measured(text: str) -> bool:
    """Whether it is a number or a date, which names are not."""
    return any(number(text, mark) is not None for mark in (POINT, COMMA)) or any(styles_of(text))


def _check_names(path: Path, names: Sequence[str], wanted: Mapping[str, str], delimiter: str, header: bool) -> None:
    double = sorted({name for name in names if name and names.count(name) > 1})
    if double:
        raise InvalidInput(
            str(path), f"names a column twice: {', '.join(double[:_MAX_SHOWN])}; rename one, or leave it out"
        )
    for column, option in wanted.items():
        if column not in names:
            shown = ", ".join(names[:_MAX_SHOWN]) + (", …" if len(names) > _MAX_SHOWN else "")
            has = f"it has {shown}" if header else f"it has no header, and its columns are called {shown}"
            near = did_you_mean(column, [name for name in names if name])
            if near.startswith("did"):
                has = f"{near} {has[0].upper()}{has[1:]}"
            alone = "" if len(names) > 1 else f" (taken for separated by {shown_delimiter(delimiter)}: --delimiter)"
            raise InvalidInput(option, f"{path.name} has no column {column!r}; {has}{alone}")


def _notes(above: Sequence[Sequence[str]], names: Sequence[str], header: bool, said: Reading) -> Iterator[str]:
    n_remarks = sum(1 for row in above if any(cell.strip() for cell in row))
    if n_remarks:
        first = next(cell for row in above for cell in row if cell.strip())
        what = f"{n_remarks} lines above the table are" if n_remarks > 1 else "a line above the table is"
        yield f"{what} left out ({first[:40]!r})"
    if not header and said.header is None:
        yield f"the first line names no columns: they are column 1 to column {len(names)} (--header if it does)"
    if header and said.header is None and all(map(_is_measured, filter(None, names))):
        yield "the first line is taken for the columns' names though it holds numbers (--no-header if it is a row)"

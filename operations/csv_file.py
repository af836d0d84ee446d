"""A CSV file of visitors: the same reading, and the same complaints, for every command that takes one."""

from __future__ import annotations

import csv
import gzip
import zlib
from collections.abc import Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple, TextIO

from personalization.errors import InvalidInput
from personalization.features import FeatureValue, clean

MAX_SHOWN_COLUMNS = 12


class Row(NamedTuple):
    """One line of the file.

    Attributes
    ----------
    place
        ``file:line``, for complaints.
    cells
        Text by column, without the space around it; a column without a name is left out.
    """

    place: str
    cells: dict[str, str]

    def context(self, left_out: Collection[str]) -> dict[str, FeatureValue]:
        """The features of the visitor, raw; an empty cell is absent."""
        return {
            name: value
            for name, text in self.cells.items()
            if name not in left_out and (value := cell(text)) is not None
        }

    def number(self, column: str) -> float:
        """What the cell says.

        Raises
        ------
        InvalidInput
            Where it is no finite number.
        """
        value = cell(self.cells[column])
        if not isinstance(value, float):
            raise InvalidInput(self.place, f"column {column!r} is {self.cells[column]!r}: every row needs a number")
        return value


def cell(text: str) -> FeatureValue | None:
    """A number where it is one, else a category; empty is missing.

    >>> cell("3"), cell("blue"), cell("")
    (3.0, 'blue', None)
    """
    if not text:
        return None
    try:
        return clean(float(text))
    except ValueError:
        return clean(text)


def read_rows(path: Path, wanted: Mapping[str, str], limit: int | None = None) -> Sequence[Row]:
    """The rows of a CSV file with a header, gzipped where its first bytes say so.

    Parameters
    ----------
    wanted
        Columns there must be → the option that named them.
    limit
        Only the first so many.

    Raises
    ------
    InvalidInput
        Naming the option or the line, and what to write instead.
    """
    try:
        with _open(path) as file:
            rows = list(_rows(path, file, wanted, limit))
    except (OSError, EOFError, zlib.error) as error:
        raise InvalidInput(str(path), f"cannot be read: {error}") from error
    except (UnicodeDecodeError, csv.Error) as error:
        raise InvalidInput(str(path), f"is no CSV file in UTF-8: {error}") from error
    if not rows:
        raise InvalidInput(str(path), "has a header but no rows")
    return rows


def _rows(path: Path, file: TextIO, wanted: Mapping[str, str], limit: int | None) -> Iterator[Row]:
    reader = csv.reader(file, strict=True)
    names = _check_header(path, next(reader, None), wanted)
    n = 0
    for cells in reader:
        if not cells:
            continue
        if limit is not None and n >= limit:
            return
        n += 1
        place = f"{path.name}:{reader.line_num}"
        if len(cells) != len(names):
            raise InvalidInput(place, f"has {len(cells)} cells, the header has {len(names)}")
        yield Row(place, {name: text.strip() for name, text in zip(names, cells, strict=True) if name})


@contextmanager
def _open(path: Path) -> Iterator[TextIO]:
    with path.open("rb") as raw:
        zipped = raw.read(2) == b"\x1f\x8b"
    if zipped:
        with gzip.open(path, "rt", encoding="utf-8-sig", newline="") as file:
            yield file
    else:
        with path.open("r", encoding="utf-8-sig", newline="") as file:
            yield file


def _check_header(path: Path, header: list[str] | None, wanted: Mapping[str, str]) -> list[str]:
    if not header:
        raise InvalidInput(str(path), "is empty: the first line must name the columns")
    names = [name.strip() for name in header]
    double = sorted({name for name in names if name and names.count(name) > 1})
    if double:
        raise InvalidInput(str(path), f"names a column twice: {', '.join(double)}")
    for column, option in wanted.items():
        if column not in names:
            shown = ", ".join(names[:MAX_SHOWN_COLUMNS]) + (", …" if len(names) > MAX_SHOWN_COLUMNS else "")
            raise InvalidInput(option, f"{path.name} has no column {column!r}; it has {shown}")
    return names

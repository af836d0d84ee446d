"""A file of rows, read as features: first looked through, then read; the whole of it is never held as text."""

from __future__ import annotations

from array import array
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from itertools import islice
from pathlib import Path
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

from online_models.reward_model import FloatArray
from operations.tables.column_kind import ColumnKind, kinds_of
from operations.tables.column_profile import MISSING, ColumnProfile
from operations.tables.contexts import Contexts, FeatureColumn
from operations.tables.dates import features_of, parse
from operations.tables.dialect import Dialect, find_dialect, shown_delimiter
from operations.tables.encoding import find_encoding
from operations.tables.numbers import POINT, number, truth
from operations.tables.reading import AS_FOUND, Reading
from operations.tables.records import records, text_of
from personalization.errors import InvalidInput
from personalization.features import FeatureValue, clean

MAX_CELLS = 25_000_000
"""Held at 12 bytes each: 300 MB."""

_CHUNK_ROWS = 2_000
_MAX_CACHED = 50_000
_MAX_NAMED = 8
_TOTALS = frozenset({"grand total", "gesamtsumme", "gesamtergebnis", "totals", "total général", "total general"})

_Values: TypeAlias = tuple[FeatureValue | None, ...]
_ODD: _Values = ("",)
"""Stands for what is not like the rest of its column."""

_ANY_DAY = datetime(2000, 1, 1)


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


@dataclass(frozen=True, slots=True)
class NamedColumn:
    """A column that an option named, as text.

    Attributes
    ----------
    texts
        The different cells.
    codes
        Shape (n,): each row's index among them.
    """

    name: str
    texts: tuple[str, ...]
    codes: NDArray[np.intp]
    mark: str

    def row_of(self, code: int) -> int:
        """The first row with the ``code``-th text."""
        return int(np.argmax(self.codes == code))


@dataclass(frozen=True, slots=True)
class TableFile:
    """Rows in file order.

    Attributes
    ----------
    contexts
        Features of each row: columns that no option named and that are not left out.
    named
        The columns that options named.
    notes
        What was found or chosen and may surprise, a sentence each.
    n_left_out
        Columns that are no features, though no option says so.
    """

    path: Path
    contexts: Contexts
    named: Mapping[str, NamedColumn]
    notes: tuple[str, ...]
    n_left_out: int
    lines: array[int]

    def __len__(self) -> int:
        return len(self.lines)

    def place(self, row: int) -> str:
        """``file:line`` of a row, for complaints."""
        return f"{self.path.name}:{self.lines[row]}"

    def filled(self, column: str, why: str) -> NamedColumn:
        """A named column without an empty cell.

        Raises
        ------
        InvalidInput
            At the first row that has one; says ``why`` it must not.
        """
        found = self.named[column]
        for code, text in enumerate(found.texts):
            if not text:
                raise InvalidInput(self.place(found.row_of(code)), f"column {column!r} is empty: {why}")
        return found

    def numbers(self, column: str) -> FloatArray:
        """What a named column says, shape (n,); yes is 1, no is 0.

        Raises
        ------
        InvalidInput
            At the first row that says no finite number.
        """
        return self._each(column, _number, "every row needs a number, or yes or no")

    def labels(self, column: str) -> FloatArray:
        """What a named column says, shape (n,), in {0, 1}.

        Raises
        ------
        InvalidInput
            At the first row that says neither yes nor no.
        """
        return self._each(
            column, _label, "write 1 for converted, 0 for not (yes/no, ja/nein, true/false do as well)"
        )

    def _each(self, column: str, say: Callable[[str, str], float | None], remedy: str) -> FloatArray:
        found = self.named[column]
        values = [say(text, found.mark) for text in found.texts]
        wrong = [found.row_of(code) for code, value in enumerate(values) if value is None]
        if wrong:
            row = min(wrong)
            text = found.texts[int(found.codes[row])]
            raise InvalidInput(self.place(row), f"column {column!r} is {text!r}: {remedy}")
        known: FloatArray = np.array([value for value in values if value is not None], dtype=np.float64)
        return known[found.codes]


def read_table(
    path: Path,
    wanted: Mapping[str, str],
    limit: int | None = None,
    ignored: Collection[str] = (),
    said: Reading = AS_FOUND,
    answer: str | None = None,
) -> TableFile:
    """Read a delimited file however it is written, gzipped or not.

    Parameters
    ----------
    wanted
        Columns there must be → the option that named them. They are no features.
    limit
        Only the first so many rows.
    ignored
        Those of ``wanted`` that nobody needs.
    said
        How it is to be read where it is not to be found out.
    answer
        One of ``wanted``: rows where it is empty are left out, with a word.

    Raises
    ------
    InvalidInput
        Naming the option, or file, line and column, and what to do about it.
    """
    encoding = find_encoding(path, said.encoding)
    asked = {**wanted, **dict.fromkeys(said.keep, "--keep")}
    dialect = find_dialect(path, encoding.name, said, asked)
    notes = [f"{path.name} {encoding.note}"] if encoding.note else []
    if dialect.delimiter != "," and said.delimiter is None:
        notes.append(f"cells are separated by {shown_delimiter(dialect.delimiter)}")
    notes += dialect.notes
    names = [name for name in dialect.names if name]
    n_most = max(1, MAX_CELLS // max(1, len(names)))
    source = _Source(path, dialect, min(n_most, limit or n_most), answer)
    profiles = source.profiles()
    if not source.n_rows and source.n_unanswered:
        raise InvalidInput(str(path), f"column {answer!r} is empty in every row: name the one that says what came")
    if not source.n_rows:
        raise InvalidInput(str(path), "has a header but no rows: each row is a visitor, or a decision")
    if source.n_rows == n_most and (limit is None or limit > n_most):
        notes.append(f"only the first {n_most:,} rows are read: more would not fit in memory")
    notes += source.notes
    if source.n_unanswered:
        notes.append(
            f"{source.n_unanswered:,} rows say nothing in column `{answer}`: left out (write 0 if that is a no)"
        )
    kinds = kinds_of(profiles, said, dialect.delimiter)
    features = [name for name in names if name not in wanted and not kinds[name].left_out]
    makers = {name: _Maker(name, kinds[name], profiles[name]) for name in features}
    takers = {name: _Taker(name, kinds[name]) for name in wanted if name not in ignored}
    lines = source.read(makers, takers)
    notes += [f"column `{name}` {kinds[name].note}" for name in features if kinds[name].note]
    left_out = {name: kinds[name].left_out for name in names if name not in wanted and kinds[name].left_out}
    notes += _left_out(left_out)
    notes += [note for maker in makers.values() for note in maker.notes(path.name)]
    columns = [column for maker in makers.values() for column in maker.columns]
    named = {name: taker.column() for name, taker in takers.items()}
    return TableFile(path, Contexts(columns, len(lines)), named, tuple(notes), len(left_out), lines)


def quoted(names: Sequence[str]) -> str:
    """Names of columns for people, not more than they read.

    >>> quoted(["id", "note"])
    'columns `id`, `note`'
    """
    shown = ", ".join(f"`{name}`" for name in names[:_MAX_NAMED])
    more = f" and {len(names) - _MAX_NAMED} more" if len(names) > _MAX_NAMED else ""
    return f"column{'s' if len(names) > 1 else ''} {shown}{more}"


def _left_out(reasons: Mapping[str, str]) -> Iterator[str]:
    for reason in dict.fromkeys(reasons.values()):
        names = [name for name, each in reasons.items() if each == reason]
        said = reason if len(names) == 1 else reason.replace("is ", "are ", 1)
        yield f"{quoted(names)} {said}: left out"


class _Source:
    """The table's rows, as often as they are asked for."""

    def __init__(self, path: Path, dialect: Dialect, n_most: int, answer: str | None) -> None:
        self._path, self._dialect, self._n_most = path, dialect, n_most
        self._answer_at = None if answer is None else dialect.names.index(answer)
        self.n_rows = self.n_unanswered = 0
        self.notes: list[str] = []

    def profiles(self) -> dict[str, ColumnProfile]:
        """Look through all rows."""
        found = {name: ColumnProfile() for name in self._dialect.names if name}
        for _, columns in self._chunks():
            for name, cells in columns.items():
                found[name].add(cells)
        return found

    def read(self, makers: Mapping[str, _Maker], takers: Mapping[str, _Taker]) -> array[int]:
        """Read all rows; gives the line of each."""
        found = array("q")
        for lines, columns in self._chunks():
            for readers in (makers, takers):
                for name, reader in readers.items():
                    reader.take(columns[name], lines)
            found.extend(lines)
        return found

    def _chunks(self) -> Iterator[tuple[list[int], dict[str, list[str]]]]:
        self.n_rows, self.n_unanswered, self.notes = 0, 0, []
        with text_of(self._path, self._dialect.encoding) as lines:
            rows = self._rows(lines)
            while chunk := list(islice(rows, min(_CHUNK_ROWS, self._n_most - self.n_rows))):
                self.n_rows += len(chunk)
                cells = zip(*(cells for _, cells in chunk), strict=True)
                columns = {
                    name: [text.strip() for text in column]
                    for name, column in zip(self._dialect.names, cells, strict=True)
                    if name
                }
                yield [line for line, _ in chunk], columns
                if self.n_rows >= self._n_most:
                    return

    def _rows(self, lines: Iterator[str]) -> Iterator[tuple[int, list[str]]]:
        dialect, n_cells = self._dialect, len(self._dialect.names)
        is_after_blank = False
        n_headers = 0
        names = list(dialect.names)
        each = records(self._path, lines, dialect.delimiter)
        for at, (line, cells) in enumerate(each):
            if at < dialect.n_above:
                continue
            if not cells or not any(cells):
                is_after_blank = True
                continue
            if dialect.header and cells[0].strip() == names[0] and [text.strip() for text in cells] == names:
                n_headers += 1
                if n_headers == 2:
                    self.notes.append(f"the columns' names stand in line {line} again: repetitions are left out")
                continue
            if len(cells) != n_cells:
                if is_after_blank and cells[0].lstrip().startswith("#"):
                    self.notes.append(f"another table begins in line {line}: it is left out")
                    return
                if _is_total(cells):
                    self.notes.append(f"line {line} holds totals: left out")
                    continue
                cells = self._fitted(cells, n_cells, line)
            elif _is_total(cells):
                self.notes.append(f"line {line} holds totals: left out")
                continue
            is_after_blank = False
            if self._answer_at is not None and not cells[self._answer_at].strip():
                self.n_unanswered += 1
                continue
            yield line, cells

    def _fitted(self, cells: list[str], n_cells: int, line: int) -> list[str]:
        if len(cells) > n_cells and not any(text.strip() for text in cells[n_cells:]):
            return cells[:n_cells]  # spreadsheets write what is empty to the right as well
        what = "the header" if self._dialect.header else "the first row"
        raise InvalidInput(
            f"{self._path.name}:{line}",
            f"has {len(cells)} cells, {what} has {n_cells}: quote cells that hold "
            f"{shown_delimiter(self._dialect.delimiter)}, and write empty ones for what is missing",
        )


def _is_total(cells: Sequence[str]) -> bool:
    return any(cells[at].strip().lower() in _TOTALS for at in (0, -1))


class _Maker:
    """Makes a column's features, row by row."""

    def __init__(self, name: str, kind: ColumnKind, profile: ColumnProfile) -> None:
        self._name, self._kind = name, kind
        self._is_numeric = profile.n_float == profile.n
        self._cache: dict[str, _Values] = {}
        self._n_odd, self._odd_line, self._odd = 0, 0, ""
        if kind.style is None:
            self.columns = [FeatureColumn(name, name)]
        else:
            parts = features_of(_ANY_DAY, kind.style, kind.has_times)
            self.columns = [FeatureColumn(f"{name} {part}", name) for part in parts]

    def take(self, cells: Sequence[str], lines: Sequence[int]) -> None:
        """The next rows' cells."""
        cache, values = self._cache, []
        for text, line in zip(cells, lines, strict=True):
            value = cache.get(text)
            if value is None:
                value = self._made(text)
                if value is _ODD:
                    self._n_odd += 1
                    if self._n_odd == 1:
                        self._odd_line, self._odd = line, text
                    value = (clean(text),) if self._kind.style is None else (None,) * len(self.columns)
                elif len(cache) < _MAX_CACHED:
                    cache[text] = value
            values.append(value)
        for column, of_column in zip(self.columns, zip(*values, strict=True), strict=True):
            for each in of_column:
                column.append(each)

    def notes(self, file: str) -> Iterator[str]:
        """What was not like the rest of the column."""
        if self._n_odd:
            what, then = ("number", "a category") if self._kind.style is None else ("date", "missing")
            more = f" and {self._n_odd - 1:,} more" if self._n_odd > 1 else ""
            yield (
                f"column `{self._name}`: {self._odd[:40]!r} ({file}:{self._odd_line}){more} is no {what} like the "
                f"others, and taken for {then}"
            )

    def _made(self, text: str) -> _Values:
        kind = self._kind
        if not text:
            return (None,) * len(self.columns)
        if kind.style is not None:
            if text in MISSING:
                return (None,) * len(self.columns)
            when = parse(text, kind.style)
            return _ODD if when is None else tuple(features_of(when, kind.style, kind.has_times).values())
        if kind.is_code:
            return (clean(text),)
        if kind.mark is not None:
            if text in MISSING:
                return (None,)
            value = number(text, kind.mark)
            return _ODD if value is None else (clean(value),)
        if self._is_numeric and text in MISSING:
            return (None,)
        return (cell(text),)


class _Taker:
    """Keeps a column's text as it is."""

    def __init__(self, name: str, kind: ColumnKind) -> None:
        self._name, self._mark = name, kind.mark or POINT
        self._index: dict[str, int] = {}
        self._codes = array("q")

    def take(self, cells: Sequence[str], lines: Sequence[int]) -> None:
        """The next rows' cells."""
        index = self._index
        self._codes.extend([index.setdefault(text, len(index)) for text in cells])

    def column(self) -> NamedColumn:
        """All of it."""
        return NamedColumn(self._name, tuple(self._index), np.array(self._codes, dtype=np.intp), self._mark)


def _number(text: str, mark: str) -> float | None:
    value = cell(text)
    if isinstance(value, float) and mark == POINT:
        return value
    written = number(text, mark)
    if written is not None:
        bounded = clean(written)
        return bounded if isinstance(bounded, float) else None
    said = truth(text) if text else None
    return None if said is None else float(said)


def _label(text: str, mark: str) -> float | None:
    said = truth(text) if text else None
    return None if said is None else float(said)

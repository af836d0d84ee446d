"""However a table is written, the same is read; whatever the bytes are, they are a table or a clear complaint."""

from __future__ import annotations

import csv
import gzip
import io
from pathlib import Path
from typing import NamedTuple

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from operations.tables.reading import DELIMITERS, Reading
from operations.tables.table_file import TableFile, read_table
from personalization.errors import InvalidInput

ANY_FIXTURE = settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None, max_examples=40)


class Written(NamedTuple):
    delimiter: str
    encoding: str
    decimal: str
    line_end: str
    quoting: int
    is_zipped: bool
    has_header: bool


dialects = st.builds(
    Written,
    st.sampled_from(DELIMITERS),
    st.sampled_from(["utf-8", "utf-8-sig", "cp1252", "utf-16", "utf-16-le"]),
    st.sampled_from([".", ","]),
    st.sampled_from(["\n", "\r\n", "\r"]),
    st.sampled_from([csv.QUOTE_MINIMAL, csv.QUOTE_ALL]),
    st.booleans(),
    st.booleans(),
)
words = st.sampled_from(["Köln", "Zürich", "Århus", 'the "best"', "two\nlines", "a, b", "a; b", "x|y"])
rows = st.lists(
    st.tuples(words, st.floats(-9_999, 9_999, allow_nan=False).map(lambda x: round(x, 2)), st.integers(0, 99)),
    min_size=5,
    max_size=40,
)


def write(path: Path, table: list[tuple[str, float, int]], written: Written) -> Path:
    text = io.StringIO(newline="")
    writer = csv.writer(text, delimiter=written.delimiter, lineterminator=written.line_end, quoting=written.quoting)  # type: ignore[arg-type]
    if written.has_header:
        writer.writerow(["place", "amount", "age"])
    for place, amount, age in table:
        writer.writerow([place, f"{amount:.2f}".replace(".", written.decimal), age])
    content = text.getvalue().encode(written.encoding)
    path.write_bytes(gzip.compress(content) if written.is_zipped else content)
    return path


def one_line(table: list[tuple[str, float, int]], written: Written) -> list[tuple[str, float, int]]:
    """Python's writer quotes the ends of its own lines alone."""
    if written.line_end != "\r":
        return table
    return [(place.replace("\n", " "), amount, age) for place, amount, age in table]


def features(table: TableFile) -> list[list[object]]:
    return [[*context.values()] for context in table.contexts]


@given(rows, dialects)
@ANY_FIXTURE
def test_a_table_reads_back_the_same_in_any_dialect(
    tmp_path: Path, table: list[tuple[str, float, int]], written: Written
) -> None:
    # Nobody's delimiter within a cell is told from a delimiter, unless the cell is quoted.
    table = [row for row in one_line(table, written) if written.quoting or not set(",;|") & set(row[0])]
    if len(table) < 5:
        return
    name = "place" if written.has_header else "column 1"
    found = read_table(write(tmp_path / "table", table, written), {name: "--label"})
    texts = found.named[name].texts
    assert [texts[code] for code in found.named[name].codes.tolist()] == [place for place, _, _ in table]
    assert features(found) == [[amount, float(age)] for _, amount, age in table]


@given(rows, dialects)
@ANY_FIXTURE
def test_what_is_said_is_not_guessed(tmp_path: Path, table: list[tuple[str, float, int]], written: Written) -> None:
    table = one_line(table, written)
    said = Reading(
        delimiter=written.delimiter, encoding=written.encoding, decimal=written.decimal, header=written.has_header
    )
    found = read_table(write(tmp_path / "table", table, written), {}, said=said)
    assert features(found) == [[place, amount, float(age)] for place, amount, age in table]


@given(st.binary(max_size=400))
@example(b"\x1f\x8b\x08\x00broken")
@example(b"\xff\xfe\x00")
@example(b"\x00" * 64)
@example(b'"')
@example(b"a,b\n" * 40)
@example(b"\r\r\n\n,,,\n;;;")
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None, max_examples=150)
def test_any_bytes_are_a_table_or_a_complaint(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "bytes"
    path.write_bytes(content)
    try:
        table = read_table(path, {})
    except InvalidInput:
        return
    assert len(list(table.contexts)) == len(table) > 0


LETTERS = st.text(st.sampled_from("01239.,;:|/-\t\n\r\"' #aeüé€%"), max_size=300)


@given(LETTERS, st.sampled_from(["utf-8", "cp1252", "utf-16"]))
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None, max_examples=150)
def test_any_text_is_a_table_or_a_complaint(tmp_path: Path, text: str, encoding: str) -> None:
    path = tmp_path / "text"
    path.write_bytes(text.encode(encoding))
    try:
        table = read_table(path, {})
    except InvalidInput:
        return
    assert len(list(table.contexts)) == len(table) > 0
    for note in table.notes:
        assert note


def read(tmp_path: Path, text: str, said: Reading | None = None) -> TableFile:
    path = tmp_path / "visitors.csv"
    path.write_bytes(text.encode())
    return read_table(path, {}, said=said or Reading())


def test_cells_are_numbers_categories_or_missing(tmp_path: Path) -> None:
    table = read(tmp_path, "\ufeff,age, device ,label\n0,31, phone,a\n1,,nan,b\n\n")
    assert list(table.contexts) == [{"age": 31.0, "device": "phone", "label": "a"}, {"label": "b"}]
    assert [table.place(row) for row in range(2)] == ["visitors.csv:2", "visitors.csv:3"]


@pytest.mark.parametrize(
    ("text", "n_rows", "says"),
    [
        ("Report 2024\n\nage,kind\n1,a\n2,b\n", 2, "a line above the table is left out ('Report 2024')"),
        ("# made by a tool\n# on Monday\nage,kind\n1,a\n2,b\n", 2, "2 lines above the table are left out"),
        ("sep=;\nage;kind\n1;a\n2;b\n", 2, "cells are separated by ';'"),
        ("age,kind\n1,a\nage,kind\n2,b\n", 2, "the columns' names stand in line 3 again"),
        ("age,kind\n,,Grand total\n1,a\n2,b\n", 2, "line 2 holds totals: left out"),
        ("age,kind\n1,a\n2,b\n\n# Others\nx\n", 2, "another table begins in line 5"),
        ("age,kind,\n1,a,,\n2,b,\n", 2, ""),
        ("31,phone\n7,desk\n8,desk\n", 3, "the first line names no columns"),
        ("phone,up\ndesk,down\nphone,down\n", 3, "the first line names no columns"),
        ('age, kind\n1, "a, blue"\n2, "b"\n', 2, ""),
        ("0,1,2,kind\n5,6,7,a\n8,9,9,b\n", 2, ""),
    ],
)
def test_what_is_no_row_is_left_out_with_a_word(tmp_path: Path, text: str, n_rows: int, says: str) -> None:
    table = read(tmp_path, text)
    assert len(table) == n_rows
    assert says in "\n".join(table.notes)


def test_columns_without_names_are_counted(tmp_path: Path) -> None:
    assert [*read(tmp_path, "31,phone\n7,desk\n8,desk\n").contexts[0]] == ["column 1", "column 2"]
    headed = read(tmp_path, "31,phone\n7,desk\n8,desk\n", Reading(header=True))
    assert [*headed.contexts[0]] == ["31", "phone"]


def test_only_so_many_cells_are_held(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("operations.tables.table_file.MAX_CELLS", 20)
    table = read(tmp_path, "age,kind\n" + "1,a\n" * 50)
    assert len(table) == 10
    assert "only the first 10 rows are read" in "\n".join(table.notes)

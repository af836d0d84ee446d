"""What a column is: numbers, dates, codes, categories; ids, free text and empty ones are no features."""

from __future__ import annotations

from pathlib import Path

import pytest

from operations.history import read_history
from operations.tables.reading import Reading
from operations.tables.table_file import TableFile, read_table
from personalization.errors import InvalidInput


def column(tmp_path: Path, cells: list[str], said: Reading | None = None, beside: str = "x") -> TableFile:
    path = tmp_path / "visitors.csv"
    path.write_text("value;beside\n" + "".join(f"{each};{beside}\n" for each in cells))
    return read_table(path, {"beside": "--label"}, said=said or Reading(delimiter=";", header=True))


def values(table: TableFile) -> list[object]:
    return [context.get("value") for context in table.contexts]


@pytest.mark.parametrize(
    ("cells", "numbers"),
    [
        (["1.234,5", "3,5", "7"], [1234.5, 3.5, 7.0]),
        (["1,234.5", "3.5", "7"], [1234.5, 3.5, 7.0]),
        (["1.234", "3,5", "12.000"], [1234.0, 3.5, 12000.0]),
        (["1.234", "3.5", "12.000"], [1.234, 3.5, 12.0]),
        (["1'234.50", "20.00"], [1234.5, 20.0]),
        (["1 234,50 €", "20,00 €"], [1234.5, 20.0]),
        (["12,5 %", "3,0 %"], [12.5, 3.0]),
        (["-3,5", "12,50-"], [-3.5, -12.5]),
        (["3,5", "NULL", "4,5", ""], [3.5, None, 4.5, None]),
        (["3.5", "N/A", "1e3"], [3.5, None, 1000.0]),
    ],
)
def test_numbers_are_read_as_people_write_them(tmp_path: Path, cells: list[str], numbers: list[object]) -> None:
    assert values(column(tmp_path, cells)) == numbers


def test_a_number_that_could_be_two_is_told_of(tmp_path: Path) -> None:
    notes = "\n".join(column(tmp_path, ["1.234", "2.500"]).notes)
    assert "1.234, which is read as three decimals (--decimal , if it is not)" in notes
    assert values(column(tmp_path, ["1.234", "2.500"], Reading(delimiter=";", decimal=","))) == [1234.0, 2500.0]


@pytest.mark.parametrize(
    ("cells", "first", "says"),
    [
        (["2024-12-31", "2025-01-02"], {"month": "December", "weekday": "Tuesday"}, "ISO"),
        (["2024-12-31T18:30:00Z", "2025-01-02 07:00:00 +0100"], {"month": "December", "hour": 18.5}, "ISO"),
        (["31.12.2024 18:30", "02.01.2025 07:00"], {"month": "December", "hour": 18.5}, "day.month.year"),
        (["12/31/2024", "01/02/2025"], {"month": "December"}, "read month-first"),
        (["31/12/2024", "01/02/2025"], {"month": "December"}, "read day-first"),
        (["03/04/2024", "01/02/2025"], {"month": "April"}, "could be month-first as well: --dates month-first"),
        (["20241231", "20250102"], {"month": "December"}, "YYYYMMDD"),
        (["18:30", "07:00"], {"hour": 18.5}, "times of day"),
        (["1735669800", "1735669900"], {"month": "December", "hour": 18.5}, "seconds since 1970"),
        (["31/Dec/2024:18:30:00 +0000", "02/Jan/2025:07:00:00 +0000"], {"hour": 18.5}, "day/Mon/year"),
        (["12/31/2024 6:30 PM", "1/2/2025 7:00 AM"], {"hour": 18.5}, "read month-first"),
    ],
)
def test_dates_are_features_of_the_year_and_the_day(
    tmp_path: Path, cells: list[str], first: dict[str, object], says: str
) -> None:
    table = column(tmp_path, cells)
    assert {f"value {part}": value for part, value in first.items()}.items() <= table.contexts[0].items()
    assert says in "\n".join(table.notes)


def test_what_comes_first_in_a_date_can_be_said(tmp_path: Path) -> None:
    said = Reading(delimiter=";", dates="month-first")
    assert column(tmp_path, ["03/04/2024", "01/02/2025"], said).contexts[0]["value month"] == "March"


@pytest.mark.parametrize(
    ("cells", "says"),
    [
        ([f"user-{n}" for n in range(40)], "column `value` is different in every row: left out"),
        ([str(n) for n in range(100, 140)], "column `value` is different in every row: left out"),
        ([f"please send it to door {n % 30}" for n in range(40)], "column `value` is free text: left out"),
        ([""] * 40, "column `value` is empty in every row: left out"),
    ],
)
def test_ids_and_free_text_are_left_out_with_a_word(tmp_path: Path, cells: list[str], says: str) -> None:
    table = column(tmp_path, cells)
    assert says in table.notes
    assert not table.contexts.columns


def test_what_is_kept_is_kept(tmp_path: Path) -> None:
    cells = [f"user-{n}" for n in range(40)]
    kept = column(tmp_path, cells, Reading(delimiter=";", keep=("value",)))
    assert values(kept) == cells
    with pytest.raises(InvalidInput, match=r"--keep: visitors.csv has no column 'vlaue'"):
        column(tmp_path, cells, Reading(keep=("vlaue",)))


def test_numbers_with_leading_zeros_are_codes(tmp_path: Path) -> None:
    assert values(column(tmp_path, ["01067", "80331", "01067"])) == ["01067", "80331", "01067"]


def test_a_cell_unlike_the_others_is_named_with_its_line(tmp_path: Path) -> None:
    table = column(tmp_path, ["3,5"] * 30 + ["much"])
    assert "column `value`: 'much' (visitors.csv:32) is no number like the others" in "\n".join(table.notes)
    assert values(table)[-1] == "much"


@pytest.mark.parametrize(
    ("yes", "no"),
    [
        ("ja", "nein"),
        ("yes", "no"),
        ("TRUE", "FALSE"),
        ("WAHR", "FALSCH"),
        ("oui", "non"),
        ("sí", "no"),
        ("1", "0"),
    ],
)
def test_labels_are_yes_and_no_in_five_languages(tmp_path: Path, yes: str, no: str) -> None:
    path = tmp_path / "history.csv"
    path.write_text("age,bought\n" + f"30,{yes}\n40,{no}\n" * 3)
    assert read_history(path, "bought").labels.tolist() == [1, 0] * 3


def test_a_row_without_an_answer_is_left_out_with_a_word(tmp_path: Path) -> None:
    path = tmp_path / "history.csv"
    path.write_text("age,bought\n30,ja\n31,\n40,nein\n41,\n")
    history = read_history(path, "bought")
    assert history.labels.tolist() == [1, 0]
    assert [row["age"] for row in history.rows] == [30.0, 40.0]
    assert "2 rows say nothing in column `bought`: left out (write 0 if that is a no)" in history.notes
    path.write_text("age,bought\n30,\n31,\n")
    with pytest.raises(InvalidInput, match="column 'bought' is empty in every row"):
        read_history(path, "bought")


def test_a_label_that_is_neither_is_named_with_its_line(tmp_path: Path) -> None:
    path = tmp_path / "history.csv"
    path.write_text("age,bought\n30,ja\n40,vielleicht\n")
    with pytest.raises(
        InvalidInput, match=r"history.csv:3: column 'bought' is 'vielleicht': write 1 for converted"
    ):
        read_history(path, "bought")
